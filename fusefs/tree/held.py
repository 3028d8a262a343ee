"""
Links under names that `ln -f` invents: held back until it renames them over the link they replace.

    ln -sf ../db top    symlink("../db", "CuXyz123"), rename("CuXyz123", "top")

Nobody wants `CuXyz123` as a name in the store. If no rename comes within a second, it was one.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from holdfs.fusefs.tree.node import Plan

HELD_S = 1.0
#: coreutils (gnulib's force-link), with six characters from [A-Za-z0-9].
_TEMPORARY = re.compile(r"Cu[A-Za-z0-9]{6}")


def is_temporary(name: str) -> bool:
    """Whether `name` looks like one that `ln -f` makes for a moment."""
    return _TEMPORARY.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class HeldLink:
    """
    Attributes:
        path: The link's own path, for messages.
        target: As it was written; a later rename resolves it for the place it goes to.
        plan: What stores it after all, as a name; None drops it, with a line in `errors`.
    """

    path: str
    target: str
    plan: Plan | None
    deadline: float


class HeldLinks:
    """
    Args:
        clock: Seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._links: dict[tuple[int, str], HeldLink] = {}
        self._clock = clock

    def hold(
        self,
        parent_ino: int,
        name: str,
        path: str,
        target: str,
        plan: Plan | None,
    ) -> None:
        """Keep a link for a second."""
        deadline = self._clock() + HELD_S
        self._links[parent_ino, name] = HeldLink(path, target, plan, deadline)

    def get(self, parent_ino: int, name: str) -> HeldLink | None:
        """Return the link held under this name in this directory."""
        return self._links.get((parent_ino, name)) if self._links else None

    def names(self, parent_ino: int) -> list[str]:
        """Return the names held in one directory."""
        return [name for ino, name in self._links if ino == parent_ino]

    def drop(self, parent_ino: int, name: str) -> HeldLink | None:
        """Forget one link and return it."""
        return self._links.pop((parent_ino, name), None)

    def take_late(self) -> list[HeldLink]:
        """Forget and return the links for which no rename came."""
        now = self._clock()
        late = [key for key, link in self._links.items() if link.deadline <= now]
        return [self._links.pop(key) for key in late]

    def next_deadline(self) -> float | None:
        """Return when `take_late` has something to return."""
        return min((link.deadline for link in self._links.values()), default=None)
