"""Small forms of text that the contract takes from Go: string literals and durations."""

import pytest

from holdfs.core.cli.durations import parse_duration
from holdfs.core.cli.goquote import quoted
from holdfs.core.errors import InvalidValue

HOUR_NS = 3600 * 10**9


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("", '""'),
        ("/etc/motd", '"/etc/motd"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("\a\b\f\n\r\t\v", '"\\a\\b\\f\\n\\r\\t\\v"'),
        ("\0\x1f\x7f", '"\\x00\\x1f\\x7f"'),
        ("é 日本 😀", '"é 日本 😀"'),
        ("\udcff\udc80", '"\\xff\\x80"'),
        ("\x85\u200b\u00a0", '"\\u0085\\u200b\\u00a0"'),
        ("\U000e0001", '"\\U000e0001"'),
    ],
)
def test_text_is_quoted_as_a_go_string_literal(text: str, literal: str) -> None:
    assert literal == quoted(text)


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [
        ("24h", 24 * HOUR_NS),
        ("1h30m", HOUR_NS * 3 // 2),
        ("0", 0),
        ("0s", 0),
        ("-1.5h", -HOUR_NS * 3 // 2),
        ("+.5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("3ms2us1ns", 3_002_001),
        ("1µs", 1000),
    ],
)
def test_a_duration_is_read_as_go_writes_it(text: str, duration_ns: int) -> None:
    assert duration_ns == parse_duration(text)


@pytest.mark.parametrize("text", ["", "x", "1", "1d", "1 h", "h", ".s", "-", "1h-1m", "٣s"])
def test_what_is_no_duration_is_refused_in_gos_words(text: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_duration(text)
    assert f'time: invalid duration "{text}"' == refused.value.words
