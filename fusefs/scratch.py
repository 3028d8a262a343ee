"""
Scratch files: what editors and savers put beside a file. They live in the mount alone.

    images/shop/.names.swp      images/shop/big-data/.goutputstream-X1Y2Z3

Kept by object, so that all its aliases show the same. They go at unlink, or ten seconds after the
last close, and take 64 MiB in all at most. (spec/tree.md, Editors and savers)
"""

import errno
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from holdfs.fusefs.tree.node import File

SCRATCH_S: Final = 10.0
LIMIT: Final = 64 << 20

#: Names that savers give to what they are about to rename, in big-data/ where all else is an item.
_SAVERS: Final = re.compile(
    r"""sed[A-Za-z0-9]{6}          # sed -i
    | \.goutputstream-.+           # GLib
    | \..+\.sw[a-px]x? | 4913      # vim
    | .+~ | .+\.bak                # backups
    | .+\.tmp | tmp[A-Za-z0-9_]{8} # Python's tempfile, many others
    | \..+\.[A-Za-z0-9]{6}         # rsync
    """,
    re.VERBOSE | re.DOTALL,
)


def is_saver_name(name: str) -> bool:
    """Whether a program that saves is likely to have invented `name`."""
    return _SAVERS.fullmatch(name) is not None


class Scratch:
    """
    One file.

    Attributes:
        place: Where in the object: "" or "big-data/".
        is_linked: It can be found by name; else only open handles hold it.
        became: The entry it was renamed over: handles still open on it are then handles of that.
    """

    __slots__ = (
        "became",
        "changed_ns",
        "content",
        "deadline",
        "is_linked",
        "name",
        "opened",
        "place",
        "serial",
    )

    def __init__(self, place: str, name: str, serial: int) -> None:
        self.place = place
        self.name = name
        self.serial = serial
        self.content = bytearray()
        self.opened = 0
        self.deadline: float | None = None
        self.is_linked = True
        self.became: File | None = None
        self.changed_ns = time.time_ns()


class ScratchFiles:
    """
    Args:
        clock: Seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._files: dict[tuple[str, str, str], Scratch] = {}
        self._clock = clock
        self._serial = 0
        self._size = 0

    def get(self, object_id: str, place: str, name: str) -> Scratch | None:
        """Return the file of this name in this place of an object."""
        found = self._files.get((object_id, place, name)) if self._files else None
        if found is None or (found.deadline is not None and found.deadline <= self._clock()):
            return None
        return found

    def names(self, object_id: str, place: str) -> list[str]:
        """Return the names to list in one place of an object."""
        return [
            name
            for owner, where, name in list(self._files)
            if owner == object_id and where == place and self.get(owner, where, name) is not None
        ]

    def create(self, object_id: str, place: str, name: str, content: bytes = b"") -> Scratch:
        """Return a new file, to be closed as often as it is opened; it replaces one of its name."""
        self.remove(object_id, place, name)
        self._serial += 1
        made = Scratch(place, name, self._serial)
        self.write(made, 0, content)
        made.deadline = self._clock() + SCRATCH_S
        self._files[object_id, place, name] = made
        return made

    def open(self, scratch: Scratch) -> None:
        """Count one more handle."""
        scratch.opened += 1
        scratch.deadline = None

    def close(self, scratch: Scratch) -> None:
        """Count one handle less; after the last the file stays for ten seconds."""
        scratch.opened -= 1
        if scratch.opened == 0:
            scratch.deadline = self._clock() + SCRATCH_S
            if not scratch.is_linked:
                self._drop(scratch)

    def write(self, scratch: Scratch, off: int, data: bytes) -> None:
        """
        Write into the file; a gap is filled with zeros.

        Raises:
            OSError: ENOSPC over the limit.
        """
        self.resize(scratch, max(len(scratch.content), off + len(data)))
        scratch.content[off : off + len(data)] = data
        scratch.changed_ns = time.time_ns()

    def resize(self, scratch: Scratch, size: int) -> None:
        """Cut the file, or fill it up with zeros. Raises as `write`."""
        growth = size - len(scratch.content)
        if self._size + growth > LIMIT:
            raise OSError(errno.ENOSPC, f"scratch files would take over {LIMIT >> 20} MiB")
        if growth > 0:
            scratch.content.extend(bytes(growth))
        else:
            del scratch.content[size:]
        self._size += growth
        scratch.changed_ns = time.time_ns()

    def remove(self, object_id: str, place: str, name: str) -> Scratch | None:
        """Unlink the file and return it; handles that are open on it keep it."""
        found = self._files.pop((object_id, place, name), None)
        if found is not None:
            found.is_linked = False
            if not found.opened:
                self._drop(found)
        return found

    def rename(self, object_id: str, place: str, name: str, new_name: str) -> None:
        """Give the file another name, in the same place."""
        scratch = self._files.pop((object_id, place, name))
        self.remove(object_id, place, new_name)
        scratch.name = new_name
        self._files[object_id, place, new_name] = scratch

    def forget(self, object_id: str) -> None:
        """Unlink all files of an object that was deleted."""
        for owner, place, name in list(self._files):
            if owner == object_id:
                self.remove(owner, place, name)

    def expire(self) -> None:
        """Unlink those that nobody has had open for ten seconds."""
        now = self._clock()
        for key, scratch in list(self._files.items()):
            if scratch.deadline is not None and scratch.deadline <= now:
                self.remove(*key)

    def next_deadline(self) -> float | None:
        """Return when `expire` has something to do."""
        return min(
            (s.deadline for s in self._files.values() if s.deadline is not None), default=None
        )

    def _drop(self, scratch: Scratch) -> None:
        self._size -= len(scratch.content)
        scratch.content = bytearray()
