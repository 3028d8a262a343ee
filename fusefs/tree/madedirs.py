"""
Directories of `by-name/` with no name in them: they live in the mount alone.

`mkdir -p by-name/quay.io/me` makes the way for a link; `rm -r by-name/quay.io` takes the links, and
with the last of them the directory would be gone before its own rmdir.
"""

import errno
import math
from collections.abc import Callable

from holdfs.fusefs.tree.node import Kind, refusal

#: How long a directory stays whose last name went.
EMPTY_S = 10.0
#: More than anybody makes by hand; a bound for a loop that makes them.
_MOST = 10_000


class MadeDirectories:
    """
    Args:
        clock: Seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._deadlines: dict[tuple[Kind, str], float] = {}
        self._clock = clock

    def has(self, kind: Kind, prefix: str) -> bool:
        """Whether the directory `prefix` (it ends in "/") is there without a name in it."""
        return self._deadlines.get((kind, prefix), 0.0) > self._clock()

    def inside(self, kind: Kind, prefix: str) -> list[str]:
        """Return the names of the directories right below `prefix`."""
        now = self._clock()
        return [
            path[len(prefix) : -1]
            for (of_kind, path), deadline in self._deadlines.items()
            if of_kind == kind
            and deadline > now
            and len(path) > len(prefix)
            and path.startswith(prefix)
            and path.find("/", len(prefix)) == len(path) - 1
        ]

    def make(self, kind: Kind, prefix: str) -> None:
        """Let the directory be there until it is removed or gets a name."""
        if len(self._deadlines) >= _MOST:
            raise refusal(errno.ENOSPC, f"{_MOST} empty directories are in this mount already")
        self._deadlines[kind, prefix] = math.inf

    def keep(self, kind: Kind, name: str) -> None:
        """Let the directories that lead to `name`, which goes, stay a little longer."""
        until = self._clock() + EMPTY_S
        for at, character in enumerate(name):
            if character == "/":
                self._deadlines.setdefault((kind, name[: at + 1]), until)

    def settle(self, kind: Kind, name: str) -> None:
        """Forget the directories that lead to `name`, which is there now: it holds them."""
        for at, character in enumerate(name):
            if character == "/":
                self._deadlines.pop((kind, name[: at + 1]), None)

    def remove(self, kind: Kind, prefix: str) -> None:
        """Forget one directory."""
        self._deadlines.pop((kind, prefix), None)

    def expire(self) -> None:
        """Forget those whose time is over."""
        now = self._clock()
        for key in [key for key, deadline in self._deadlines.items() if deadline <= now]:
            del self._deadlines[key]

    def next_deadline(self) -> float | None:
        """Return when `expire` has something to do."""
        return min((d for d in self._deadlines.values() if d < math.inf), default=None)
