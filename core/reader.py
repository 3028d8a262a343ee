"""
The records of one kind on disk, read without a lock, and again when somebody wrote.

    lock file (token) ─┐
    JSON files (stat) ─┴─ as before? ── yes ──► the Records of last time
                              ╰──────── no ───► read_part of what differs ──► new Records
"""

from __future__ import annotations

from _thread import allocate_lock

from holdfs.core.formats.generic import Generic, R
from holdfs.core.part import read_data, read_part, stat_signature
from holdfs.core.reading import Records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfs.core.formats.shapes import Shape
    from holdfs.core.lockfile import LockFile, LockGroup
    from holdfs.core.part import Source


#: What the Go tools write where nothing is left, and what is read of a file that is not there.
_NO_RECORDS = (b"[]", b"null", b"")


class Reader(Generic[R]):
    """
    The records of one kind in one store, and in additional stores behind it, to be looked at.

    Args:
        lock: Protects all the writable sources.
        sources: The first takes new records, a volatile one new volatile records.
    """

    def __init__(
        self,
        shape: Shape[R],
        lock: LockFile | LockGroup,
        sources: Sequence[Source],
    ) -> None:
        self.shape = shape
        self.lock = lock
        self.sources = tuple(sources)
        self._mutex = allocate_lock()
        self._current: Records[R] | None = None
        # Whether an edit of this process holds the lock: then nobody else writes.
        self._is_ours = False

    @property
    def known(self) -> Records[R] | None:
        """The records as they were last read, None if they never were."""
        return self._current

    def current(self) -> Records[R]:
        """
        Return the records as they are on disk now: the object of last time unless one changed.

        Takes no lock of the store. Costs a stat a file and a 64-byte read. During an edit of this
        process they are those of its last save, which is waited for, and nothing is looked at: who
        is woken by the token that was just written would read the old file once more.
        """
        with self._mutex:
            if self._is_ours and self._current is not None:
                return self._current
        # The token first: should a writer come in between, the next look finds it changed.
        token = self.lock.token()
        signature = (token, tuple(stat_signature(source.path) for source in self.sources))
        with self._mutex:
            is_known = self._current is not None and self._is_ours
            if self._current is None or not (is_known or self._current.signature == signature):
                self._current = self._read(token, self._current)
            return self._current

    def only(self, keys: tuple[str, ...]) -> tuple[bytes, bytes] | None:
        """
        Return the one file that has records, and what these may hold, for who keeps none of them.

        None where several have: `current` is to be asked then. An empty array where none has.

        Args:
            keys: Those that are wanted.
        """
        read = (read_data(source.path) for source in self.sources)
        files = [data for data in read if data not in _NO_RECORDS]
        if len(files) > 1:
            return None
        return (files[0] if files else b"[]", self.shape.spec(keys))

    def _read(self, token: bytes, known: Records[R] | None) -> Records[R]:
        parts = []
        for index, source in enumerate(self.sources):
            before = known.parts[index] if known is not None else None
            # A new token means that some file was written, and its stat can't be trusted to show
            # it: two quick renames give the first inode number back, within one tick of mtime.
            is_trusted = known is not None and (known.token == token or source.read_only)
            if (
                before is not None
                and is_trusted
                and before.signature == stat_signature(source.path)
            ):
                parts.append(before)
            else:
                parts.append(read_part(source, self.shape, before))
        return Records(self.shape, parts, token, known)
