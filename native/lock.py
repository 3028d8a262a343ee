"""OFD record locks on a whole file: the ones that exclude the Go tools' fcntl locks."""

import errno
import os

from holdfs.native._native import lib


def lock_try(fd: int, *, exclusive: bool) -> bool:
    """
    Take the lock if nobody else holds it; never wait.

    Args:
        fd: Open for reading (shared) or writing (exclusive). Closing it drops the lock.

    Returns:
        False when someone else holds it, in this process or another.
    """
    result: int = lib.hold_lock_try(fd, exclusive)
    if result == -errno.EAGAIN:
        return False
    if result < 0:
        raise OSError(-result, os.strerror(-result), f"fd {fd}")
    return True
