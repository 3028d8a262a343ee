"""
Notice that somebody changed the store, the moment it happens and with no polling.

    /var/lib ── storage ── overlay-images ── images.lock   a token written      } the store
        │          │             │           images.json   renamed into place   } changed
        │          │             ╰ watched for those two
        │          ╰ watched for record directories that come (overlay-layers: at first use) and go
        ╰ watched for being moved or deleted itself

What is missing is awaited in the nearest directory that exists, so a store that is removed and
made again is followed. Only inotify (7): a graph root changed from another machine is not seen.
"""

import os
import select
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from types import TracebackType
from typing import Final, Self

import inotify_simple  # type: ignore[import-untyped]  # it has neither stubs nor py.typed

_flags = inotify_simple.flags

#: A record directory: files written (tokens), renamed in (JSON), made and removed by hand.
_RECORDS: Final = int(
    _flags.MODIFY
    | _flags.MOVED_TO
    | _flags.MOVED_FROM
    | _flags.CREATE
    | _flags.DELETE
    | _flags.DELETE_SELF
    | _flags.MOVE_SELF
)
#: A directory in which another one comes or goes.
_ENTRIES: Final = int(
    _flags.MOVED_TO
    | _flags.MOVED_FROM
    | _flags.CREATE
    | _flags.DELETE
    | _flags.DELETE_SELF
    | _flags.MOVE_SELF
)
#: A directory further up, where strangers come and go: only whether it stays itself.
_ITSELF: Final = int(_flags.DELETE_SELF | _flags.MOVE_SELF)
_GONE: Final = int(_flags.DELETE_SELF | _flags.MOVE_SELF | _flags.UNMOUNT | _flags.IGNORED)


@dataclass(slots=True)
class _Role:
    """What one watched directory is watched for; one may be both."""

    has_records: bool = False
    awaited: set[str] = field(default_factory=set)


class Watch:
    """
    Tells when the records in some directories may have changed.

    The directories need not exist. For one thread at a time; close it, or use it in `with`.

    Raises:
        OSError: No inotify instance or watch to be had (EMFILE, ENOSPC: the limits are
            fs.inotify.max_user_instances and max_user_watches), or a directory may not be read.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = tuple(dict.fromkeys(os.path.abspath(path) for path in paths))
        self._roles: dict[int, _Role] = {}
        self._is_armed = False
        self._inotify = inotify_simple.INotify(nonblocking=True)
        try:
            self._arm()
        except BaseException:
            self._inotify.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._inotify.close()

    def fileno(self) -> int:
        """Return a descriptor that is readable when `wait(0)` has something to look at."""
        return int(self._inotify.fileno())

    def wait(self, timeout_s: float | None = None) -> bool:
        """
        Return True as soon as the store may have changed, False when the time is over.

        All that happened until the return is one answer. 0 only looks; None waits for ever.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            if self._is_change(self._inotify.read(timeout=0)):
                return True
            left_s = None if deadline is None else deadline - time.monotonic()
            if left_s is not None and left_s <= 0:
                return False
            select.select([self._inotify], [], [], left_s)

    def _is_change(self, events: Iterable[inotify_simple.Event]) -> bool:
        is_change = is_other_place = False
        for event in events:
            role = self._roles.get(event.wd)
            if event.mask & _flags.Q_OVERFLOW:
                is_other_place = True  # whatever was lost may have been anything
            elif role is None:
                pass  # of a watch that we gave up
            elif event.mask & _GONE or event.name in role.awaited:
                is_other_place = True
            elif role.has_records and _is_record_file(event.name):
                is_change = True
        if is_other_place or not self._is_armed:
            self._arm()
            return True
        return is_change

    def _arm(self) -> None:
        """Watch what is there now. What was watched and still is keeps its descriptor."""
        self._is_armed = False  # until the end: who calls us again after an error arms again
        roles: dict[int, _Role] = {}
        for path in self._paths:
            # Again when a directory went while we were looking.
            while not self._arm_path(path, roles):
                pass
        for wd in self._roles.keys() - roles.keys():
            try:
                self._inotify.rm_watch(wd)
            except OSError:
                pass  # EINVAL: the directory is gone and took its watch along
        self._roles = roles
        self._is_armed = True

    def _arm_path(self, path: str, roles: dict[int, _Role]) -> bool:
        """Return False when a directory vanished in the middle."""
        chain = [path]
        while chain[0] != os.path.dirname(chain[0]):
            chain.insert(0, os.path.dirname(chain[0]))
        try:
            for directory, child in pairwise(chain):
                # The watch comes first, then the look: what is made in between is not missed.
                if child == path or not os.path.isdir(child):
                    role = roles.setdefault(self._add(directory, _ENTRIES), _Role())
                    role.awaited.add(os.path.basename(child))
                    if not os.path.isdir(child):
                        return True
                elif directory != "/":
                    try:
                        roles.setdefault(self._add(directory, _ITSELF), _Role())
                    except PermissionError:
                        pass  # we may go through it, not look at it: its move goes unseen
            roles.setdefault(self._add(path, _RECORDS), _Role()).has_records = True
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def _add(self, directory: str, mask: int) -> int:
        # MASK_ADD: one directory can stand in several chains, under several names.
        mask |= _flags.ONLYDIR | _flags.MASK_ADD
        try:
            return int(self._inotify.add_watch(directory, mask))
        except OSError as error:
            error.filename = directory
            raise


def _is_record_file(name: str) -> bool:
    """Whether it is a lock or a JSON file, and not a `.tmp-…` that will be renamed to one."""
    return name.endswith((".json", ".lock")) and not name.startswith(".")
