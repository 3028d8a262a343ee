"""
What partial pulls have under way, and what is left of those that were killed.

    G/overlay/staging/<random>/                 1.43: the content itself
    G/overlay/staging/<random>/staging.lock     1.54 and later: locked while in use

Source: spec/store-format.md 6.2, 8.13.
"""

import os
from typing import Final

from holdfs.native.lock import lock_try
from holdfs.native.remove import remove_tree

STAGING: Final = "staging"
_LOCK: Final = "staging.lock"


def remove_staging(home: str) -> bool:
    """Remove what nobody has locked, and say whether anything is left."""
    path = f"{home}/{STAGING}"
    if not os.path.isdir(path):
        return False
    in_use = [name for name in os.listdir(path) if not _remove_if_unused(path, name)]
    if not in_use:
        home_fd = os.open(home, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            remove_tree(home_fd, STAGING)
        finally:
            os.close(home_fd)
    return bool(in_use)


def _remove_if_unused(path: str, name: str) -> bool:
    lock_fd = -1
    path_fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
            lock_fd = os.open(f"{name}/{_LOCK}", flags, dir_fd=path_fd)
        except (FileNotFoundError, NotADirectoryError):
            pass  # of a program that locks nothing: what it did ended with the store's lock
        if lock_fd >= 0 and not lock_try(lock_fd, exclusive=True):
            return False
        remove_tree(path_fd, name)
        return True
    finally:
        os.close(path_fd)
        if lock_fd >= 0:
            os.close(lock_fd)
