"""IDs of layers, images and containers."""

from __future__ import annotations

import os

from holdfs.core.errors import InvalidValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

_HEX = frozenset("0123456789abcdef")
# The longest of a layer's file names, `.tmp-<id>.tar-split.gz<digits>`, has to fit in 255 bytes.
_LONGEST = 200


def new_id(taken: Container[str]) -> str:
    """
    Return 64 random lower-case hex digits that nobody in `taken` has.

    One whose first twelve digits are all decimal is passed over: shortened to twelve, as people
    show them, it would read as a number.
    """
    while True:
        candidate = os.urandom(32).hex()
        if candidate not in taken and not candidate[:12].isdecimal():
            return candidate


def is_full_id(text: str) -> bool:
    """Whether `text` has the form of a generated ID. Given IDs may have any (spec 5)."""
    return len(text) == 64 and _HEX.issuperset(text)


def names_directory(record_id: str) -> bool:
    """
    Whether files can be kept under this ID.

    Given IDs may have any form (spec 5), and a damaged file that the Go tools wrote on from has
    records without one: what is joined to a path must not lead to the files of others.
    """
    return record_id not in ("", ".", "..") and "/" not in record_id and "\0" not in record_id


def check_id(record_id: str) -> None:
    """
    Make sure that files can be kept under this ID, and that it can be written as JSON text.

    Raises:
        InvalidValue: They can't.
    """
    if not names_directory(record_id):
        raise InvalidValue(f"{record_id!r} can't be an ID: it would not name one directory")
    try:
        length = len(record_id.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise InvalidValue(f"{record_id!r} can't be an ID: it is not valid UTF-8") from error
    if length > _LONGEST:
        raise InvalidValue(f"an ID of {length} bytes is too long: {_LONGEST} are the most")
