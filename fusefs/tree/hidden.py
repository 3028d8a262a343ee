"""
Entries of objects that were unlinked: hidden in this mount for ten seconds, and nothing else.

`rm -r`, rmtree and file managers unlink everything in an object's directory before its rmdir, which
is what deletes. Programs that save unlink a file and make it anew. Both work while the entry only
seems to be gone. Kept by object, so that all its aliases agree. (spec/tree.md, rm -r)
"""

import errno
from collections.abc import Callable
from dataclasses import dataclass, field

from holdfs.fusefs.tree.refusals import Refusals

#: How long an entry stays hidden, and how long a refusal holds for the whole object.
HIDDEN_S = 10.0


@dataclass(slots=True)
class _Object:
    """What is hidden of one object: deadlines by path in it, or the refusal of all unlinking."""

    path: str
    deadlines: dict[str, float] = field(default_factory=dict)
    refusal: Exception | None = None
    refused_until: float = 0.0


class Hidden:
    """
    Args:
        clock: Seconds, never going back.
    """

    def __init__(self, refusals: Refusals, clock: Callable[[], float]) -> None:
        self._objects: dict[str, _Object] = {}
        self._refusals = refusals
        self._clock = clock

    def __bool__(self) -> bool:
        return bool(self._objects)

    def has(self, object_id: str, path: str) -> bool:
        """Whether `path` in this object is hidden now."""
        found = self._objects.get(object_id)
        return found is not None and found.deadlines.get(path, 0.0) > self._clock()

    def refusal(self, object_id: str) -> Exception | None:
        """Return why nothing in this object may be unlinked just now, if so."""
        found = self._objects.get(object_id)
        if found is None or found.refusal is None or found.refused_until <= self._clock():
            return None
        return found.refusal

    def hide(self, object_id: str, path: str, object_path: str) -> None:
        """Hide one entry; `object_path` is for the message if the object is not deleted."""
        found = self._objects.setdefault(object_id, _Object(object_path))
        found.deadlines[path] = self._clock() + HIDDEN_S

    def refuse(self, object_id: str, error: Exception) -> None:
        """Let every unlink in this object fail with `error` for a while."""
        found = self._objects.setdefault(object_id, _Object(""))
        found.refusal = error
        found.refused_until = self._clock() + HIDDEN_S

    def show(self, object_id: str, path: str) -> bool:
        """Show one entry again, as it was made anew; return whether it was hidden."""
        found = self._objects.get(object_id)
        if found is None:
            return False
        return found.deadlines.pop(path, 0.0) > self._clock()

    def forget(self, object_id: str) -> None:
        """Drop what is kept of an object that was deleted."""
        self._objects.pop(object_id, None)

    def expire(self) -> None:
        """Show what was hidden long enough, and say in `errors` that it was not removed."""
        now = self._clock()
        for object_id, found in list(self._objects.items()):
            late = [path for path, deadline in found.deadlines.items() if deadline <= now]
            for path in late:
                del found.deadlines[path]
            # Files that savers replace come back by being written; the rest was to be removed.
            if late and not found.deadlines:
                self._refusals.add(
                    "unlink",
                    found.path,
                    errno.EPERM,
                    f"attributes can't be removed, rmdir deletes the object; "
                    f"shown again: {', '.join(sorted(late))}",
                )
            if found.refused_until <= now:
                found.refusal = None
            if not found.deadlines and found.refusal is None:
                del self._objects[object_id]

    def next_deadline(self) -> float | None:
        """Return when `expire` has something to do."""
        deadlines = [
            deadline for found in self._objects.values() for deadline in found.deadlines.values()
        ]
        deadlines += [found.refused_until for found in self._objects.values() if found.refusal]
        return min(deadlines, default=None)
