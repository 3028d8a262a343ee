"""Bytes in pieces are the bytes that they stand for, whatever was replaced in them."""

from tempfile import TemporaryFile

from hypothesis import given
from hypothesis import strategies as st

from holdfs.core.pieces import Pieces


@given(st.binary(max_size=40), st.data())
def test_pieces_are_what_replacing_in_bytes_gives(begun: bytes, data: st.DataObject) -> None:
    expected, pieces = begun, Pieces(begun)

    # More often than pieces are kept apart.
    for _ in range(data.draw(st.integers(0, 25))):
        begin = data.draw(st.integers(0, len(expected)))
        end = data.draw(st.integers(begin, len(expected)))
        new = data.draw(st.binary(max_size=10))
        expected = expected[:begin] + new + expected[end:]
        pieces = pieces.replaced(begin, end, new)
        assert expected[begin:end] == pieces.between(begin, end)

    assert len(expected) == pieces.size
    assert expected == b"".join(pieces)
    assert expected == pieces.whole()
    assert [expected] == list(pieces) or not expected


def test_replacing_leaves_the_pieces_it_was_done_to() -> None:
    pieces = Pieces(b"abc")

    pieces.replaced(1, 2, b"xyz")

    assert b"abc" == pieces.whole()


def test_the_whole_is_put_together_once() -> None:
    pieces = Pieces(b"abc").replaced(1, 2, b"xyz")

    assert pieces.whole() is pieces.whole()


@given(before=st.binary(max_size=9), after=st.binary(max_size=9), data=st.data())
def test_what_a_file_has_in_common_is_at_both_ends_and_apart(
    before: bytes, after: bytes, data: st.DataObject
) -> None:
    start = data.draw(st.binary(max_size=9))
    end = data.draw(st.sampled_from((b"", b"]", b"x" * (600 << 10))))
    old, new = start + before + end, start + after + end
    cut = data.draw(st.integers(0, len(old)))

    with TemporaryFile(buffering=0) as f:
        f.write(new)
        first, last = Pieces(old[:cut], old[cut:]).common(f.fileno(), len(new))

    rest = min(len(old), len(new)) - first - last
    assert rest >= 0
    assert old[:first] == new[:first]
    assert old[len(old) - last :] == new[len(new) - last :]
    if rest:
        assert old[first] != new[first]
        assert old[-1 - last] != new[-1 - last]
