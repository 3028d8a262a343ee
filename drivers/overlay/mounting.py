"""
Mounting overlay layers: by the kernel, or by a mount program where there has to be one.

What knows how layers are shown; `driver` adds how they are made and removed.
Source: spec/store-format.md 8.5, 8.7.
"""

from __future__ import annotations

import errno
import os
from _thread import allocate_lock

from holdfs.drivers.base import DriverError, MountOptions
from holdfs.drivers.imagestores import refuse_read_only
from holdfs.drivers.overlay import additional, layout, mounts
from holdfs.drivers.overlay.features import Features
from holdfs.drivers.overlay.options import OverlayOptions
from holdfs.drivers.overlay.places import Places
from holdfs.drivers.overlay.words import choose_words
from holdfs.drivers.owners import is_contiguous, map_root
from holdfs.drivers.privatehome import make_private_home
from holdfs.drivers.removing import umount_if_mounted
from holdfs.native import mount as sys
from holdfs.native.light import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from holdfs.drivers.base import IdMap
    from holdfs.drivers.whiteouts import WhiteoutStyle


class OverlayMounts:
    """The mounts of the overlay layers of one graph root."""

    def __init__(
        self,
        places: Places,
        options: OverlayOptions,
        features: Features,
        *,
        user_xattr: bool,
        program: str = "",
        program_reason: str = "",
    ) -> None:
        """
        Args:
            program: The mount program; "" for the kernel.
            program_reason: Why there must be one although none was found; "" if there need not.
        """
        self.home: Final = places.home
        self._places = places
        self._options = options
        self._features = features
        self._user_xattr = user_xattr
        self._program = program
        self._program_reason = program_reason
        self.is_native = not program and not program_reason
        # Looking whether something is mounted and acting on it are one step.
        self._mounting = allocate_lock()

    @property
    def whiteout_style(self) -> WhiteoutStyle:
        """How deletions are written when a tar is unpacked into a layer's diff."""
        from holdfs.drivers.whiteouts import WhiteoutStyle

        if not self.is_native:
            return WhiteoutStyle.FILES
        return WhiteoutStyle.USER_XATTR if self._user_xattr else WhiteoutStyle.TRUSTED_XATTR

    def supports_shifting(self, uidmap: IdMap = (), gidmap: IdMap = ()) -> bool:
        """Whether layers stored without maps can be mounted with these."""
        if os.environ.get("_CONTAINERS_OVERLAY_DISABLE_IDMAP") == "yes" or self._program_reason:
            return False
        if self._program:
            # It maps what is written as well, and takes one range only to be right about that.
            return is_contiguous(uidmap) and is_contiguous(gidmap)
        return self._features.maps_lowers()

    def check_id(self, layer_id: str) -> None:
        """Make sure that the ID names one directory, and none that the home has for itself."""
        check_name(layer_id)

    def exists(self, layer_id: str) -> bool:
        """Whether there is a directory for this layer, in an additional store perhaps."""
        return os.path.isdir(self._directory(layer_id))

    def is_read_only(self, layer_id: str) -> bool:
        """Whether the layer is in an additional image store."""
        check_name(layer_id)
        return self._places.home_of(layer_id) in self._places.store_homes

    def mount_point(self, layer_id: str) -> str:
        """Return where `mount` mounts this layer."""
        return f"{self._directory(layer_id)}/merged"

    def is_mounted(self, layer_id: str) -> bool:
        """Whether an overlay is mounted there, by the kernel or by a mount program."""
        point = self.mount_point(layer_id)
        return sys.is_mount_point(point) and sys.fs_type(point) in (
            sys.OVERLAY_MAGIC,
            sys.FUSE_MAGIC,
        )

    def mount(self, layer_id: str, options: MountOptions) -> str:
        """
        Mount at the layer's own mount point and return that path.

        Raises:
            DriverError: The kernel refuses (`words` has the Go tools' text, `errno` the kernel's),
                or the layer is not one that can be mounted.
        """
        if self.is_read_only(layer_id):
            raise refuse_read_only(layer_id)
        point = self.mount_point(layer_id)
        with self._mounting:
            if self.is_mounted(layer_id):
                return point
            self._refuse_program()
            home = self._places.home_of(layer_id)
            if not self._options.skip_mount_home:
                make_private_home(home)
            if additional.read_mark(f"{home}/{layer_id}"):
                options = _read_only(options)
            plan = mounts.plan_mount(self._places, home, layer_id, self._words(options), options)
            mounts.make_directories(home, layer_id, plan.lowers)
            mounts.forget_volatile(home, layer_id)
            if plan.upper and (options.uidmap or options.gidmap):
                self._own_top(f"{home}/{layer_id}/diff", options)
            with self._shifted(plan, home, layer_id, options) as shifted:
                self._make_mount(shifted, home, f"{layer_id}/merged", point, options)
        return point

    def _own_top(self, diff: str, options: MountOptions) -> None:
        """Let the container's root own the top directory, which the maps of lowers do not reach."""
        owner = map_root(options.uidmap, options.gidmap)
        shown = os.stat(diff)
        if owner != (shown.st_uid, shown.st_gid):
            os.chown(diff, *owner)

    @contextmanager
    def _shifted(
        self, plan: mounts.OverlayMount, home: str, layer_id: str, options: MountOptions
    ) -> Iterator[mounts.OverlayMount]:
        """Give the mount with lowers that show the owners of a container's maps."""
        uidmap, gidmap = options.uidmap, options.gidmap
        if not (uidmap and gidmap and self.is_native and self.supports_shifting(uidmap, gidmap)):
            yield plan
            return
        from holdfs.drivers.overlay.mapped import mapped_lowers

        with mapped_lowers(
            self._places, home, layer_id, plan.lowers, uidmap=uidmap, gidmap=gidmap
        ) as lowers:
            yield plan.with_lowers(lowers)

    def mount_view(self, layer_id: str, target: str) -> bool:
        """Mount the layer's tree read-only, nodev and nosuid, at `target`."""
        self._refuse_program()
        options = MountOptions(read_only=True)
        words = (*self._words(options), "nodev", "nosuid")
        home = self._places.home_of(check_name(layer_id))
        plan = mounts.plan_mount(self._places, home, layer_id, words, options)
        self._make_mount(plan, home, target, target, options)
        sys.make_private(target)
        return True

    def _make_mount(
        self,
        plan: mounts.OverlayMount,
        home: str,
        target: str,
        shown: str,
        options: MountOptions,
    ) -> None:
        if self._program:
            # Here, since running programs takes longer to load than most commands take.
            from holdfs.drivers.overlay.program import mount_by_program

            mount_by_program(
                self._program,
                plan,
                home=home,
                target=shown,
                uidmap=options.uidmap if self.supports_shifting() else (),
                gidmap=options.gidmap if self.supports_shifting() else (),
                has_mask=self._options.force_mask is not None,
            )
            return
        try:
            sys.mount_overlay(
                home,
                target,
                lowers=plan.lowers,
                upper=plan.upper,
                work=plan.work,
                options=plan.options,
                flags=plan.flags,
            )
        except OSError as error:
            code = error.errno or errno.EIO
            data = _quote(plan.data(home))
            raise DriverError(
                f"mounting an overlay at {shown}: {error.strerror}",
                words=f"creating overlay mount to {shown}, mount_data={data}: "
                f"{os.strerror(code).lower()}",
                errno_=code,
            ) from error

    def _refuse_program(self) -> None:
        if self._program_reason:
            raise DriverError(
                "layers here are mounted by a mount program, but fuse-overlayfs is not installed: "
                f"{self._program_reason}"
            )

    def _words(self, options: MountOptions) -> tuple[str, ...]:
        words = choose_words(
            self._options.mountopt,
            options.options,
            is_metacopy_used=self.is_native and self._features.uses_metacopy(),
        )
        if self.is_native and self._user_xattr and "userxattr" not in words:
            words = (*words, "userxattr")
        if options.volatile and "volatile" not in words and self.supports_volatile():
            words = (*words, "volatile")
        return words

    def supports_volatile(self) -> bool:
        """Whether mounts may skip syncs."""
        return not self.is_native or self._features.supports_volatile()

    def unmount(self, layer_id: str) -> None:
        """
        Undo `mount`. Not mounted: no error.

        The mount goes from the tree at once; what others have open in it stays open for them.
        """
        directory = self._directory(layer_id)
        with self._mounting:
            if not os.path.isdir(directory):
                return
            mapped = f"{directory}/mapped"
            if os.path.isdir(mapped):  # left by a program that was killed while mounting
                for name in os.listdir(mapped):
                    umount_if_mounted(f"{mapped}/{name}")
            if umount_if_mounted(f"{directory}/merged"):
                mounts.renew_merged(directory)

    def has_native_diff(self) -> bool:
        """Whether an upper directory says exactly what was changed."""
        # With copies of metadata alone, a diff directory lacks the data of changed files.
        return (
            self.is_native
            and self._features.has_native_diff()
            and not self._features.uses_metacopy()
        )

    def _directory(self, layer_id: str) -> str:
        check_name(layer_id)
        return f"{self._places.home_of(layer_id)}/{layer_id}"


def check_name(layer_id: str) -> str:
    # The callers pass IDs of records; this is the last line before a recursive deletion.
    if not layout.is_layer_name(layer_id):
        raise DriverError(f"{layer_id!r} can't be the ID of an overlay layer")
    return layer_id


def _read_only(options: MountOptions) -> MountOptions:
    return MountOptions(read_only=True, options=options.options, label=options.label)


def _quote(text: str) -> str:
    """Return the text in quotes, as Go prints it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
