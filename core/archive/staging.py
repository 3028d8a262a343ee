"""
A place to unpack in, outside all locks: on the graph root's file system, where nobody else looks.

    G/tmp/holdfs-<random>/lock        held while the directory is in use
                          diff/       what is unpacked
                          tar-split   how it was put together

Not in the driver's home: there the Go tools delete what they do not know. What a killed process has
left is cleared by the next one that stages. Source: spec 7.4.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from holdfs.core.lockfile import make_private_dir
from holdfs.native.lock import lock_try
from holdfs.native.remove import remove_tree

_PREFIX: Final = "holdfs-"


class Staging:
    """One staging directory; made by `staging`."""

    def __init__(self, graph_root: str, name: str) -> None:
        self._graph_root = graph_root
        #: Relative to the graph root, for renames below its mounts.
        self.name = f"tmp/{name}"
        self.path = os.path.join(graph_root, self.name)

    @property
    def diff(self) -> str:
        """Return the path of the directory to unpack into, which the driver makes."""
        return f"{self.path}/diff"

    @property
    def tar_split(self) -> str:
        """Return the path that the tar-split is written to."""
        return f"{self.path}/tar-split"


@contextmanager
def staging(graph_root: str) -> Iterator[Staging]:
    """Give a fresh staging directory, gone with all that is still in it at the end."""
    top = os.path.join(graph_root, "tmp")
    make_private_dir(top)
    top_fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _clear_left_behind(top_fd)
        name = _PREFIX + secrets.token_hex(8)
        lock_fd = _make_locked(top_fd, name)
        try:
            yield Staging(graph_root, name)
        finally:
            remove_tree(top_fd, name)
            os.close(lock_fd)
    finally:
        os.close(top_fd)


def _make_locked(top_fd: int, name: str) -> int:
    os.mkdir(name, 0o700, dir_fd=top_fd)
    fd = os.open(f"{name}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=top_fd)
    # Nobody clears a directory whose lock file is missing, so that nobody comes in between.
    lock_try(fd, exclusive=True)
    return fd


def _clear_left_behind(top_fd: int) -> None:
    for name in os.listdir(top_fd):
        if not name.startswith(_PREFIX):
            continue
        try:
            fd = os.open(f"{name}/lock", os.O_RDWR | os.O_CLOEXEC, dir_fd=top_fd)
        except FileNotFoundError:
            continue
        try:
            if lock_try(fd, exclusive=True):
                remove_tree(top_fd, name)
        finally:
            os.close(fd)
