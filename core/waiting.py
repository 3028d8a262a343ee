"""Waiting for a lock that others hold: filelock's polling and timeouts around our primitive."""

import os
from typing import Final

from filelock import BaseFileLock, Timeout

from holdfs.core.errors import LockTimeout
from holdfs.core.lockfile import lock_once

# The holds are short (one JSON file written): a waiter asks again soon, at little cost.
_POLL_S: Final = 0.002


class _RecordLock(BaseFileLock):
    """filelock's own flock excludes nobody."""

    exclusive = True

    def _acquire(self) -> None:
        self._context.lock_file_fd = lock_once(self.lock_file, exclusive=self.exclusive)

    def _release(self) -> None:
        fd = self._context.lock_file_fd
        self._context.lock_file_fd = None
        if fd is not None:
            os.close(fd)


class _SharedRecordLock(_RecordLock):
    exclusive = False


def wait_for(path: str, *, exclusive: bool, timeout_s: float | None) -> int:
    """
    Return a descriptor of the lock file that holds the lock; closing it drops the lock.

    Args:
        timeout_s: None waits for ever.

    Raises:
        LockTimeout: Somebody held it for longer.
    """
    kind = _RecordLock if exclusive else _SharedRecordLock
    waiting = kind(path, thread_local=False, poll_interval=_POLL_S)
    try:
        waiting.acquire(timeout=-1 if timeout_s is None else timeout_s)
    except Timeout as error:
        raise LockTimeout(path, timeout_s or 0.0) from error
    try:
        fd = waiting._context.lock_file_fd
        assert fd is not None, "filelock says acquired and has no descriptor"
        # A descriptor of our own: that of filelock goes with its object.
        return os.dup(fd)
    finally:
        waiting.release()
