"""
The bytes of a file of which little was changed: pieces of what it was, and what is new.

    before   [{"id":"a"},{"id":"b"},{"id":"c"}]
    after    ╰─ piece ──╯╰ new ────╯╰─ piece ─╯

To put megabytes together takes about as long as to write them to a file, as memory for them comes
page by page. So that is left until somebody asks for the whole.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: With more pieces, finding a place costs more than is saved.
_MOST = 16


class Pieces:
    """Bytes, never changed: `replaced` gives others."""

    __slots__ = ("_pieces", "_size", "_whole")

    def __init__(self, *pieces: bytes | memoryview) -> None:
        self._pieces = tuple(memoryview(piece) for piece in pieces if piece)
        self._size = sum(map(len, self._pieces))
        only = pieces[0] if len(pieces) == 1 else None
        self._whole = only if isinstance(only, bytes) else None

    @property
    def size(self) -> int:
        """In bytes. No `__len__`: a list of the pieces would be made with room for as many."""
        return self._size

    def __iter__(self) -> Iterator[memoryview]:
        return iter(self._pieces)

    def whole(self) -> bytes:
        """Return all of it, the same object every time."""
        if self._whole is None:
            self._whole = b"".join(self._pieces)
            self._pieces = (memoryview(self._whole),)
        return self._whole

    def between(self, begin: int, end: int) -> bytes:
        """Return the bytes from `begin` to before `end`."""
        if self._whole is not None:
            return self._whole[begin:end]
        return b"".join(self._cut(begin, end))

    def replaced(self, begin: int, end: int, new: bytes) -> Pieces:
        """Return the same with `new` in the place of the bytes from `begin` to before `end`."""
        pieces = Pieces(*self._cut(0, begin), new, *self._cut(end, self._size))
        if len(pieces._pieces) > _MOST:
            pieces.whole()
        return pieces

    def _cut(self, begin: int, end: int) -> Iterator[memoryview]:
        at = 0
        for piece in self._pieces:
            if begin < at + len(piece) and end > at:
                yield piece[max(begin - at, 0) : end - at]
            at += len(piece)
