"""Durations as Go writes them: `1h30m`, `0s`, `-1.5h`, `300ms`."""

from __future__ import annotations

from holdfs.core.errors import InvalidValue

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60 * 1_000_000_000,
    "h": 3600 * 1_000_000_000,
}


def parse_duration(text: str) -> int:
    """
    Return a duration in nanoseconds.

    Raises:
        InvalidValue: In Go's words.
    """
    import re

    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    units = "|".join(sorted(_UNITS, key=len, reverse=True))
    part = rf"([0-9]+\.?[0-9]*|\.[0-9]+)({units})"
    if not re.fullmatch(rf"(?:{part})+", rest):
        raise InvalidValue(
            f"{text!r} is no duration, like 1h30m", words=f'time: invalid duration "{text}"'
        )
    return sign * sum(int(float(number) * _UNITS[unit]) for number, unit in re.findall(part, rest))
