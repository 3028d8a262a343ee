"""
The vfs driver: each layer is a whole copy of its parent, in plain directories; nothing is mounted.

    G/vfs/dir/<layer-id>/     the layer's tree
Source: spec/store-format.md 9.2.
"""

import os
from collections.abc import Sequence
from typing import Final

from holdfs.drivers.base import DriverError, IdMap
from holdfs.drivers.directories import DirectoryDriver, is_layer_name
from holdfs.drivers.imagestores import parse_image_stores
from holdfs.drivers.options import parse_bool, parse_options, refused_option, unknown_option
from holdfs.drivers.owners import map_root
from holdfs.drivers.removing import remove_with_mounts
from holdfs.native.about import about


def open_vfs(graph_root: str, options: Sequence[str], image_store: str = "") -> "VfsDriver":
    """
    Return the vfs driver of a graph root; its home is made.

    Raises:
        DriverError: An option is wrong.
    """
    ignore_chown_errors = False
    stores: list[str] = []
    for option in parse_options("vfs", options):
        match option.key:
            case "imagestore":
                stores += parse_image_stores("vfs", option)
            case "ignore_chown_errors":
                ignore_chown_errors = parse_bool(option)
            case "sync":
                if option.value not in ("", "none"):
                    raise refused_option(option, "syncing every layer")
            case "mountopt":
                raise DriverError("vfs driver does not support mount options")
            case _:
                raise unknown_option(option)
    home = f"{graph_root}/vfs"
    image_home = f"{image_store}/vfs" if image_store else ""
    for directory in (home, image_home):
        if directory:
            os.makedirs(directory, 0o700, exist_ok=True)
            os.makedirs(f"{directory}/dir", 0o700, exist_ok=True)
    return VfsDriver(
        home,
        "dir",
        image_home=image_home,
        stores=[f"{store}/vfs/dir" for store in stores],
        ignore_chown_errors=ignore_chown_errors,
    )


class VfsDriver(DirectoryDriver):
    """The vfs driver of one graph root; made by `open_vfs`."""

    name: Final = "vfs"

    def status(self) -> list[tuple[str, str]]:
        """Nothing to tell, as in the Go tools."""
        return []

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
        """Make the layer's directory, a copy of the parent's; a failure leaves nothing."""
        if storage_options:
            raise DriverError("--storage-opt is not supported for vfs")
        directory = self._new_directory(layer_id, read_only=read_only)
        parent = self._directory(parent_id) if parent_id else ""
        if parent:
            self._check_directory(parent, f"the parent layer {parent_id}")
        owner = map_root(uidmap, gidmap)
        self.remove(layer_id)
        if staged:
            self._rename(staged, directory)
            return
        os.mkdir(directory, 0o555)
        try:
            if parent:
                self._copy(parent, directory)
            elif owner != (os.geteuid(), os.getegid()):
                self._chown(directory, owner)
        except BaseException:
            self.remove(layer_id)
            raise

    def make_staged(self, staged: str, parent_id: str) -> None:
        """Make a copy of the parent to unpack in."""
        os.mkdir(staged, 0o555)
        if parent_id:
            self._copy(self._directory(parent_id), staged)

    def _copy(self, source: str, target: str) -> None:
        """Make an empty directory equal to another, itself included."""
        # Here: the engine's libraries are loaded by those who copy, not by those who list.
        from holdfs.native.copytree import copy_tree

        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        with about(target):
            source_fd = os.open(source, flags)
            try:
                target_fd = os.open(target, flags)
                try:
                    copy_tree(source_fd, target_fd, ignore_chown_errors=self.ignore_chown_errors)
                finally:
                    os.close(target_fd)
            finally:
                os.close(source_fd)

    def _chown(self, directory: str, owner: tuple[int, int]) -> None:
        try:
            os.chown(directory, *owner)
        except PermissionError:
            if not self.ignore_chown_errors:
                raise

    def remove(self, layer_id: str) -> None:
        """Unmount whatever is mounted below the layer and delete it. Not there: no error."""
        if not is_layer_name(layer_id):
            return
        for layers_dir in self._own_dirs:
            if os.path.lexists(f"{layers_dir}/{layer_id}"):
                remove_with_mounts(layers_dir, layer_id)

    def cleanup(self) -> None:
        """Nothing is mounted."""
