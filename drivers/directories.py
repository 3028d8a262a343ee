"""
What drivers have in common whose layers are whole trees in plain sight: vfs and btrfs.

    <home>/<where>/<layer-id>/      everything the layer shows
Source: spec/store-format.md 9.
"""

import errno
import os
from collections.abc import Sequence
from typing import Final

from holdfs.drivers.base import AdditionalLayer, DriverError, IdMap, MountOptions
from holdfs.drivers.imagestores import refuse_read_only
from holdfs.drivers.owners import change_owners
from holdfs.drivers.trees import trees_differ
from holdfs.drivers.whiteouts import WhiteoutStyle
from holdfs.native import mount as sys
from holdfs.native.idmap import rename_below_mounts


class DirectoryDriver:
    """A driver without kernel mounts of its own; subclasses make and remove the directories."""

    name: str
    #: Deletions are carried out when a tar is unpacked.
    whiteout_style: Final = WhiteoutStyle.NONE
    force_mask: Final[int | None] = None

    def __init__(
        self,
        home: str,
        where: str,
        *,
        image_home: str = "",
        stores: Sequence[str] = (),
        ignore_chown_errors: bool,
    ) -> None:
        """
        Args:
            where: The name of the directory of layers in a home.
            image_home: The home of a separate store for layers of images, "" for none.
            stores: Directories of layers of additional image stores, only ever read.
        """
        self.home: Final = home
        self.ignore_chown_errors: Final = ignore_chown_errors
        self._own_dirs = tuple(f"{own}/{where}" for own in (home, image_home) if own)
        self._stores = tuple(stores)

    def check_id(self, layer_id: str) -> None:
        """Make sure that the ID names one directory, and no hidden one."""
        check_name(layer_id, self.name)

    def exists(self, layer_id: str) -> bool:
        """Whether there is a directory for this layer, here or in an additional store."""
        return os.path.isdir(self._directory(layer_id))

    def is_read_only(self, layer_id: str) -> bool:
        """Whether the layer is in an additional image store."""
        return os.path.dirname(self._directory(layer_id)) in self._stores

    def list_layers(self) -> list[str]:
        """Return the IDs of the driver's own layers, sorted."""
        found = []
        for layers_dir in self._own_dirs:
            with os.scandir(layers_dir) as entries:
                found += [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        return sorted(found)

    def supports_shifting(self, uidmap: IdMap = (), gidmap: IdMap = ()) -> bool:
        """Return False: owners on disk are those that are seen."""
        return False

    def change_owner(
        self,
        layer_id: str,
        *,
        old_uidmap: IdMap,
        old_gidmap: IdMap,
        new_uidmap: IdMap,
        new_gidmap: IdMap,
        label: str = "",
    ) -> None:
        """Give everything in the layer, but not its top directory, the owners of other maps."""
        if self.is_read_only(layer_id):
            raise refuse_read_only(layer_id)
        change_owners(
            self._directory(layer_id),
            old_uidmap=old_uidmap,
            old_gidmap=old_gidmap,
            new_uidmap=new_uidmap,
            new_gidmap=new_gidmap,
        )

    def mount_point(self, layer_id: str) -> str:
        """Return the layer's directory."""
        return self._directory(layer_id)

    def is_mounted(self, layer_id: str) -> bool:
        """Whether the layer's directory exists."""
        return os.path.isdir(self._directory(layer_id))

    def mount(self, layer_id: str, options: MountOptions) -> str:
        """Return the layer's directory; mount options other than ro can't be had."""
        if any(word and word != "ro" for word in options.options or ()):
            raise DriverError(f"{self.name} driver does not support mount options")
        directory = self._directory(layer_id)
        self._check_directory(directory, f"layer {layer_id}")
        if self.is_read_only(layer_id):
            raise refuse_read_only(layer_id)
        return directory

    def unmount(self, layer_id: str) -> None:
        """Nothing was mounted."""

    def mount_view(self, layer_id: str, target: str) -> bool:
        """Bind the layer's directory read-only, nodev and nosuid, at `target`."""
        directory = self._directory(layer_id)
        self._check_directory(directory, f"layer {layer_id}")
        sys.bind(directory, target, read_only=True, flags=sys.MS_NODEV | sys.MS_NOSUID)
        return True

    def diff_path(self, layer_id: str) -> str:
        """Return "": there is no directory of changes alone."""
        return ""

    def lookup_dirs(self, layer_id: str) -> list[str]:
        """Return the layer's directory, which holds everything."""
        return [self._directory(layer_id)]

    def diff_parent_is_native(self, layer_id: str, parent_id: str) -> bool:
        """Return False: what a layer changes is found out by comparing."""
        return False

    def has_content(self, layer_id: str, parent_id: str = "") -> bool:
        """Whether the layer's tree differs from the parent's (without one: is not empty)."""
        directory = self._directory(layer_id)
        if not parent_id:
            with os.scandir(directory) as entries:
                return next(entries, None) is not None
        return trees_differ(self._directory(parent_id), directory)

    def adopt_staged(self, layer_id: str, staged: str) -> None:
        """Let the staged tree and the layer's change places."""
        self._rename(staged, self._directory(layer_id), exchange=True)

    def _rename(self, staged: str, directory: str, *, exchange: bool = False) -> None:
        # A plain rename into the home fails where that is a mount of its own (spec 7.4).
        top = os.path.dirname(self.home)
        names = os.path.relpath(staged, top), os.path.relpath(directory, top)
        rename_below_mounts(top, *names, exchange=exchange)

    def find_additional_layer(self, digest: str, reference: str = "") -> AdditionalLayer | None:
        """Return None: there are no additional layer stores."""
        return None

    def create_additional(
        self, layer_id: str, parent_id: str, additional: AdditionalLayer, *, label: str = ""
    ) -> None:
        """Refuse: there are no additional layer stores."""
        raise DriverError(f"{self.name} driver does not support additional layer stores")

    def _check_directory(self, directory: str, what: str) -> None:
        if not os.path.isdir(directory):
            raise DriverError(
                f"the {self.name} driver has no directory for {what}",
                words=f"stat {directory}: no such file or directory",
                errno_=errno.ENOENT,
            )

    def _directory(self, layer_id: str) -> str:
        """Return the layer's directory, where it is; its place in our own home if nowhere."""
        check_name(layer_id, self.name)
        for layers_dir in (*self._own_dirs, *self._stores):
            if os.path.isdir(f"{layers_dir}/{layer_id}"):
                return f"{layers_dir}/{layer_id}"
        return f"{self._own_dirs[0]}/{layer_id}"

    def _new_directory(self, layer_id: str, *, read_only: bool) -> str:
        """Return where a new layer goes: those of images to the last home of ours."""
        check_name(layer_id, self.name)
        return f"{self._own_dirs[-1 if read_only else 0]}/{layer_id}"


def is_layer_name(name: str) -> bool:
    """Whether a layer may have this name in a directory of layers."""
    return bool(name) and not name.startswith(".") and "/" not in name


def check_name(layer_id: str, driver_name: str) -> None:
    """
    Make sure that a layer may have this name in a directory of layers.

    The callers pass IDs of records; this is the last line before a recursive deletion.
    """
    if not is_layer_name(layer_id):
        raise DriverError(f"{layer_id!r} can't be the ID of a {driver_name} layer")
