"""Files of a tree that nobody vouches for, reached from a descriptor of its top."""

import os
from typing import Final

from holdfs.native._native import lib

#: No way out of the tree, by `..`, links or mounts; and no link is followed, not even inside it.
_STRICT: Final = 0x01 | 0x02 | 0x04 | 0x08  # NO_XDEV, NO_MAGICLINKS, NO_SYMLINKS, BENEATH
#: A path of one system call, NUL and all, has at most 4096 bytes.
_LONGEST: Final = 4000


def open_inside(top_fd: int, path: bytes, flags: int) -> int:
    """
    Open what is at `path` below `top_fd`, however long; no component may be a link.

    Args:
        path: Relative; b"" for the top itself.
        flags: Of open(2). O_PATH | O_NOFOLLOW opens the last component whatever it is.

    Raises:
        OSError: ELOOP if there is a link on the way, ENOTDIR, ENOENT, …
    """
    if len(path) <= _LONGEST:
        return _open(top_fd, path or b".", flags)
    fd, rest = top_fd, path
    try:
        while len(rest) > _LONGEST:
            cut = rest.rindex(b"/", 0, _LONGEST)
            below = _open(fd, rest[:cut], os.O_PATH | os.O_DIRECTORY)
            if fd != top_fd:
                os.close(fd)
            fd, rest = below, rest[cut + 1 :]
        return _open(fd, rest, flags)
    finally:
        if fd != top_fd:
            os.close(fd)


def clone_mount(path: str) -> int:
    """
    Return a descriptor of a private, read-only copy of the mount that the directory `path` is in.

    What is mounted below is left out. The mount itself is not kept busy by it.

    Raises:
        OSError: With the path as filename.
    """
    result: int = lib.hold_clone_mount(os.fsencode(path))
    if result < 0:
        raise OSError(-result, os.strerror(-result), path)
    return result


def _open(fd: int, path: bytes, flags: int) -> int:
    result: int = lib.hold_openat2(fd, path, flags, _STRICT)
    if result < 0:
        raise OSError(-result, os.strerror(-result), os.fsdecode(path))
    return result
