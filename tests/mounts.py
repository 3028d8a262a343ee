"""
What the kernel says is mounted, and how tests get rid of it.

Read from /proc/self/mountinfo and undone with umount2 alone: cleaning up must not depend on the
code under test, nor look into a file system whose daemon may hang.
"""

import ctypes
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

_MNT_DETACH = 2
_UMOUNT_NOFOLLOW = 8

_libc = ctypes.CDLL(None, use_errno=True)


def mounts_below(directory: str) -> list[str]:
    """Return the mount points at and below `directory`, in the order they were mounted."""
    top = os.path.realpath(directory)
    with open("/proc/self/mountinfo", "rb") as f:
        points = [_unescape(line.split(b" ")[4]) for line in f]
    return [p for p in points if p == top or p.startswith(top + "/")]


def _unescape(field: bytes) -> str:
    """Return the path that mountinfo writes with blanks and newlines as `\\040`, `\\012`."""
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), field))


def detach(mount_point: str) -> None:
    """Unmount lazily: out of the tree at once, gone when its last user is."""
    if _libc.umount2(os.fsencode(mount_point), _MNT_DETACH | _UMOUNT_NOFOLLOW) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), mount_point)


def unmount_below(directory: str) -> list[str]:
    """
    Detach everything mounted at or below `directory`, deepest and youngest first.

    Returns:
        What was mounted there.

    Raises:
        OSError: The kernel refused one.
    """
    found = mounts_below(directory)
    while left := mounts_below(directory):
        # The deepest one: nothing is below it; of several on one point the last covers the others.
        deepest = max(reversed(left), key=lambda p: p.count("/"))
        detach(deepest)
    return found


@contextmanager
def detached_after(directory: str) -> Iterator[str]:
    """Give `directory`, and at the end detach whatever is mounted at or below it."""
    try:
        yield directory
    finally:
        unmount_below(directory)
