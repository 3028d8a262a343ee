"""Open files and directories by file handle."""

import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from holdfs.fusefs.tree.node import Directory, Node, Stat

T = TypeVar("T")


@dataclass(slots=True)
class OpenDirectory:
    """
    The names as they were at opendir: no entry twice, none missed while others write.

    No view: a long listing would hold the store of that time. What has gone since is left out.

    Attributes:
        has_begun: Something was read from it; from the start again means rewinddir.
        ahead: Entries that were read together, from position `ahead_from` on.
    """

    node: Directory
    names: Sequence[str]
    has_begun: bool = False
    ahead: Sequence[tuple[Node, Stat] | None] = ()
    ahead_from: int = 0


class Handles(Generic[T]):
    """Numbers for what is open; a number is used again only after 2⁶³ others."""

    def __init__(self) -> None:
        self._open: dict[int, T] = {}
        self._next = 1

    def __len__(self) -> int:
        return len(self._open)

    def add(self, opened: T) -> int:
        """Return a number for it."""
        fh = self._next
        self._next += 1
        self._open[fh] = opened
        return fh

    def get(self, fh: int) -> T:
        """Return what is open under this number."""
        try:
            return self._open[fh]
        except KeyError:
            raise OSError(errno.EBADF, f"no file handle {fh}") from None

    def replace(self, fh: int, opened: T) -> None:
        """Let the number stand for something else."""
        self._open[fh] = opened

    def remove(self, fh: int) -> T:
        """Forget the number and return what was open."""
        return self._open.pop(fh)

    def all(self) -> Iterator[T]:
        """Yield all that is open."""
        yield from self._open.values()
