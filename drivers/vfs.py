"""
The vfs driver: each layer is a whole copy of its parent, in plain directories; nothing is mounted.

    G/vfs/dir/<layer-id>/     the layer's tree
Source: spec/store-format.md 9.2.
"""

import errno
import os
from collections.abc import Sequence
from typing import Final

from holdfs.drivers.base import DriverError, MountOptions
from holdfs.drivers.copytree import copy_tree
from holdfs.drivers.mountinfo import mounts_below
from holdfs.drivers.options import parse_bool, parse_options, refused_option, unknown_option
from holdfs.drivers.trees import trees_differ
from holdfs.native import mount as sys
from holdfs.native.remove import remove_tree


def open_vfs(graph_root: str, options: Sequence[str]) -> "VfsDriver":
    """
    Return the vfs driver of a graph root; its home is made.

    Raises:
        DriverError: An option is wrong.
    """
    ignore_chown_errors = False
    for option in parse_options("vfs", options):
        match option.key:
            case "imagestore":
                if option.value:
                    raise refused_option(option, "additional image stores")
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
    os.makedirs(home, 0o700, exist_ok=True)
    os.makedirs(f"{home}/dir", 0o700, exist_ok=True)
    return VfsDriver(home, ignore_chown_errors=ignore_chown_errors)


class VfsDriver:
    """The vfs driver of one graph root; made by `open_vfs`."""

    name: Final = "vfs"

    def __init__(self, home: str, *, ignore_chown_errors: bool) -> None:
        self.home: Final = home
        self._layers_dir = f"{home}/dir"
        self._ignore_chown_errors = ignore_chown_errors

    def status(self) -> list[tuple[str, str]]:
        """Nothing to tell, as in the Go tools."""
        return []

    def exists(self, layer_id: str) -> bool:
        """Whether the driver has a directory for this layer."""
        return os.path.isdir(self._directory(layer_id))

    def list_layers(self) -> list[str]:
        """Return the IDs of the driver's layers, sorted."""
        with os.scandir(self._layers_dir) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))

    def create(self, layer_id: str, parent_id: str, *, label: str = "") -> None:
        """Make the layer's directory, a copy of the parent's; a failure leaves nothing."""
        directory = self._directory(layer_id)
        parent = self._directory(parent_id) if parent_id else ""
        if parent and not os.path.isdir(parent):
            raise DriverError(
                f"the vfs driver has no directory for the parent layer {parent_id}",
                words=f"stat {parent}: no such file or directory",
                errno_=errno.ENOENT,
            )
        self.remove(layer_id)
        os.mkdir(directory, 0o555)
        try:
            if parent:
                copy_tree(parent, directory, ignore_chown_errors=self._ignore_chown_errors)
        except BaseException:
            self.remove(layer_id)
            raise

    def remove(self, layer_id: str) -> None:
        """Unmount whatever is mounted below the layer and delete it. Not there: no error."""
        directory = self._directory(layer_id)
        if not os.path.lexists(directory):
            return
        for mount in mounts_below(directory):
            sys.umount(mount.point)
        layers_fd = os.open(self._layers_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            remove_tree(layers_fd, layer_id)
        finally:
            os.close(layers_fd)

    def mount_point(self, layer_id: str) -> str:
        """Return the layer's directory."""
        return self._directory(layer_id)

    def is_mounted(self, layer_id: str) -> bool:
        """Whether the layer's directory exists."""
        return self.exists(layer_id)

    def mount(self, layer_id: str, options: MountOptions) -> str:
        """Return the layer's directory; mount options other than ro can't be had."""
        if any(word and word != "ro" for word in options.options or ()):
            raise DriverError("vfs driver does not support mount options")
        directory = self._directory(layer_id)
        if not os.path.isdir(directory):
            raise DriverError(
                f"the vfs driver has no directory for layer {layer_id}",
                words=f"stat {directory}: no such file or directory",
                errno_=errno.ENOENT,
            )
        return directory

    def unmount(self, layer_id: str) -> None:
        """Nothing was mounted."""

    def mount_view(self, layer_id: str, target: str) -> bool:
        """Bind the layer's directory read-only, nodev and nosuid, at `target`."""
        directory = self.mount(layer_id, MountOptions(read_only=True))
        sys.bind(directory, target, read_only=True, flags=sys.MS_NODEV | sys.MS_NOSUID)
        return True

    def diff_path(self, layer_id: str) -> str:
        """Return "": there is no directory of changes alone."""
        return ""

    def has_content(self, layer_id: str, parent_id: str = "") -> bool:
        """Whether the layer's tree differs from the parent's (without one: is not empty)."""
        directory = self._directory(layer_id)
        if not parent_id:
            with os.scandir(directory) as entries:
                return next(entries, None) is not None
        return trees_differ(self._directory(parent_id), directory)

    def cleanup(self) -> None:
        """Nothing is mounted."""

    def _directory(self, layer_id: str) -> str:
        # The callers pass IDs of records; this is the last line before a recursive deletion.
        if not layer_id or layer_id.startswith(".") or "/" in layer_id:
            raise DriverError(f"{layer_id!r} can't be the ID of a vfs layer")
        return f"{self._layers_dir}/{layer_id}"
