"""Deleting a directory in which others may have mounted something."""

from __future__ import annotations

import errno
import os
import time

from holdfs.drivers.mountinfo import mounts_below
from holdfs.native.mount import umount
from holdfs.native.remove import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# As the Go tools: others may hold a file of the layer, in their own mount namespace, for a moment.
_TRIES: Final = 100
_PAUSE_S: Final = 0.1


def remove_with_mounts(directory: str, name: str) -> None:
    """
    Unmount whatever is mounted at or below `name` in the directory, then delete it with all in it.

    What is in a mount stays: it belongs to whoever mounted it. Not there: no error.

    Raises:
        OSError: It can't be deleted; a part may be gone. EBUSY: something is mounted there again
            and again, for ten seconds.
    """
    directory_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for left in reversed(range(_TRIES)):
            for mount in mounts_below(f"{directory}/{name}"):
                umount_if_mounted(mount.point)
            try:
                remove_tree(directory_fd, name)
                return
            except OSError as error:
                if error.errno != errno.EBUSY or not left:
                    raise
            time.sleep(_PAUSE_S)
    finally:
        os.close(directory_fd)


def umount_if_mounted(path: str) -> bool:
    """Unmount `path`, and say whether there was a mount."""
    try:
        umount(path)
    except OSError as error:
        # EINVAL: not mounted, or another program was faster. ENOENT: no directory.
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return False
        raise
    return True
