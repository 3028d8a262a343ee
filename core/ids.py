"""IDs of layers, images and containers."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

_HEX = frozenset("0123456789abcdef")


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
