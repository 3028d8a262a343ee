"""
The mount table: which layers are mounted where, and how often. It has a lock of its own.

    [{"id":"<layer id>","path":"<mount point>","count":2}]       R/D-layers/mountpoints.json

It lives in the run root, so it is gone after a reboot, as the mounts are. Only counts above 0 are
kept. Source: spec 2.5.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec

from holdfs.core.atomic import write_atomic
from holdfs.core.errors import StoreDamaged
from holdfs.core.formats import records
from holdfs.core.formats.records import MountEntry
from holdfs.core.lockfile import LockFile
from holdfs.core.reading import Signature, stat_signature

Mounts = Mapping[str, MountEntry]
_NONE: Mounts = {}


class MountTable:
    """mountpoints.json and its lock."""

    def __init__(self, path: str, lock: LockFile) -> None:
        self.path = path
        self.lock = lock
        self._mutex = threading.Lock()
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
        try:
            empty = data in (b"", b"null")
            entries = [] if empty else records.decode(data, list[MountEntry])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StoreDamaged(self.path, str(error)) from None
        return {entry.id: entry for entry in entries if entry.path and entry.count > 0}

    @contextmanager
    def edit(self) -> Iterator[dict[str, MountEntry]]:
        """
        Hold the lock for writing and yield the table, to be changed in place; saved at the end.

        An entry whose count is brought to 0 goes.

        Raises:
            LockTimeout: The lock was not to be had.
            StoreDamaged: The file is no list of mounts; it stays as it is.
        """
        with self.lock.writing() as held:
            before = self._read()
            table = dict(before)
            yield table
            kept = [entry for entry in table.values() if entry.count > 0]
            if kept != list(before.values()):
                held.renew_token()
                write_atomic(self.path, records.encode_value(kept))
