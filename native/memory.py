"""Memory for much at once: how it is filled, and what a process of weeks does once it is free."""

import os

from holdfs.native._native import ffi, lib


def return_blocks(size: int) -> None:
    """Let freed blocks of this many bytes or more go back to the kernel at once, whatever else."""
    lib.hold_return_blocks(size)


def read_fresh(fd: int, size: int) -> bytes:
    """
    Return the next `size` bytes of a file, or as many as there are; for many pages.

    Raises:
        OSError: It can't be read.
    """
    # Untouched memory of a bytes object that nobody else has yet: it is filled as os.read does.
    data = bytes(size)
    got: int = lib.hold_read_fresh(fd, ffi.from_buffer("char[]", data), size)
    if got < 0:
        raise OSError(-got, os.strerror(-got), f"fd {fd}")
    return data if got == size else data[:got]
