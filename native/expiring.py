"""Unmounting what nobody uses any more."""

import enum
import errno
import os
from typing import Final

from holdfs.native._native import lib

_MNT_EXPIRE: Final = 4


class Expiry(enum.Enum):
    """What an attempt to unmount an idle mount came to."""

    UNMOUNTED = "unmounted"
    #: Idle now; the next attempt unmounts it unless it is used before.
    MARKED = "marked"
    #: Somebody has a file or directory of it open.
    BUSY = "busy"


def umount_expire(path: str) -> Expiry:
    """Unmount `path` if nobody has used it since the last call said MARKED; never waits."""
    result: int = lib.hold_umount(os.fsencode(path), _MNT_EXPIRE)
    if result == -errno.EAGAIN:
        return Expiry.MARKED
    if result == -errno.EBUSY:
        return Expiry.BUSY
    if result < 0:
        raise OSError(-result, os.strerror(-result), path)
    return Expiry.UNMOUNTED
