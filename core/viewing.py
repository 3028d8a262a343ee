"""The whole tree of a layer, to be looked at by us alone."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from holdfs.drivers.base import Driver
from holdfs.native.mount import umount


@contextmanager
def opened_view(driver: Driver, run_root: str, layer_id: str) -> Iterator[int]:
    """
    Give a descriptor of the tree that a layer shows: see `open_view`.

    Raises:
        DriverError, OSError: It can't be mounted.
    """
    fd = open_view(driver, run_root, layer_id)
    try:
        yield fd
    finally:
        os.close(fd)


def open_view(driver: Driver, run_root: str, layer_id: str) -> int:
    """
    Return a descriptor of the tree that a layer shows; no count of mounts tells of it.

    It is mounted below the run root only until it is open, and goes for good with the descriptor
    and all that was opened through it: nothing stays if this process is killed.

    Raises:
        DriverError, OSError: It can't be mounted.
    """
    target = tempfile.mkdtemp(prefix="holdfs-view-", dir=run_root)
    with ExitStack() as on_failure:
        try:
            driver.mount_view(layer_id, target)
            try:
                fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                on_failure.callback(os.close, fd)
            finally:
                umount(target)
        finally:
            # Never what is in it: that would be the layer, should it still be mounted.
            os.rmdir(target)
        on_failure.pop_all()
    return fd
