"""
The overlay driver: a layer is its own changes, and is shown by a kernel overlay mount.

    G/overlay/                          a private bind mount of itself
    G/overlay/<id>/{diff,link,lower,work,merged,empty}
    R/overlay/                          what test mounts found out (features)

Native kernel overlay only. Stores whose content was written through a mount program have other
whiteouts and can't be shown; that is said when a layer is to be mounted.
Source: spec/store-format.md 8.
"""

import errno
import logging
import os
import threading
import time
from typing import Final

from holdfs.drivers.backing import backing_name
from holdfs.drivers.base import DriverError, MountOptions
from holdfs.drivers.mountinfo import mounts_below
from holdfs.drivers.overlay import layout, links, mounts
from holdfs.drivers.overlay.features import Features
from holdfs.drivers.overlay.home import make_private_home, undo_private_home
from holdfs.drivers.overlay.options import OverlayOptions
from holdfs.drivers.overlay.words import choose_words
from holdfs.native import mount as sys
from holdfs.native.about import about
from holdfs.native.remove import remove_tree

_log: Final = logging.getLogger(__name__)

# As the Go tools: others may hold a file of the layer, in their own mount namespace, for a moment.
_REMOVE_TRIES: Final = 100
_REMOVE_PAUSE_S: Final = 0.1


class OverlayDriver:
    """The overlay driver of one graph root; made by `open_overlay`."""

    name: Final = "overlay"

    def __init__(
        self,
        home: str,
        options: OverlayOptions,
        features: Features,
        *,
        user_xattr: bool,
        program_reason: str,
    ) -> None:
        self.home: Final = home
        self._options = options
        self._features = features
        self._user_xattr = user_xattr
        #: Why layers can't be mounted by the kernel itself; "" if they can.
        self._program_reason = program_reason
        # Looking whether something is mounted and acting on it are one step.
        self._mounting = threading.Lock()

    def status(self) -> list[tuple[str, str]]:
        """Key and value for `status`, in the Go tools' order and words."""
        by_program = bool(self._program_reason)
        return [
            ("Backing Filesystem", backing_name(self.home)),
            ("Supports d_type", "true"),  # without, the driver does not open
            ("Native Overlay Diff", _word(not by_program and self._features.has_native_diff())),
            ("Using metacopy", _word(not by_program and self._features.uses_metacopy())),
            ("Supports shifting", _word(False)),
            ("Supports volatile", _word(by_program or self._features.supports_volatile())),
        ]

    def exists(self, layer_id: str) -> bool:
        """Whether the driver has a directory for this layer."""
        return os.path.isdir(self._directory(layer_id))

    def list_layers(self) -> list[str]:
        """Return the IDs of the driver's layers, sorted."""
        return [
            name
            for name in links.layer_names(self.home)
            if os.path.lexists(f"{self.home}/{name}/diff")
            or os.path.lexists(f"{self.home}/{name}/link")
        ]

    def create(self, layer_id: str, parent_id: str, *, label: str = "") -> None:
        """
        Make the layer's directory; a failure leaves nothing.

        `link` and `lower` are on disk at return, and with them the directory's entries.
        """
        directory = self._directory(layer_id)
        if self._options.quota or self._options.force_mask:
            option = self._options.quota or self._options.force_mask
            assert option
            raise DriverError(f'option "{option.text}" is not supported: no layer is made')
        os.makedirs(f"{self.home}/{layout.LINKS}", 0o755, exist_ok=True)
        if os.path.lexists(directory):
            _log.warning("removing %s, which is there before its layer", directory)
            self.remove(layer_id)
        mode, owner, lower = 0o555, (os.geteuid(), os.getegid()), ""
        if parent_id:
            shown = os.stat(f"{self._directory(parent_id)}/diff")
            mode, owner = shown.st_mode & 0o777, (shown.st_uid, shown.st_gid)
            lower = self._lower_of_child(parent_id)
        os.mkdir(directory, 0o700)
        try:
            self._make_directory(f"{directory}/diff", mode, owner)
            self._make_directory(f"{directory}/work", 0o700, owner)
            self._make_directory(f"{directory}/merged", 0o700, owner)
            if parent_id:
                links.write_small(f"{directory}/lower", lower, 0o666)
            else:
                self._make_directory(f"{directory}/empty", 0o700, owner)
            # Last, since waiting for the disk is cheaper once everything else is there.
            links.make_link(self.home, layer_id)
            _sync_directory(directory)
        except BaseException:
            self.remove(layer_id)
            raise

    def _make_directory(self, path: str, mode: int, owner: tuple[int, int]) -> None:
        os.mkdir(path, mode)
        if owner == (os.geteuid(), os.getegid()):
            return
        try:
            os.chown(path, *owner)
        except PermissionError:
            if not self._options.ignore_chown_errors:
                raise

    def _lower_of_child(self, parent_id: str) -> str:
        link = links.read_link_name(self.home, parent_id)
        if not link:
            links.recover_links(self.home)
            link = links.read_link_name(self.home, parent_id)
        if not link:
            raise DriverError(
                f"layer {parent_id} can't be a parent: its link is lost", errno_=errno.EIO
            )
        return layout.format_lower(link, links.read_lower(self.home, parent_id))

    def remove(self, layer_id: str) -> None:
        """Unmount whatever is mounted below the layer and delete it. Not there: no error."""
        directory = self._directory(layer_id)
        if not os.path.lexists(directory):
            return
        link = links.read_link_name(self.home, layer_id)
        if link:
            links.remove_link(self.home, link)
        self._remove_directory(layer_id)

    def _remove_directory(self, layer_id: str) -> None:
        home_fd = os.open(self.home, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for left in reversed(range(_REMOVE_TRIES)):
                self._unmount_below(self._directory(layer_id))
                try:
                    remove_tree(home_fd, layer_id)
                    return
                except OSError as error:
                    if error.errno != errno.EBUSY or not left:
                        raise
                time.sleep(_REMOVE_PAUSE_S)
        finally:
            os.close(home_fd)

    def _unmount_below(self, directory: str) -> None:
        for mount in mounts_below(directory):
            mounts.umount_if_mounted(mount.point)

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
        point = self.mount_point(layer_id)
        with self._mounting:
            if self.is_mounted(layer_id):
                return point
            self._refuse_program()
            if not self._options.skip_mount_home:
                make_private_home(self.home)
            words = self._words(options)
            plan = mounts.plan_mount(self.home, layer_id, words, options)
            mounts.make_directories(self.home, layer_id, plan.lowers)
            mounts.forget_volatile(self.home, layer_id)
            self._make_mount(plan, f"{layer_id}/merged", point)
        return point

    def mount_view(self, layer_id: str, target: str) -> bool:
        """Mount the layer's tree read-only, nodev and nosuid, at `target`."""
        self._refuse_program()
        options = MountOptions(read_only=True)
        words = (*self._words(options), "nodev", "nosuid")
        plan = mounts.plan_mount(self.home, layer_id, words, options)
        self._make_mount(plan, target, target)
        sys.make_private(target)
        return True

    def _make_mount(self, plan: mounts.OverlayMount, target: str, shown: str) -> None:
        try:
            sys.mount_overlay(
                self.home,
                target,
                lowers=plan.lowers,
                upper=plan.upper,
                work=plan.work,
                options=plan.options,
                flags=plan.flags,
            )
        except OSError as error:
            code = error.errno or errno.EIO
            data = _quote(plan.data(self.home))
            raise DriverError(
                f"mounting an overlay at {shown}: {error.strerror}",
                words=f"creating overlay mount to {shown}, mount_data={data}: "
                f"{os.strerror(code).lower()}",
                errno_=code,
            ) from error

    def _refuse_program(self) -> None:
        if self._program_reason:
            raise DriverError(
                f"layers here are mounted by a mount program, which is not supported: "
                f"{self._program_reason}"
            )

    def _words(self, options: MountOptions) -> tuple[str, ...]:
        words = choose_words(
            self._options.mountopt,
            options.options,
            is_metacopy_used=self._features.uses_metacopy(),
        )
        if self._user_xattr and "userxattr" not in words:
            words = (*words, "userxattr")
        if options.volatile and "volatile" not in words and self._features.supports_volatile():
            words = (*words, "volatile")
        return words

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
                    mounts.umount_if_mounted(f"{mapped}/{name}")
            if mounts.umount_if_mounted(f"{directory}/merged"):
                mounts.renew_merged(directory)

    def diff_path(self, layer_id: str) -> str:
        """Return the directory that holds the layer's own changes."""
        return f"{self._directory(layer_id)}/diff"

    def has_content(self, layer_id: str, parent_id: str = "") -> bool:
        """Whether the layer has changes of its own; what the parent is does not matter."""
        if os.path.lexists(f"{self._directory(layer_id)}/diff1"):
            return True
        with os.scandir(self.diff_path(layer_id)) as entries:
            return next(entries, None) is not None

    def cleanup(self) -> None:
        """Remove `staging` and undo the private mount of the home."""
        home_fd = os.open(self.home, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            remove_tree(home_fd, "staging")
        finally:
            os.close(home_fd)
        with self._mounting:
            undo_private_home(self.home)

    def _directory(self, layer_id: str) -> str:
        # The callers pass IDs of records; this is the last line before a recursive deletion.
        if not layout.is_layer_name(layer_id):
            raise DriverError(f"{layer_id!r} can't be the ID of an overlay layer")
        return f"{self.home}/{layer_id}"


def _word(value: bool) -> str:
    return "true" if value else "false"


def _quote(text: str) -> str:
    """Return the text in quotes, as Go prints it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with about(path):
            os.fsync(fd)
    finally:
        os.close(fd)
