"""
Driver options as the user gives them, "overlay.mountopt=nodev", sorted out for one driver.

The text before the first dot names the driver the option is for; without it, or without a dot, the
option is for whichever driver is used.
Source: spec/cli.md 1.4, spec/store-format.md 11.2.
"""

from __future__ import annotations

from holdfs.drivers.base import DriverError
from holdfs.native.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

#: What the Go tools know as drivers; options of the others are left to them.
KNOWN_DRIVERS: Final = ("aufs", "btrfs", "devicemapper", "overlay", "overlay2", "vfs", "zfs")

_SIZE: Final = r"(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?"

_TRUE: Final = ("1", "t", "T", "true", "TRUE", "True")
_FALSE: Final = ("0", "f", "F", "false", "FALSE", "False")


class Option(Value):
    """One option of a driver: its lower-case key without the driver's name, and the whole text."""

    key: str
    value: str
    text: str


def parse_options(driver: str, options: Sequence[str]) -> list[Option]:
    """
    Return the options that are for `driver`, in their order.

    Raises:
        DriverError: One has no "=", or is for a driver nobody knows.
    """
    mine = []
    for text in options:
        key, equals, value = text.partition("=")
        if not equals:
            raise DriverError(f"unable to parse key/value option: {text}")
        key = key.strip().lower()
        owner, dot, rest = key.partition(".")
        if dot:
            if owner and owner not in KNOWN_DRIVERS:
                raise DriverError(f'unknown driver "{owner}" in option "{text}"')
            if owner not in ("", driver, f"{driver}2"):
                continue
            key = rest
        mine.append(Option(key, value.strip(), text))
    return mine


def unknown_option(option: Option) -> DriverError:
    """Return the error for a key that the driver does not have."""
    return DriverError(f'unknown option "{option.key}" ("{option.text}")')


def refused_option(option: Option, what: str) -> DriverError:
    """Return the error for an option that asks for something this driver does not do."""
    return DriverError(f'option "{option.text}" asks for {what}, which is not supported')


def parse_bool(option: Option) -> bool:
    """
    Return the option's value as the Go tools read it.

    Raises:
        DriverError: It is none of their words for true and false.
    """
    if option.value in _TRUE:
        return True
    if option.value in _FALSE:
        return False
    raise DriverError(
        f'option "{option.text}" takes true or false',
        words=f'strconv.ParseBool: parsing "{option.value}": invalid syntax',
    )


def parse_size(text: str) -> int:
    """
    Return the number of bytes that "10G", "1.5 GiB" or "4096" stand for, binary multiples.

    Raises:
        DriverError: It is no size.
    """
    import re

    match = re.fullmatch(_SIZE, text, re.ASCII | re.IGNORECASE)
    if not match:
        raise DriverError(f"invalid size: '{text}'")
    number, unit = match.groups()
    return int(float(number) * 1024 ** " kmgtp".index(unit.lower() or " "))


def format_size(size: int) -> str:
    """Return a number of bytes as the Go tools show it to people: 10.49MB."""
    value, unit = float(size), 0
    while value >= 1000 and unit < 5:
        value, unit = value / 1000, unit + 1
    return f"{value:.4g}{('B', 'kB', 'MB', 'GB', 'TB', 'PB')[unit]}"


def parse_storage_options(texts: Sequence[str]) -> dict[str, str]:
    """
    Return the options of one layer, "size=10G", by their lower-case keys.

    Raises:
        DriverError: One has no "=".
    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise DriverError(f"unable to parse key/value option: {text}")
        found[key.strip().lower()] = value.strip()
    return found
