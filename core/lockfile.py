"""
The store's lock files: a reader/writer lock and the last writer's token in one file.

The lock is a record lock on the whole file. Ours are open-file-description locks: they exclude the
Go tools' fcntl locks and, unlike those, other threads of this process, and closing some other
descriptor of the file does not drop them. The token says whether what we read earlier still holds
(formats/lastwrite.py).

A lock file is opened anew for each hold, never replaced, never removed.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from filelock import BaseFileLock, Timeout

from holdfs.core.errors import LockTimeout
from holdfs.core.formats.lastwrite import TOKEN_SIZE, new_token
from holdfs.native import lock
from holdfs.native.about import about

# The holds are short (one JSON file written): a waiter asks again soon, at little cost.
_POLL_S: Final = 0.002


class _RecordLock(BaseFileLock):
    """filelock's waiting and bookkeeping around our primitive; its own flock excludes nobody."""

    exclusive = True

    def _acquire(self) -> None:
        access = os.O_RDWR if self.exclusive else os.O_RDONLY
        try:
            fd = os.open(self.lock_file, access | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError:
            if self.exclusive:
                raise
            # A read-only medium: O_CREAT fails there even for a file that exists (EROFS, EACCES).
            fd = os.open(self.lock_file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with about(self.lock_file):
                if lock.lock_try(fd, exclusive=self.exclusive):
                    self._context.lock_file_fd = fd
                    return
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)

    def _release(self) -> None:
        fd = self._context.lock_file_fd
        self._context.lock_file_fd = None
        if fd is not None:
            os.close(fd)


class _SharedRecordLock(_RecordLock):
    exclusive = False


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
        return self._holding(_RecordLock)

    def reading(self) -> AbstractContextManager[HeldLock]:
        """Hold the lock beside other readers; raises as `writing`."""
        return self._holding(_SharedRecordLock)

    @contextmanager
    def _holding(self, kind: type[_RecordLock]) -> Iterator[HeldLock]:
        make_private_dir(os.path.dirname(self.path))
        held = kind(self.path, thread_local=False, poll_interval=_POLL_S)
        try:
            held.acquire(timeout=-1 if self.timeout_s is None else self.timeout_s)
        except Timeout as error:
            raise LockTimeout(self.path, self.timeout_s or 0.0) from error
        try:
            fd = held._context.lock_file_fd
            assert fd is not None, "filelock says acquired and has no descriptor"
            yield HeldLock(fd, self.path)
        finally:
            held.release()


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
