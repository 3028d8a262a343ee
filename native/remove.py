"""Deleting a directory tree that others may have filled with anything."""

import os

from holdfs.native._native import lib


def remove_tree(dir_fd: int, name: str) -> None:
    """
    Delete `name` in the directory `dir_fd` and everything below it.

    Follows no symbolic link, enters no other mount, and clears the immutable and append-only flags
    that are in the way. Not there: no error.

    Raises:
        OSError: With `name` as filename, and a part may be gone; EBUSY when something is mounted
            in there.
    """
    result: int = lib.hold_remove_tree(dir_fd, os.fsencode(name))
    if result < 0:
        raise OSError(-result, os.strerror(-result), name)
