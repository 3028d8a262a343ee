"""A copy of a directory tree by two threads in C, data shared where the file system can."""

import os

from holdfs.native._tar import ffi, lib


def copy_tree(
    source_fd: int, target_fd: int, *, ignore_chown_errors: bool = False, in_userns: bool = False
) -> None:
    """
    Make the empty directory `target_fd` equal to `source_fd`, itself included.

    Owners, modes, times, hard links, special files, holes and the extended attributes of layers
    are kept. Nobody may change the source meanwhile. The GIL is released.

    Args:
        source_fd, target_fd: Directories, open for reading.
        in_userns: Devices are left out, since they can't be made there.

    Raises:
        OSError: A part has been copied. The text names the path that failed.
    """
    message = ffi.new("char[]", 1024)
    result: int = lib.hold_copy_tree(
        source_fd, target_fd, ignore_chown_errors, in_userns, message, len(message)
    )
    if result < 0:
        raise OSError(-result, os.fsdecode(ffi.string(message)))
