"""
A place to unpack in, outside all locks: on the graph root's file system, where nobody else looks.

    G/tmp/holdfs-<random>.lock        held while the directory is in use
          holdfs-<random>/diff/       what is unpacked
                          tar-split   how it was put together

Not in the driver's home: there the Go tools delete what they do not know. What a killed process has
left is cleared by the next one that stages. Source: spec 7.4.
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack, contextmanager, suppress

from holdfs.core.lockfile import make_private_dir
from holdfs.native.about import about
from holdfs.native.lock import lock_try
from holdfs.native.remove import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

_PREFIX: Final = "holdfs-"
_LOCK: Final = ".lock"
_CHUNK: Final = 1 << 20


class Staging:
    """One staging directory; made by `staging`."""

    def __init__(self, graph_root: str, name: str, stack: ExitStack) -> None:
        self._stack = stack
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

    def spooled(self, source_fd: int) -> int:
        """
        Return a descriptor that gives all of a stream, from its start, without waiting for anybody.

        It can be sought in, and is closed with the directory; a file without a name, unless the
        source is a file itself.
        """
        if stat.S_ISREG(os.fstat(source_fd).st_mode):
            fd = os.dup(source_fd)
            self._stack.callback(os.close, fd)
            return fd
        fd = os.open(self.path, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self._stack.callback(os.close, fd)
        with about(self.path):
            while chunk := os.read(source_fd, _CHUNK):
                view = memoryview(chunk)
                while view:
                    view = view[os.write(fd, view) :]
        os.lseek(fd, 0, os.SEEK_SET)
        return fd


@contextmanager
def staging(graph_root: str) -> Iterator[Staging]:
    """Give a fresh staging directory, gone with all that is still in it at the end."""
    top = os.path.join(graph_root, "tmp")
    make_private_dir(top)
    top_fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            _clear_left_behind(top_fd)
            name, lock_fd = _make_locked(top_fd)
        except OSError as error:
            error.filename = os.path.join(top, error.filename or "")
            raise
        try:
            with ExitStack() as stack:
                yield Staging(graph_root, name, stack)
        finally:
            # What is done is done, and what failed is told: the next one clears what stays.
            with suppress(OSError):
                _remove(top_fd, name)
            os.close(lock_fd)
    finally:
        os.close(top_fd)


def clear(graph_root: str) -> None:
    """Delete what killed processes have left."""
    try:
        top_fd = os.open(f"{graph_root}/tmp", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        _clear_left_behind(top_fd)
    finally:
        os.close(top_fd)


def _make_locked(top_fd: int) -> tuple[str, int]:
    """Make a directory; return its name, and the descriptor that holds its lock."""
    while True:
        name = _PREFIX + os.urandom(8).hex()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(name + _LOCK, flags, 0o600, dir_fd=top_fd)
        try:
            # Somebody may have come in between, and cleared what nobody held.
            if lock_try(fd, exclusive=True) and os.fstat(fd).st_nlink:
                os.mkdir(name, 0o700, dir_fd=top_fd)
                return name, fd
        except BaseException:
            _remove(top_fd, name)
            os.close(fd)
            raise
        os.close(fd)


def _remove(top_fd: int, name: str) -> None:
    """Delete a directory, and its lock last: what is left of it is found by that."""
    remove_tree(top_fd, name)
    with suppress(FileNotFoundError):
        os.unlink(name + _LOCK, dir_fd=top_fd)


def _clear_left_behind(top_fd: int) -> None:
    for entry in os.listdir(top_fd):
        name = entry.removesuffix(_LOCK)
        if name == entry or not name.startswith(_PREFIX):
            continue
        try:
            fd = os.open(entry, os.O_RDWR | os.O_CLOEXEC, dir_fd=top_fd)
        except FileNotFoundError:
            continue
        try:
            if lock_try(fd, exclusive=True):
                _remove(top_fd, name)
        finally:
            os.close(fd)
