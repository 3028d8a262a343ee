"""
The btrfs driver: each layer is a subvolume, made as a snapshot of its parent; nothing is mounted.

    G/btrfs/subvolumes/<layer-id>/    the layer's tree
    G/btrfs/quotas/<layer-id>         its limit in bytes, decimal, no newline; only if it has one
Source: spec/store-format.md 9.1; containers/storage, drivers/btrfs/btrfs.go.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from holdfs.drivers.backing import backing_name
from holdfs.drivers.base import DriverError, DriverNotSupported, IdMap, MountOptions
from holdfs.drivers.directories import DirectoryDriver, is_layer_name
from holdfs.drivers.mountinfo import mounts_below
from holdfs.drivers.options import (
    format_size,
    parse_options,
    parse_size,
    parse_storage_options,
    unknown_option,
)
from holdfs.drivers.privatehome import undo_private_home
from holdfs.native import btrfs
from holdfs.native import mount as sys
from holdfs.native.remove import remove_tree

# We use no library of btrfs. Debian 12's tools say this, and scripts may compare.
_BUILD_VERSION: Final = "Btrfs v6.2"
_LIBRARY_VERSION: Final = "102"


def open_btrfs(graph_root: str, options: Sequence[str]) -> "BtrfsDriver":
    """
    Return the btrfs driver of a graph root; its home is made.

    With limits among the options, the file system is made to account for space.

    Raises:
        DriverNotSupported: The graph root is on another file system; nothing is made.
        DriverError: An option is wrong.
    """
    min_space = size = 0
    for option in parse_options("btrfs", options):
        match option.key:
            case "min_space":
                min_space = parse_size(option.value)
            case "size":
                size = parse_size(option.value)
            case "mountopt":
                raise DriverError("btrfs driver does not support mount options")
            case _:
                raise unknown_option(option)
    home = f"{graph_root}/btrfs"
    backing = backing_name(home if os.path.isdir(home) else graph_root)
    if backing != "btrfs":
        raise DriverNotSupported(
            f"the btrfs driver can't work on {backing}, where {graph_root} is",
            words=f'"{home}" is not on a btrfs filesystem: '
            "prerequisites for driver not satisfied (wrong filesystem?)",
        )
    os.makedirs(home, 0o700, exist_ok=True)
    os.makedirs(f"{home}/subvolumes", 0o700, exist_ok=True)
    driver = BtrfsDriver(home, min_space=min_space, size=size)
    if min_space or size:
        driver.enable_quota()
    return driver


class BtrfsDriver(DirectoryDriver):
    """The btrfs driver of one graph root; made by `open_btrfs`."""

    name: Final = "btrfs"

    def __init__(self, home: str, *, min_space: int, size: int) -> None:
        """
        Args:
            min_space: The least that a layer may be limited to; 0 for any.
            size: The limit of layers that are made without one of their own; 0 for none.
        """
        super().__init__(home, "subvolumes", ignore_chown_errors=False)
        self._min_space = min_space
        self._size = size

    def status(self) -> list[tuple[str, str]]:
        """Key and value for `status`, in the Go tools' order and words."""
        return [("Build Version", _BUILD_VERSION), ("Library Version", _LIBRARY_VERSION)]

    def create(
        self,
        layer_id: str,
        parent_id: str,
        *,
        label: str = "",
        uidmap: IdMap = (),
        gidmap: IdMap = (),
        read_only: bool = False,
        storage_options: Sequence[str] = (),
        staged: str = "",
    ) -> None:
        """Make the layer's subvolume; a failure leaves nothing. The maps make no difference."""
        directory = self._directory(layer_id)
        parent = self._directory(parent_id) if parent_id else ""
        if parent:
            self._check_directory(parent, f"the parent layer {parent_id}")
        size = self._limit_of(storage_options, read_only)
        self.remove(layer_id)
        try:
            if staged:
                self._rename(staged, directory)
            else:
                self._make_subvolume(directory, parent)
            if size:
                self._limit(directory, size)
                os.makedirs(f"{self.home}/quotas", 0o700, exist_ok=True)
                with open(self._quota_path(layer_id), "w", encoding="ascii") as file:
                    file.write(str(size))
        except BaseException:
            self.remove(layer_id)
            raise

    def make_staged(self, staged: str, parent_id: str) -> None:
        """Make a snapshot of the parent to unpack in."""
        self._make_subvolume(staged, self._directory(parent_id) if parent_id else "")

    def _make_subvolume(self, path: str, parent: str) -> None:
        directory, name = os.path.split(path)
        with _opened(directory) as directory_fd:
            if parent:
                with _opened(parent) as parent_fd:
                    btrfs.create_snapshot(parent_fd, directory_fd, name)
            else:
                btrfs.create_subvolume(directory_fd, name)
                os.chmod(path, 0o555)

    def _limit_of(self, storage_options: Sequence[str], read_only: bool) -> int:
        wanted = parse_storage_options(storage_options)
        text = wanted.pop("size", None)
        if wanted:
            key = next(iter(wanted))
            raise DriverError(f'unknown option {key} ("{wanted[key]}")')
        if text is None:
            return 0 if read_only else self._size
        size = parse_size(text)
        if size <= 0:
            raise DriverError(f"btrfs: invalid storage size: {format_size(size)}")
        if size < self._min_space:
            raise DriverError(
                f"btrfs: storage size cannot be less than {format_size(self._min_space)}"
            )
        return size

    def remove(self, layer_id: str) -> None:
        """Unmount what is mounted below the layer and destroy its subvolume and all in it."""
        if not is_layer_name(layer_id):
            return
        directory = self._directory(layer_id)
        if not os.path.lexists(directory):
            return
        for mount in mounts_below(directory):
            sys.umount(mount.point)
        try:
            os.unlink(self._quota_path(layer_id))
        except FileNotFoundError:
            pass
        with _opened(self._own_dirs[0]) as layers_fd:
            try:
                btrfs.destroy_subvolume(layers_fd, layer_id)
            except OSError as error:
                # A directory that somebody copied here, or a kernel (or a user namespace) that
                # lets subvolumes be removed only as directories. With quotas that would leave
                # their groups behind; the Go tools give up then.
                is_directory = error.errno in (errno.EINVAL, errno.ENOTDIR)
                if not is_directory and self._has_quota(layers_fd):
                    raise
                remove_tree(layers_fd, layer_id)
            if self._has_quota(layers_fd):
                btrfs.rescan_quota(layers_fd)

    def mount(self, layer_id: str, options: MountOptions) -> str:
        """Return the layer's directory, its limit in force; options other than ro can't be had."""
        directory = super().mount(layer_id, options)
        size = self._read_limit(layer_id)
        if size and size >= self._min_space:
            self._limit(directory, size)
        return directory

    def cleanup(self) -> None:
        """Undo the private mount of the home that the Go tools make, though nothing is mounted."""
        undo_private_home(self.home)

    def enable_quota(self) -> None:
        """Make the file system account for space by subvolume."""
        with _opened(self.home) as home_fd:
            if not self._has_quota(home_fd):
                btrfs.enable_quota(home_fd)

    def _has_quota(self, fd: int) -> bool:
        try:
            return btrfs.has_quota(fd)
        except PermissionError:
            return False  # in a user namespace: then limits can't be set either

    def _limit(self, directory: str, size: int) -> None:
        self.enable_quota()
        with _opened(directory) as fd:
            btrfs.limit_subvolume(fd, size)

    def _read_limit(self, layer_id: str) -> int:
        try:
            with open(self._quota_path(layer_id), encoding="ascii", errors="replace") as file:
                text = file.read(32)
        except FileNotFoundError:
            return 0
        return int(text) if text.isdecimal() else 0

    def _quota_path(self, layer_id: str) -> str:
        return f"{self.home}/quotas/{layer_id}"


@contextmanager
def _opened(directory: str) -> Iterator[int]:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
