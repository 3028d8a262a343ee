"""
Limits of overlay layers, as project quotas of xfs.

    G/overlay/backingFsBlockDev    the file system's device, for quotactl(2)
    G/overlay/<id>/                in a project of its own, which what is made in it inherits

Source: spec/store-format.md 8.10; containers/storage, drivers/quota/projectquota.go.
"""

import os
import stat
import threading
from collections.abc import Mapping
from typing import Final, NamedTuple

from holdfs.drivers.backing import backing_name
from holdfs.drivers.base import DriverError
from holdfs.drivers.options import parse_size
from holdfs.drivers.overlay.options import OverlayOptions
from holdfs.native import quota

_DEVICE: Final = "backingFsBlockDev"
_MAX_PROJECT: Final = 0xFFFFFFFF
_FIRST_PROJECT: Final = 10000
_WHERE: Final = "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"


class Limits(NamedTuple):
    """What a layer may hold: bytes and inodes, 0 for no limit."""

    size: int
    inodes: int


def choose_limits(
    options: OverlayOptions, wanted: Mapping[str, str], *, read_only: bool
) -> Limits | None:
    """
    Return a new layer's limits, its own or the driver's; None if there are none.

    Raises:
        DriverError: An option is unknown, or is for a layer that is not written to.
    """
    for key, value in wanted.items():
        if key not in ("size", "inodes"):
            raise DriverError(f'unknown option {key} ("{value}")')
        if read_only:
            raise DriverError(f"--storage-opt {key} is only supported for ReadWrite Layers")
    if read_only:
        return None
    size = parse_size(wanted["size"]) if "size" in wanted else options.size
    inodes = _parse_count(wanted["inodes"]) if "inodes" in wanted else options.inodes
    return Limits(size, inodes) if wanted or size or inodes else None


def _parse_count(text: str) -> int:
    if text.isascii() and text.isdecimal():
        return int(text)
    raise DriverError(f'strconv.ParseUint: parsing "{text}": invalid syntax')


def check_quota(home: str, options: OverlayOptions) -> None:
    """
    Make sure that the limits among the options can be had in this home.

    Raises:
        DriverError: They can't.
    """
    name = backing_name(home)
    if name != "xfs":
        raise DriverError(
            "storage option overlay.size and overlay.inodes only supported for backingFS XFS. "
            f"Found {name}"
        )
    try:
        QuotaControl(home)
    except OSError as error:
        raise DriverError(
            "storage options overlay.size and overlay.inodes not supported. "
            f"Filesystem does not support Project Quota: {error.strerror}"
        ) from error


def open_control(home: str, *, has_own: bool) -> "QuotaControl":
    """
    Return what sets the limits of layers in this home.

    Args:
        has_own: Whether the layer brings its limits, which decides on the words of a refusal.

    Raises:
        DriverError: No limits can be set.
    """
    try:
        if backing_name(home) == "xfs":
            return QuotaControl(home)
    except OSError as error:
        raise DriverError(f"{_WHERE} ({error.strerror})", words=_WHERE) from error
    if has_own:
        raise DriverError(_WHERE)
    raise DriverError(f"{home} is not on xfs: layers can't be limited", words=_WHERE)


class QuotaControl:
    """The projects of one home. Raises OSError when made where there are no project quotas."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._first = self._find_first()
        self._device = _make_device(home)
        # To no limit at all: says whether there could be one.
        self._set(self._first, Limits(0, 0))

    def limit(self, directory: str, limits: Limits) -> None:
        """Give a layer's directory a project of its own, and that its limits."""
        with self._lock:
            project = max([self._first, *self._projects()]) + 1
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                quota.set_project(fd, project)
            finally:
                os.close(fd)
        self._set(project, limits)

    def _set(self, project: int, limits: Limits) -> None:
        try:
            quota.limit_project(self._device, project, size=limits.size, inodes=limits.inodes)
        except OSError as error:
            raise OSError(
                error.errno,
                f"failed to set quota limit for projid {project} on {self._device}: "
                f"{(error.strerror or '').lower()}",
            ) from error

    def _find_first(self) -> int:
        own = _read_project(self._home)
        if own:
            return own
        inode = os.stat(self._home).st_ino
        return _FIRST_PROJECT + inode * _FIRST_PROJECT % (_MAX_PROJECT - _FIRST_PROJECT)

    def _projects(self) -> list[int]:
        with os.scandir(self._home) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        return [_read_project(f"{self._home}/{name}") for name in names]


def _read_project(directory: str) -> int:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return quota.read_project(fd)
    finally:
        os.close(fd)


def _make_device(home: str) -> str:
    path = f"{home}/{_DEVICE}"
    device = os.stat(home).st_dev
    try:
        shown = os.lstat(path)
        if stat.S_ISBLK(shown.st_mode) and shown.st_rdev == device:
            return path
        os.unlink(path)
    except FileNotFoundError:
        pass
    os.mknod(path, stat.S_IFBLK | 0o600, device)
    return path
