"""A user namespace, and a mount namespace, for this process."""

import os

from holdfs.native._native import lib


def unshare_user(death_signal: int) -> None:
    """
    Put this process, which has one thread, into a user and a mount namespace of its own.

    It is nobody there until its maps are written, and gets this signal when its parent ends.

    Raises:
        OSError: EPERM or ENOSPC where the system does not allow it.
    """
    result: int = lib.hold_unshare_user(death_signal)
    if result < 0:
        raise OSError(-result, os.strerror(-result), "user namespace")


def unshare_mounts() -> None:
    """
    Put this process into a mount namespace of its own: its mounts and those of others are apart.

    Raises:
        OSError: EPERM or EACCES for who has no right to mount, also as root of a user namespace.
    """
    result: int = lib.hold_unshare_mounts()
    if result < 0:
        raise OSError(-result, os.strerror(-result), "mount namespace")
