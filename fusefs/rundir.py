"""
Where a daemon keeps its own mounts, so that the next one can clear them if it crashes.

    R/holdfs/lock            held while a directory here is made or cleared
    R/holdfs/<16 hex>/       one daemon's; mounted on itself, private, once it has a view
        owner                its pid, for people; OFD-locked for as long as it lives
        counted              layer IDs, one a line, whose mounts it has counted in the store
        <layer id>/          mount point of a read-only view

The Go tools do not look at R/holdfs. A lock says who lives, not a pid: those are used again, and
mean nothing in another container that shares the run root.
"""

import logging
import os
import secrets
import threading
from typing import Final

from holdfs.core.atomic import write_atomic
from holdfs.core.errors import NotKnown, StoreError
from holdfs.core.lockfile import LockFile
from holdfs.core.store import Store
from holdfs.fusefs.mountpoint import read_mounts
from holdfs.native import mount
from holdfs.native.lock import lock_try

log = logging.getLogger(__name__)

_OWNER: Final = "owner"
_COUNTED: Final = "counted"


class RunDirectory:
    """
    The directory of this daemon, made and locked; `remove` it at the end.

    Raises:
        OSError: It could not be made.
        LockTimeout: Somebody makes or clears directories here for longer than `timeout_s`.
    """

    def __init__(self, run_root: str, *, timeout_s: float | None) -> None:
        top = _top(run_root)
        with LockFile(f"{top}/lock", timeout_s=timeout_s).writing():
            self.path = f"{top}/{secrets.token_hex(8)}"
            os.mkdir(self.path, 0o700)
            try:
                self._owner_fd = _open_owner(self.path)
            except BaseException:
                # The next `rootfs` tries again, and would leave one more.
                _remove(self.path)
                raise
        self._is_private = False
        self._mutex = threading.Lock()

    def make_mount_point(self, layer_id: str) -> str:
        """
        Make the empty directory for a layer's view and return its path.

        Raises:
            OSError: EPERM for who has no right to mount; giving counts back needs none.
        """
        with self._mutex:
            if not self._is_private:
                # What we mount below must not appear in, and be kept busy by, the namespaces of
                # others.
                mount.bind(self.path, self.path)
                self._is_private = True
        path = f"{self.path}/{layer_id}"
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass  # somebody else unmounted what was there
        return path

    def write_counted(self, layer_ids: list[str]) -> None:
        """Note for the next daemon what must be given back if we crash."""
        _write_counted(self.path, layer_ids)

    def give_back(self, store: Store, layer_id: str) -> None:
        """Undo one counted mount; raises what Store.unmount does, and then it is noted still."""
        _give_back(store, self.path, layer_id)

    def remove(self) -> None:
        """Unmount what is left below, then remove the directory and drop the lock."""
        try:
            _remove(self.path)
        finally:
            os.close(self._owner_fd)

    def leave(self) -> None:
        """Unmount what is left below; what is counted is given back by the next daemon."""
        try:
            _unmount_below(self.path)
        finally:
            os.close(self._owner_fd)


def clear_left_behind(store: Store, *, timeout_s: float | None) -> None:
    """
    Undo what daemons that crashed have left: their mounts, their counts, their directories.

    What can't be undone is logged and stays for the next one.
    """
    top = _top(store.run_root)
    if not os.path.isdir(top):
        return
    try:
        with LockFile(f"{top}/lock", timeout_s=timeout_s).writing():
            for entry in os.scandir(top):
                if entry.is_dir(follow_symlinks=False):
                    _clear(store, entry.path)
    except (StoreError, OSError) as error:
        log.warning("what a crashed holdfs left in %s was not cleared: %s", top, error)


def _open_owner(path: str) -> int:
    """Make the file that says who has the directory; it is locked until it is closed."""
    fd = os.open(f"{path}/{_OWNER}", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, f"{os.getpid()}\n".encode())
        lock_try(fd, exclusive=True)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _clear(store: Store, path: str) -> None:
    try:
        owner_fd = os.open(f"{path}/{_OWNER}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return  # its daemon has just removed it
    try:
        if not lock_try(owner_fd, exclusive=True):
            return
        log.info("clearing %s, left by a holdfs that crashed", path)
        for layer_id in _read_counted(path):
            _give_back(store, path, layer_id)
        _remove(path)
    finally:
        os.close(owner_fd)


def _give_back(store: Store, path: str, layer_id: str) -> None:
    # Struck off first: if we are killed in between, a count too many stays. The other way round
    # the next daemon would take one that is another tool's.
    before = _read_counted(path)
    _write_counted(path, [other for other in before if other != layer_id])
    try:
        store.unmount(layer_id)
    except NotKnown:
        pass  # the layer is gone, and its count with it
    except BaseException:
        _write_counted(path, before)
        raise


def _write_counted(path: str, layer_ids: list[str]) -> None:
    text = "".join(f"{layer_id}\n" for layer_id in layer_ids)
    write_atomic(f"{path}/{_COUNTED}", text.encode(), durable=False)


def _read_counted(path: str) -> list[str]:
    try:
        with open(f"{path}/{_COUNTED}", encoding="ascii") as f:
            return f.read().split()
    except FileNotFoundError:
        return []


def _unmount_below(path: str) -> None:
    below = [m.point for m in read_mounts() if m.point == path or m.point.startswith(path + "/")]
    for point in reversed(below):
        mount.umount(point)


def _remove(path: str) -> None:
    _unmount_below(path)
    # Name by name: nothing here may ever walk into what is mounted.
    for entry in os.scandir(path):
        if entry.is_dir(follow_symlinks=False):
            os.rmdir(entry.path)
        else:
            os.unlink(entry.path)
    os.rmdir(path)


def _top(run_root: str) -> str:
    # As mountinfo has it.
    return os.path.join(os.path.realpath(run_root), "holdfs")
