"""Lines of a tar-split, as containers-storage writes them."""

import pytest

from holdfs.core.errors import InvalidValue
from holdfs.core.formats.tarsplit import Member, Segment, parse_lines


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"type":2,"payload":"AAE=","position":0}', Segment(b"\0\1")),
        (b'{"type":2,"payload":null,"position":0}', Segment(b"")),
        (b'{"type":2,"payload":"","position":0}', Segment(b"")),
        (b'{"type":1,"name":"./etc/","payload":null,"position":1}', Member("./etc/", 0, 0)),
        (
            b'{"type":1,"name":"a\\u003cb","size":9,"payload":"uQlWx3WkEAE=","position":3}',
            Member("a<b", 9, 0xB90956C775A41001),
        ),
        (b'{"type":1,"name_raw":"/w==","payload":null,"position":1}', Member("\udcff", 0, 0)),
    ],
)
def test_a_line_is_a_segment_or_a_member(line: bytes, expected: Segment | Member) -> None:
    assert [expected] == list(parse_lines([line]))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b'{"type":3,"payload":null}',
        b'{"type":2,"payload":"a"}',
        b'{"type":2,"payload":7}',
        b'{"type":1,"name":"f","size":1,"payload":null}',
        b'{"type":1,"name":"f","size":"x","payload":null}',
    ],
)
def test_anything_else_is_refused_with_its_line(line: bytes) -> None:
    with pytest.raises(InvalidValue, match="line 1 of a tar-split is damaged"):
        list(parse_lines([b'{"type":2,"payload":null}', line]))
