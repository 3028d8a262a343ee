"""Project quotas: a limit for everything below a directory, on xfs mounted with pquota."""

import os

from holdfs.native._native import lib


def read_project(fd: int) -> int:
    """Return the project of an open directory, 0 for none."""
    result: int = lib.hold_project(fd)
    _check(result, f"fd {fd}")
    return result


def set_project(fd: int, project: int, *, inherits: bool = True) -> None:
    """Put an open directory into a project, and all that will be made in it."""
    _check(lib.hold_set_project(fd, project, inherits), f"fd {fd}")


def limit_project(device: str, project: int, *, size: int, inodes: int) -> None:
    """
    Limit a project of the file system on a block device; 0 for no limit.

    Raises:
        OSError: With the device as filename; ENOSYS or ESRCH where nothing is accounted for.
    """
    _check(lib.hold_limit_project(os.fsencode(device), project, size, inodes), device)


def _check(result: int, filename: str) -> None:
    if result < 0:
        raise OSError(-result, os.strerror(-result), filename)
