"""
The mount table: which layers are mounted where, and how often. It has a lock of its own.

    [{"id":"<layer id>","path":"<mount point>","count":2}]       R/D-layers/mountpoints.json

It lives in the run root, so it is gone after a reboot, as the mounts are. Only counts above 0 are
kept. Source: spec 2.5.
"""

from __future__ import annotations

from _thread import allocate_lock

from holdfs.core.errors import StoreDamaged
from holdfs.core.part import stat_signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import TypeAlias

    from holdfs.core.formats.records import MountEntry
    from holdfs.core.lockfile import HeldLock, LockFile
    from holdfs.core.part import Signature

    Mounts: TypeAlias = Mapping[str, MountEntry]

_NONE: Mounts = {}


class MountTable:
    """mountpoints.json and its lock."""

    def __init__(self, path: str, lock: LockFile) -> None:
        self.path = path
        self.lock = lock
        self._mutex = allocate_lock()
        self._signature: tuple[bytes, Signature] = (b"", None)
        self._current: Mounts = _NONE

    def current(self) -> Mounts:
        """
        Return the table by layer ID, without a lock: the object of last time unless it changed.

        Raises:
            StoreDamaged: The file is no list of mounts.
        """
        # The token as well: a file replaced twice within a tick may have the stat it had before.
        signature = (self.lock.token(), stat_signature(self.path))
        with self._mutex:
            if signature != self._signature:
                self._current = self._read()
                self._signature = signature
            return self._current

    def _read(self) -> Mounts:
        try:
            with open(self.path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return _NONE
        if data in (b"", b"null", b"[]"):
            return _NONE
        from holdfs.core.formats.typed import UNDECODABLE, decode_mounts

        try:
            entries = decode_mounts(data)
        except UNDECODABLE as error:
            from holdfs.core.unsure import reason

            raise StoreDamaged(self.path, reason(error)) from None
        return {entry.id: entry for entry in entries if entry.path and entry.count > 0}

    def edit(self) -> _Edit:
        """
        Hold the lock for writing and yield the table, to be changed in place; saved at the end.

        An entry whose count is brought to 0 goes.

        Raises:
            LockTimeout: The lock was not to be had.
            StoreDamaged: The file is no list of mounts; it stays as it is.
        """
        return _Edit(self)


class _Edit:
    """One transaction."""

    def __init__(self, table: MountTable) -> None:
        self._table = table
        self._hold: AbstractContextManager[HeldLock] = table.lock.writing()

    def __enter__(self) -> dict[str, MountEntry]:
        self._held = self._hold.__enter__()
        try:
            self._before = self._table._read()
        except BaseException as error:
            self._hold.__exit__(type(error), error, None)
            raise
        self._changed = dict(self._before)
        return self._changed

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._save()
        finally:
            self._hold.__exit__(kind, error, traceback)

    def _save(self) -> None:
        kept = [entry for entry in self._changed.values() if entry.count > 0]
        if kept != list(self._before.values()):
            from holdfs.core.atomic import write_atomic
            from holdfs.core.formats import records

            self._held.renew_token()
            write_atomic(self._table.path, records.encode_value(kept))
