"""
The overlay driver: a layer is its own changes, and is shown by an overlay mount.

    G/overlay/                          a private bind mount of itself
    G/overlay/<id>/{diff,link,lower,work,merged,empty,mapped}
    R/overlay/                          what test mounts found out (features)

The kernel mounts, or a mount program where the options or the store's content want one.
Source: spec/store-format.md 8.

What few commands need is imported where it is used: most do nothing but open a store.
"""

from __future__ import annotations

import errno
import os
import stat

from holdfs.drivers.backing import backing_name
from holdfs.drivers.base import AdditionalLayer, DriverError, IdMap, MountOptions
from holdfs.drivers.imagestores import refuse_read_only
from holdfs.drivers.options import parse_storage_options
from holdfs.drivers.overlay import additional, layout, links, mounts
from holdfs.drivers.overlay.making import make_layer
from holdfs.drivers.overlay.mounting import OverlayMounts, check_name
from holdfs.drivers.owners import change_owners, map_root
from holdfs.drivers.privatehome import undo_private_home
from holdfs.drivers.removing import remove_with_mounts
from holdfs.native.idmap import rename_below_mounts
from holdfs.native.light import logger_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

_log: Final = logger_of(__name__)


class OverlayDriver(OverlayMounts):
    """The overlay driver of one graph root; made by `open_overlay`."""

    name: Final = "overlay"

    # -- what it is ----------------------------------------------------------------------------

    def status(self) -> list[tuple[str, str]]:
        """Key and value for `status`, in the Go tools' order and words."""
        return [
            ("Backing Filesystem", backing_name(self.home)),
            ("Supports d_type", "true"),  # without, the driver does not open
            ("Native Overlay Diff", _word(self.has_native_diff)),
            ("Using metacopy", _word(lambda: self.is_native and self._features.uses_metacopy())),
            ("Supports shifting", _word(self.supports_shifting)),
            ("Supports volatile", _word(self.supports_volatile)),
        ]

    @property
    def ignore_chown_errors(self) -> bool:
        """Whether owners that can't be set are passed over."""
        return self._options.ignore_chown_errors

    @property
    def force_mask(self) -> int | None:
        """The mode that all unpacked files get; None for their own."""
        return self._options.force_mask

    def list_layers(self) -> list[str]:
        """Return the IDs of the driver's own layers, sorted."""
        return sorted(
            name
            for home in self._places.own_homes
            for name in links.layer_names(home)
            if os.path.lexists(f"{home}/{name}/diff") or os.path.lexists(f"{home}/{name}/link")
        )

    # -- making and removing -------------------------------------------------------------------

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
        """Make the layer's directory; a failure leaves nothing."""
        check_name(layer_id)
        root = map_root(uidmap, gidmap)
        home = self.home
        if read_only and self._places.image_home:
            home = self._places.image_home
        limits = control = None
        if storage_options or self._options.size or self._options.inodes:
            from holdfs.drivers.overlay import quota

            wanted = parse_storage_options(storage_options)
            limits = quota.choose_limits(self._options, wanted, read_only=read_only)
            control = quota.open_control(home, has_own=bool(wanted)) if limits else None
        directory = f"{home}/{layer_id}"
        if parent_id:
            check_name(parent_id)
            self._check_parent(parent_id)
        os.makedirs(f"{home}/{layout.LINKS}", 0o755, exist_ok=True)
        if os.path.lexists(directory):
            _log.warning("removing %s, which is there before its layer", directory)
            self.remove(layer_id)
        os.mkdir(directory, 0o700)
        try:
            if control and limits:
                control.limit(directory, limits)
            make_layer(
                self._places,
                home,
                layer_id,
                parent_id,
                root=root,
                force_mask=self._options.force_mask,
                ignore_chown_errors=self._options.ignore_chown_errors,
            )
            if staged:
                self.adopt_staged(layer_id, staged)
        except BaseException:
            self.remove(layer_id)
            raise

    def _check_parent(self, parent_id: str) -> None:
        diff = f"{self._places.home_of(parent_id)}/{parent_id}/diff"
        if not os.path.isdir(diff):
            raise DriverError(
                f"the overlay driver has no content for the parent layer {parent_id}",
                words=f"stat {diff}: no such file or directory",
                errno_=errno.ENOENT,
            )

    def remove(self, layer_id: str) -> None:
        """Unmount whatever is mounted below the layer and delete it. Not there: no error."""
        if not layout.is_layer_name(layer_id):
            return
        for home in self._places.own_homes:
            directory = f"{home}/{layer_id}"
            if not os.path.lexists(directory):
                continue
            store_path = additional.read_mark(directory)
            if store_path:
                additional.release_layer(store_path)
            link = links.read_link_name(home, layer_id)
            if link:
                links.remove_link(home, link)
            remove_with_mounts(home, layer_id)

    def find_additional_layer(self, digest: str, reference: str = "") -> AdditionalLayer | None:
        """Return the layer that an additional layer store has for a digest, None if none has."""
        return additional.find_layer(self._options.layer_stores, digest, reference)

    def create_additional(
        self, layer_id: str, parent_id: str, additional_layer: AdditionalLayer, *, label: str = ""
    ) -> None:
        """Make a layer whose content stays in the additional layer store."""
        self.create(layer_id, parent_id, label=label, read_only=True)
        directory = self._directory(layer_id)
        try:
            os.rmdir(f"{directory}/diff")
            links.write_small(f"{directory}/{additional.MARK}", additional_layer.path, 0o644)
            additional.use_layer(additional_layer.path)
            os.symlink(f"{additional_layer.path}/diff", f"{directory}/diff")
        except BaseException:
            self.remove(layer_id)
            raise

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
        """Give everything that a fresh layer shows, but its top, the owners of other maps."""
        from holdfs.drivers.overlay.rotation import rotate_diffs

        owner = map_root(new_uidmap, new_gidmap)
        point = self.mount(layer_id, MountOptions(label=label))
        try:
            change_owners(
                point,
                old_uidmap=old_uidmap,
                old_gidmap=old_gidmap,
                new_uidmap=new_uidmap,
                new_gidmap=new_gidmap,
            )
        finally:
            self.unmount(layer_id)
        rotate_diffs(self._directory(layer_id), owner=owner, force_mask=self._options.force_mask)

    def make_staged(self, staged: str, parent_id: str) -> None:
        """Make an empty directory: a layer holds its own changes only."""
        os.mkdir(staged, 0o755)

    def adopt_staged(self, layer_id: str, staged: str) -> None:
        """Put a staged tree in the place of the layer's empty diff."""
        if self.is_read_only(layer_id):
            raise refuse_read_only(layer_id)
        diff = self.diff_path(layer_id)
        shown = os.stat(diff)
        os.chown(staged, shown.st_uid, shown.st_gid)
        os.chmod(staged, stat.S_IMODE(shown.st_mode))
        # A plain rename into the home fails once that is a mount of its own (spec 7.4).
        top = os.path.dirname(self._places.home_of(layer_id))
        rename_below_mounts(top, os.path.relpath(staged, top), os.path.relpath(diff, top))

    # -- content -------------------------------------------------------------------------------

    def diff_path(self, layer_id: str) -> str:
        """Return the directory that holds the layer's own changes."""
        return f"{self._directory(layer_id)}/diff"

    def lookup_dirs(self, layer_id: str) -> list[str]:
        """Return the layer's own diff, then those below it, nearest first."""
        home = self._places.home_of(check_name(layer_id))
        lowers = mounts.find_lowers(self._places, home, layer_id)
        return [self.diff_path(layer_id), *(os.path.join(home, lower) for lower in lowers)]

    def diff_parent_is_native(self, layer_id: str, parent_id: str) -> bool:
        """Whether `diff_path` holds exactly what the layer changes in this parent."""
        if not self.has_native_diff():
            return False
        home = self._places.home_of(check_name(layer_id))
        entries = layout.parse_lower(links.read_lower(home, layer_id))
        if not parent_id or not entries:
            return not parent_id and not entries
        nearest = os.path.realpath(
            os.path.join(home, self._places.resolve(home, entries[0]) or entries[0])
        )
        parent = f"{self._directory(parent_id)}/diff"
        return os.path.realpath(parent) == nearest

    def has_content(self, layer_id: str, parent_id: str = "") -> bool:
        """Whether the layer has changes of its own; what the parent is does not matter."""
        if os.path.lexists(f"{self._directory(layer_id)}/diff1"):
            return True
        with os.scandir(self.diff_path(layer_id)) as entries:
            return next(entries, None) is not None

    def cleanup(self) -> None:
        """Remove what is left of partial pulls, and undo the private mounts of the homes."""
        from holdfs.drivers.overlay.staging import remove_staging

        for home in self._places.own_homes:
            if remove_staging(home):
                continue  # somebody is at work there
            with self._mounting:
                undo_private_home(home)


def _word(ask: Callable[[], bool]) -> str:
    """Return the answer, or why it can't be had now: what nobody has tried yet takes space."""
    try:
        return "true" if ask() else "false"
    except OSError as error:
        return f"unknown ({error.strerror})"
