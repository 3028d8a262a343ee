"""
Times as the store writes them: RFC 3339, up to nine fraction digits, trailing zeros removed.

    2026-11-24T02:53:46.19002702Z      0001-01-01T00:00:00Z      2026-11-24T04:53:46+02:00

Source: Go's time.RFC3339Nano; spec 2.1.
"""

import time

from holdfs.core.errors import InvalidValue

_LEAP_YEAR = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_EXISTS = (
    r"(?!0000)(?:[0-9]{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    rf"|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)|{_LEAP_YEAR}-02-29)T"
)
#: What Go's decoder takes: a day that exists, 'T' and a zone; a comma may stand for the point.
PATTERN = (
    rf"^(?={_EXISTS})([0-9]{{4}})-([0-9]{{2}})-([0-9]{{2}})"
    r"T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])(?:[.,]([0-9]+))?"
    r"(?:Z|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))\Z"
)

ZERO = "0001-01-01T00:00:00Z"


def parse_time(text: str) -> int:
    """
    Return the time in ns since 1970, negative before.

    Raises:
        InvalidValue: No RFC 3339 time with a zone.
    """
    # Here, since most who want to know the time now parse none.
    import calendar
    import re

    match = re.match(PATTERN, text)
    if match is None:
        raise InvalidValue(f"{text!r} is no RFC 3339 time with a time zone")
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    seconds = calendar.timegm((year, month, day, hour, minute, second))
    if match[8]:
        offset_s = int(match[9]) * 3600 + int(match[10]) * 60
        seconds += -offset_s if match[8] == "+" else offset_s
    fraction = (match[7] or "")[:9].ljust(9, "0")
    return seconds * 1_000_000_000 + int(fraction)


def format_time(ns: int) -> str:
    """Return `ns` since 1970 as the Go tools write it, in UTC."""
    seconds, fraction_ns = divmod(ns, 1_000_000_000)
    year, month, day, hour, minute, second = time.gmtime(seconds)[:6]
    whole = f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}"
    if not fraction_ns:
        return whole + "Z"
    return f"{whole}.{fraction_ns:09d}".rstrip("0") + "Z"
