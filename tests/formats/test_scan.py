"""The quick reader of files of records: what it takes is good, and is what the slow one reads."""

from __future__ import annotations

import os
from tempfile import TemporaryFile

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfs.core.column import entries
from holdfs.core.formats.records import Record, decode_sound, json_key
from holdfs.core.formats.shapes import IMAGES, LAYERS
from holdfs.core.formats.typed import decode
from holdfs.core.part import (
    Part,
    Source,
    _updated,
    differing,
    read_columns,
    read_part,
    scanned,
    signature_of,
)
from holdfs.core.unsure import check_part, parse
from tests.conftest import GraphRun
from tests.formats.real import KINDS, SHAPES, STORES, array, raws

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfs.core.part import Row

SOURCE = Source("")
FILES = [(store, kind) for store in STORES for kind in KINDS]


def contents(part: Part) -> tuple[list[bytes], dict[str, list[object]]]:
    lists = ("names", "mapped-layers")
    cells = {
        key: [entries(cell) if key in lists else cell for cell in column]
        for key, column in part.columns.items()
    }
    return part.raws, cells  # type: ignore[return-value]


@pytest.mark.parametrize("kind", KINDS)
def test_the_shapes_are_those_of_the_records(kind: str) -> None:
    record: type[Record] = KINDS[kind]

    assert tuple(SHAPES[kind].keys) == tuple(map(json_key, record.fields))
    assert record is SHAPES[kind].record_type


@pytest.mark.parametrize(("store", "kind"), FILES)
def test_real_records_are_read_as_the_slow_reader_does(store: str, kind: str) -> None:
    taken = 0
    for raw in raws(store, kind):
        data = b"[" + raw + b"]"
        part = scanned(SOURCE, SHAPES[kind], None, data)
        if part is not None:
            taken += 1
            assert contents(parse(SOURCE, SHAPES[kind], None, data)) == contents(part)
    # The others hold control characters, which a column can't.
    assert len(raws(store, kind)) - taken <= 1


@given(st.data())
def test_whatever_is_taken_the_slow_reader_takes(data: st.DataObject) -> None:
    store, kind = data.draw(st.sampled_from(FILES))
    text = bytearray(b"[" + data.draw(st.sampled_from(raws(store, kind))) + b"]")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        match data.draw(st.sampled_from(("put", "cut", "set"))):
            case "put":
                text[at:at] = data.draw(
                    st.sampled_from((b'"', b"\\", b",", b"{}", b"[", b"null", b"0", b" ", b"\xff"))
                )
            case "cut":
                del text[at : at + data.draw(st.integers(1, 9))]
            case "set":
                text[at] = data.draw(st.integers(0, 255))
        if not text:
            return
    part = scanned(SOURCE, SHAPES[kind], None, bytes(text))
    if part is None:
        return

    slow = parse(SOURCE, SHAPES[kind], None, bytes(text))
    check_part(slow, SHAPES[kind])
    empty_time = [c or "0001-01-01T00:00:00Z" for c in part.columns["created"]]
    assert slow.raws == part.raws
    assert slow.ids == part.ids
    assert slow.columns["created"].cells == empty_time
    shape = SHAPES[kind]
    assert [decode(raw, shape) for raw in slow.raws] == [
        decode_sound(raw, shape) for raw in part.raws
    ]


@pytest.mark.parametrize(
    "fields",
    [
        b'"created":"2026-02-30T00:00:00Z"',
        b'"created":"2024-02-29T00:00:00Z"',
        b'"created":"0000-01-01T00:00:00Z"',
        b'"created":"2026-01-01T24:00:00Z"',
        b'"names":["a\\u0000"]',
        b'"names":["\\ud800"]',
        b'"names":null',
        b'"diff-size":1.0',
        b'"diff-size":01',
        b'"diff-size":12345678901234567890',
        b'"metadata":"\xed\xa0\x80"',
        b'"metadata":"a\nb"',
        b'"id":"b"',
        b'"x":1e999',
        b'"x":' + b"[" * 99 + b"]" * 99,
        b'"uidmap":[{"container_id":0}]',
    ],
)
def test_what_is_not_certain_is_left_to_the_slow_reader(fields: bytes) -> None:
    assert scanned(SOURCE, LAYERS, None, b'[{"id":"a",' + fields + b"}]") is None


def test_escapes_and_further_columns_are_read() -> None:
    raw = (
        b'[ { "id":"a", "names":["\\u00e9\\ud83d\\ude42\\/\\"","x"] ,'
        b'"big-data-digests":{"k":"v","l":"w"},"unknown":[{"a":-1.5}]} ]'
    )
    part = scanned(SOURCE, IMAGES, None, raw)

    assert part is not None
    assert [('é🙂/"', "x")] == [entries(cell) for cell in part.columns["names"]]
    more = read_columns(part, IMAGES, ("big-data-digests",))
    assert more is not None
    assert ("k", "v", "l", "w") == entries(more["big-data-digests"][0])


def layer(number: int, name: str) -> bytes:
    return b'{"id":"%d","names":["%s"]}' % (number, name.encode())


def large(*, flags: bytes = b"{}") -> list[bytes]:
    """Return records of 2 MiB, the one in the middle with these flags."""
    records = [
        b'{"id":"%d","names":["name of %d"],"metadata":"%s"}' % (at, at, b"x" * (at % 777))
        for at in range(5000)
    ]
    records[len(records) // 2] = b'{"id":"middle","flags":%s}' % flags
    return records


def looks_like_records() -> bytes:
    return b'{"x":[' + b",".join([b'{"id":"none","names":["none"]}'] * 9000) + b"]}"


@pytest.mark.parametrize("flags", [b"{}", looks_like_records()], ids=("records", "not records"))
def test_a_file_read_in_halves_is_read_as_record_by_record(flags: bytes) -> None:
    expected = large(flags=flags)
    data = b"[ " + b" ,\n".join(expected) + b" ]\n"

    part = scanned(SOURCE, LAYERS, None, data)

    assert part is not None
    assert len(data) > 2 << 20
    assert expected == part.raws
    one_by_one = [scanned(SOURCE, LAYERS, None, b"[" + raw + b"]") for raw in expected]
    for key, found in part.columns.items():
        assert list(found) == [one.columns[key][0] for one in one_by_one if one is not None]


@pytest.mark.parametrize("at", [10, 4990])
@pytest.mark.parametrize("bad", [b'{"id":1}', b'{"names":[]}', b"", b'{"id":"a"}]'])
def test_what_is_wrong_in_either_half_is_left_to_the_slow_reader(at: int, bad: bytes) -> None:
    records = large()
    records[at] = bad

    assert scanned(SOURCE, LAYERS, None, b"[" + b",".join(records) + b"]") is None


BLANKS = st.sampled_from(("", "", " ", "\n "))
#: What is in a file: a record's name, blanks before and behind its comma.
NAMED = st.lists(st.tuples(st.sampled_from("abcd"), BLANKS, BLANKS), max_size=9)


def file_of(named: list[tuple[str, str, str]], end: str) -> bytes:
    joined = b"".join(
        layer(at % 3, name) + f"{before},{behind}".encode()
        for at, (name, before, behind) in enumerate(named)
    )
    last = len(named[-1][2]) + 1 if named else 0
    return b"[" + joined[: len(joined) - last] + end.encode()


def updated_with(known: Part, data: bytes, size: int | None = None) -> Part | None:
    """Return what becomes of a part with this file, of which another size may have been told."""
    with TemporaryFile(buffering=0) as f:
        f.write(data)
        inode, mtime_ns, true_size = signature_of(os.fstat(f.fileno()))
        signature = inode, mtime_ns, true_size if size is None else size
        return _updated(known, LAYERS, signature, f.fileno())


@given(before=NAMED, after=NAMED, end=st.sampled_from(("]", " ]", "]\n")))
def test_a_file_known_before_is_read_as_if_it_was_not(
    before: list[tuple[str, str, str]], after: list[tuple[str, str, str]], end: str
) -> None:
    known = scanned(SOURCE, LAYERS, None, file_of(before, "]"))
    fresh = scanned(SOURCE, LAYERS, None, file_of(after, end))
    assert known is not None
    assert fresh is not None

    updated = updated_with(known, fresh.data)

    if updated is not None:
        check_same(fresh, updated, known)


def check_same(fresh: Part, updated: Part, known: Part) -> None:
    assert fresh.data == updated.data
    assert contents(fresh) == contents(updated)
    assert list(fresh.spans) == list(updated.spans)
    rows, known_rows = differing(updated, known)
    assert known.raws[: known_rows.start] == updated.raws[: rows.start]
    assert known.raws[known_rows.stop :] == updated.raws[rows.stop :]


@given(
    edits=st.lists(
        st.tuples(st.integers(0, 300), st.integers(0, 2), st.integers(0, 2)),
        min_size=1,
        max_size=6,
    )
)
def test_states_of_a_large_file_are_followed_one_after_the_other(
    edits: list[tuple[int, int, int]],
) -> None:
    records = [
        b'{"id":"%d","names":["name"],"metadata":"%s"}' % (at, b"x" * (at * 17))
        for at in range(300)
    ]
    known = scanned(SOURCE, LAYERS, None, b"[" + b",".join(records) + b"]")
    assert known is not None
    for number, (at, gone, come) in enumerate(edits):
        records[at : at + gone] = [layer(number, f"new {n}") for n in range(come)]
        fresh = scanned(SOURCE, LAYERS, None, b"[" + b",".join(records) + b"]")
        assert fresh is not None

        updated = updated_with(known, fresh.data)

        assert updated is not None
        check_same(fresh, updated, known)
        known = updated


@pytest.mark.parametrize("bad", [b"x", b",", b"{}", b"\0"])
@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_what_is_wrong_between_records_is_not_taken_for_the_blank_that_was_there(
    bad: bytes, at: int
) -> None:
    def file(*gaps: bytes) -> bytes:
        return b"[%b%b%b,%b%b%b]" % (gaps[0], layer(1, "a"), *gaps[1:3], layer(2, "b"), gaps[3])

    known = scanned(SOURCE, LAYERS, None, file(b" ", b" ", b" ", b" "))
    assert known is not None

    torn = file(*(bad if gap == at else b" " for gap in range(4)))

    assert updated_with(known, torn) is None


@given(
    before=NAMED,
    after=NAMED,
    cut=st.integers(0, 200),
    bad=st.sampled_from((b"", b"x", b",", b"]", b'"')),
)
def test_a_torn_file_is_no_state_of_the_one_known_before(
    before: list[tuple[str, str, str]], after: list[tuple[str, str, str]], cut: int, bad: bytes
) -> None:
    known = scanned(SOURCE, LAYERS, None, file_of(before, "]"))
    whole = file_of(after, "]")
    cut = min(cut, len(whole))
    torn = whole[:cut] + bad + whole[cut:] if bad else whole[:cut]
    assert known is not None

    updated = updated_with(known, torn)
    cut_meanwhile = updated_with(known, torn, len(whole))

    fresh = scanned(SOURCE, LAYERS, None, torn)
    if updated is not None:
        assert fresh is not None
        check_same(fresh, updated, known)
    if cut_meanwhile is not None:
        # Not looked at is what stands behind the size that was told.
        fresh = scanned(SOURCE, LAYERS, None, torn[: len(whole)])
        assert fresh is not None
        check_same(fresh, cut_meanwhile, known)


@given(
    count=st.integers(0, 5),
    begin=st.integers(0, 5),
    length=st.integers(0, 2),
    new=st.lists(st.sampled_from("xy"), max_size=2),
)
def test_a_part_with_other_records_is_what_its_bytes_say(
    count: int, begin: int, length: int, new: list[str]
) -> None:
    begin = min(begin, count)
    end = min(begin + length, count)
    names = [str(at) for at in range(count)]
    whole = b"[" + b",".join(layer(at, name) for at, name in enumerate(names)) + b"]"
    part = scanned(SOURCE, LAYERS, None, whole)
    assert part is not None
    if begin == end and not new:
        return
    raws_new = [layer(9, name) for name in new]
    rows: list[Row] = [{"id": "9", "names": (name,), "created": "", "parent": ""} for name in new]

    changed = part.spliced(begin, end, raws_new, rows)

    again = scanned(SOURCE, LAYERS, None, changed.data)
    assert again is not None
    assert contents(again) == contents(changed)
    expected = [*part.raws[:begin], *raws_new, *part.raws[end:]]
    assert expected == [bytes(r) for r in msgspec.json.decode(changed.data, type=list[msgspec.Raw])]


def test_a_new_file_of_the_same_content_is_the_same_part(graph_run: GraphRun) -> None:
    path = f"{graph_run[0]}.json"
    source = Source(path)
    for _ in range(2):
        with open(path, "wb") as f:
            f.write(array("usual", "layers"))
        first = read_part(source, LAYERS)
    again = read_part(source, LAYERS, first)

    assert again.mark is first.mark
    assert [decode(raw, LAYERS) for raw in again.raws]
