"""Times, as Go's RFC3339Nano."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfs.core.errors import InvalidValue
from holdfs.core.formats.times import ZERO, format_time, parse_time
from tests.formats.real import KINDS, STORES, array

S = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01T00:00:01.5Z", S + S // 2),
        ("1970-01-02T03:04:05.19002702Z", 97445 * S + 190027020),
        ("2000-02-29T23:59:59Z", 951868799 * S),
        ("1969-12-31T23:59:59.9Z", -S // 10),
        ("2026-11-24T02:53:46Z", 1795488826 * S),
    ],
)
def test_times_are_written_without_trailing_zeros_and_read_back(text: str, ns: int) -> None:
    assert ns == parse_time(text)
    assert text == format_time(ns)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-11-24T04:53:46+02:00", "2026-11-24T02:53:46Z"),
        ("2026-11-23T21:23:46.5-05:30", "2026-11-24T02:53:46.5Z"),
        ("2026-11-24T02:53:46,5Z", "2026-11-24T02:53:46.5Z"),
        ("2026-11-24T02:53:46.500000000Z", "2026-11-24T02:53:46.5Z"),
        # What is finer than Go's clock is cut off, as by Go.
        ("2026-11-24T02:53:46.1234567891Z", "2026-11-24T02:53:46.123456789Z"),
        ("2026-11-24T02:53:46+00:00", "2026-11-24T02:53:46Z"),
    ],
)
def test_other_ways_to_write_a_time_are_read(text: str, same: str) -> None:
    assert parse_time(same) == parse_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-11-24",
        "2026-11-24 02:53:46Z",
        "2026-11-24T02:53:46",
        "2026-11-24T02:53Z",
        "2026-11-24t02:53:46z",
        "2026-11-24T02:53:46.Z",
        "2026-11-24T02:53:46+0200",
        "2026-13-24T02:53:46Z",
        "2026-00-24T02:53:46Z",
        "2026-11-31T02:53:46Z",
        "1900-02-29T02:53:46Z",
        "0000-01-01T00:00:00Z",
        "2025-02-29T02:53:46Z",
        "2026-11-24T24:00:00Z",
        "2026-11-24T02:60:00Z",
        "2026-11-24T02:53:46Z ",
        "2026-11-24T02:53:46Z\n",
        "٢٠٢٦-11-24T02:53:46Z",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse_time(text)


def test_the_zero_time_is_gos() -> None:
    assert format_time(parse_time(ZERO)) == ZERO


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("kind", KINDS)
def test_times_of_real_stores_are_written_as_they_were_read(store: str, kind: str) -> None:
    for record in json.loads(array(store, kind)):
        assert record["created"] == format_time(parse_time(record["created"]))


@given(st.integers(-62135596800 * S, 253402300799 * S))
def test_any_time_comes_back(ns: int) -> None:
    assert ns == parse_time(format_time(ns))
