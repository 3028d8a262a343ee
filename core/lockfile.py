"""
The store's lock files: a reader/writer lock and the last writer's token in one file.

The lock is a record lock on the whole file. Ours are open-file-description locks: they exclude the
Go tools' fcntl locks and, unlike those, other threads of this process, and closing some other
descriptor of the file does not drop them. The token says whether what we read earlier still holds
(formats/lastwrite.py).

A lock file is opened anew for each hold, never replaced, never removed.
"""

from __future__ import annotations

import errno
import os

from holdfs.core.formats.lastwrite import TOKEN_SIZE, new_token
from holdfs.native import lock
from holdfs.native.about import about

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import TypeAlias


def lock_once(path: str, *, exclusive: bool) -> int | None:
    """
    Return a descriptor of the lock file, made if need be, that holds the lock; None if others do.

    Closing it drops the lock. Raises OSError.
    """
    access = os.O_RDWR if exclusive else os.O_RDONLY
    try:
        fd = os.open(path, access | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:
        if exclusive:
            raise
        # A read-only medium: O_CREAT fails there even for a file that exists (EROFS, EACCES).
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with about(path):
            if lock.lock_try(fd, exclusive=exclusive):
                return fd
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


class HeldLock:
    """A lock that is held: the token can be read and, if held for writing, renewed."""

    def __init__(self, fd: int, path: str) -> None:
        self._fd = fd
        self._path = path

    def token(self) -> bytes:
        """Return the last writer's token, empty if nobody has written yet."""
        return os.pread(self._fd, TOKEN_SIZE, 0)

    def renew_token(self) -> bytes:
        """Write a fresh token, so that everyone else reloads, and return it."""
        token = new_token()
        # One pwrite, no truncation: readers look without a lock and must see one or the other.
        with about(self._path):
            if os.pwrite(self._fd, token, 0) != TOKEN_SIZE:
                raise OSError(errno.ENOSPC, "only a part of the token was written", self._path)
        return token


class LockFile:
    """
    One lock file by path. Holds are not re-entrant; each caller's is its own.

    Args:
        timeout_s: How long a hold may be waited for; None waits for ever, as the Go tools do.
    """

    def __init__(self, path: str, *, timeout_s: float | None = None) -> None:
        self.path = path
        self.paths = (path,)
        self.timeout_s = timeout_s

    def token(self) -> bytes:
        """Return the token as it is now, without a lock; empty if the file is not there."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        try:
            return os.pread(fd, TOKEN_SIZE, 0)
        finally:
            os.close(fd)

    def writing(self) -> AbstractContextManager[HeldLock]:
        """
        Hold the lock alone.

        Raises:
            LockTimeout: Somebody held it for longer than `timeout_s`.
        """
        return _Hold(self, exclusive=True)

    def reading(self) -> AbstractContextManager[HeldLock]:
        """Hold the lock beside other readers; raises as `writing`."""
        return _Hold(self, exclusive=False)


class _Hold:
    """One hold of a lock file."""

    __slots__ = ("_exclusive", "_fd", "_file")

    def __init__(self, file: LockFile, *, exclusive: bool) -> None:
        self._file = file
        self._exclusive = exclusive
        self._fd = -1

    def __enter__(self) -> HeldLock:
        path = self._file.path
        make_private_dir(os.path.dirname(path))
        fd = lock_once(path, exclusive=self._exclusive)
        if fd is None:
            # Seldom, and what waits well takes longer to import than a short command.
            from holdfs.core.waiting import wait_for

            fd = wait_for(path, exclusive=self._exclusive, timeout_s=self._file.timeout_s)
        self._fd = fd
        return HeldLock(fd, path)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._fd)


class HeldGroup:
    """Several locks that are held: one token for all, renewed together."""

    def __init__(self, held: Sequence[Held]) -> None:
        self._held = held

    def token(self) -> bytes:
        """Return the last writers' tokens, one after the other."""
        return b"".join(held.token() for held in self._held)

    def renew_token(self) -> bytes:
        """Write a fresh token to each lock file."""
        return b"".join(held.renew_token() for held in self._held)


if TYPE_CHECKING:
    Held: TypeAlias = HeldLock | HeldGroup


class LockGroup:
    """Several lock files that are held together, taken in their order: a store in two places."""

    def __init__(self, locks: Sequence[LockFile]) -> None:
        self._locks = locks
        self.path = locks[0].path
        self.paths = tuple(lock.path for lock in locks)

    def token(self) -> bytes:
        """Return the tokens as they are now, without a lock."""
        return b"".join(lock.token() for lock in self._locks)

    def writing(self) -> AbstractContextManager[HeldGroup]:
        """Hold all of them alone; raises as `LockFile.writing`."""
        return _GroupHold([lock.writing() for lock in self._locks])

    def reading(self) -> AbstractContextManager[HeldGroup]:
        """Hold all of them beside other readers; raises as `LockFile.writing`."""
        return _GroupHold([lock.reading() for lock in self._locks])


class _GroupHold:
    """One hold of several lock files."""

    __slots__ = ("_entered", "_holds")

    def __init__(self, holds: Sequence[AbstractContextManager[HeldLock]]) -> None:
        self._holds = holds
        self._entered: list[AbstractContextManager[HeldLock]] = []

    def __enter__(self) -> HeldGroup:
        held = []
        try:
            for hold in self._holds:
                held.append(hold.__enter__())
                self._entered.append(hold)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return HeldGroup(held)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        while self._entered:
            self._entered.pop().__exit__(kind, error, traceback)


def make_private_dir(path: str) -> None:
    """Make the directory and its missing parents, mode 0700, as the Go tools do."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    if parent != path:
        make_private_dir(parent)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        # Another process was quicker, unless what is there is no directory.
        if not os.path.isdir(path):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from None
