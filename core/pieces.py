"""
The bytes of a file of which little was changed: pieces of what it was, and what is new.

    before   [{"id":"a"},{"id":"b"},{"id":"c"}]
    after    ╰─ piece ──╯╰ new ────╯╰─ piece ─╯

To put megabytes together takes about as long as to write them to a file, as memory for them comes
page by page. So that is left until somebody asks for the whole. For the same reason a file that
another has written is compared block by block, and only what is new in it becomes memory.
"""

from __future__ import annotations

import os

from holdfs.native import scan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: With more pieces, finding a place costs more than is saved.
_MOST = 16
#: Of a file that is compared: stays in the processor's cache.
_BLOCK = 256 << 10


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

    def common(self, fd: int, size: int) -> tuple[int, int]:
        """
        Return how many bytes at its start and at its end an open file has in common with these.

        The two don't overlap, neither here nor in the file; of one that is cut short meanwhile
        they are what was still there. Raises OSError.

        Args:
            size: Of the file. What it has behind that is not looked at.
        """
        block = memoryview(bytearray(_BLOCK))
        blocks = [piece[at : at + _BLOCK] for piece in self for at in range(0, len(piece), _BLOCK)]
        start = 0
        for known in blocks:
            read = os.preadv(fd, [block[: len(known)]], start)
            same = scan.common_start(known, block[:read])
            start += same
            if same < len(known):
                break
        start = min(start, size)
        end, most = 0, min(self._size, size) - start
        for whole in reversed(blocks):
            if end >= most:
                break
            known = whole[-min(size - end, len(whole)) :]
            read = os.preadv(fd, [block[: len(known)]], size - end - len(known))
            same = scan.common_end(known, block[:read]) if read == len(known) else 0
            end += same
            if same < len(known):
                break
        return start, min(end, most)

    def _cut(self, begin: int, end: int) -> Iterator[memoryview]:
        at = 0
        for piece in self._pieces:
            if begin < at + len(piece) and end > at:
                yield piece[max(begin - at, 0) : end - at]
            at += len(piece)
