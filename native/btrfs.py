"""Subvolumes of btrfs: made, copied at once, destroyed with all that is in them, and limited."""

import os

from holdfs.native._native import lib


def create_subvolume(dir_fd: int, name: str) -> None:
    """Make the empty subvolume `name` in the directory `dir_fd`."""
    _check(lib.hold_btrfs_create(dir_fd, os.fsencode(name)), name)


def create_snapshot(source_fd: int, dir_fd: int, name: str) -> None:
    """Make `name` in `dir_fd` a writable copy of the subvolume `source_fd`."""
    _check(lib.hold_btrfs_snapshot(source_fd, dir_fd, os.fsencode(name)), name)


def destroy_subvolume(dir_fd: int, name: str) -> None:
    """
    Destroy the subvolume `name` in `dir_fd` and all that are in it.

    Raises:
        OSError: With `name` as filename, and a part may be gone; EINVAL when it is no subvolume.
    """
    _check(lib.hold_btrfs_destroy(dir_fd, os.fsencode(name)), name)


def has_quota(fd: int) -> bool:
    """Whether the file system of `fd` accounts for space by subvolume."""
    result: int = lib.hold_btrfs_has_quota(fd)
    _check(result, f"fd {fd}")
    return result == 1


def enable_quota(fd: int) -> None:
    """Let the file system of `fd` account for space by subvolume, if it does not yet."""
    _check(lib.hold_btrfs_enable_quota(fd), f"fd {fd}")


def limit_subvolume(fd: int, size: int) -> None:
    """Limit what the subvolume `fd` may refer to, to `size` bytes; 0 lifts the limit."""
    _check(lib.hold_btrfs_limit(fd, size), f"fd {fd}")


def rescan_quota(fd: int) -> None:
    """Have the space counted anew, in the background; being done already is no error."""
    _check(lib.hold_btrfs_rescan(fd), f"fd {fd}")


def _check(result: int, filename: str) -> None:
    if result < 0:
        raise OSError(-result, os.strerror(-result), filename)
