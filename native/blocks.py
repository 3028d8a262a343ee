"""
Blocks of memory that are used again and again: a fresh one costs a page fault each 4 KiB of it.
"""

from __future__ import annotations

from holdfs.native._tar import ffi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_uncleared = ffi.new_allocator(should_clear_after_alloc=False)


class Blocks:
    """
    Gives blocks; who lets go of the last reference to one gives it back.

    Safe to use from several threads. What is free is freed with this object.

    Args:
        size: Of those that are kept, in bytes.
        kept: How many are kept at most that nobody uses.
    """

    def __init__(self, size: int, kept: int) -> None:
        self._size = size
        self._kept = kept
        self._free: list[Any] = []

    def take(self, size: int) -> Any:
        """Return a `char *` to `size` bytes, holding whatever they held before."""
        if size > self._size:
            return _uncleared("char[]", size)
        try:
            block = self._free.pop()
        except IndexError:
            block = _uncleared("char[]", self._size)

        def give_back(_: Any) -> None:
            if len(self._free) < self._kept:
                self._free.append(block)

        return ffi.gc(ffi.cast("char *", block), give_back)
