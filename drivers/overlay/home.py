"""
Opening the overlay home: may the kernel's overlay be used, and the home's private mount.

    G/overlay/.has-mount-program   "true" or "false", no newline: whether a mount program (fuse-
                                   overlayfs) has written here, and so must be used from now on
Source: spec/store-format.md 8.1.
"""

import os
from collections.abc import Iterator
from typing import Final

from holdfs.drivers.backing import backing_name
from holdfs.drivers.base import DriverError, DriverNotSupported
from holdfs.drivers.overlay import layout
from holdfs.drivers.overlay.options import OverlayOptions
from holdfs.native.about import about
from holdfs.native.mount import MS_BIND, is_mount_point, make_private, mount, umount

_FLAG: Final = ".has-mount-program"
_REFUSED_BACKING: Final = ("aufs", "overlayfs", "ecryptfs")
_PROGRAM_XATTRS: Final = ("user.fuseoverlayfs.", "user.containers.")


def make_home(home: str, run_home: str) -> None:
    """Make the directories of an empty home, as far as they are missing."""
    os.makedirs(home, 0o700, exist_ok=True)
    os.makedirs(f"{home}/{layout.LINKS}", 0o755, exist_ok=True)
    os.makedirs(run_home, 0o700, exist_ok=True)


def unmake_home(home: str) -> None:
    """Remove a home that holds nothing, so that it does not count as a driver's state."""
    links_dir, flag = f"{home}/{layout.LINKS}", f"{home}/{_FLAG}"
    if os.listdir(links_dir) or not {layout.LINKS, _FLAG}.issuperset(os.listdir(home)):
        return
    os.rmdir(links_dir)
    if os.path.exists(flag):
        os.unlink(flag)
    os.rmdir(home)


def find_program_reason(home: str, options: OverlayOptions) -> str:
    """
    Return why layers of this home must be mounted by a mount program, "" if they need not.

    Looks through the whole home if no program has noted the answer yet, and notes it.
    """
    if options.mount_program:
        return f'option "{options.mount_program.text}"'
    flag_path = f"{home}/{_FLAG}"
    noted = _read_flag(flag_path)
    if noted not in ("true", "false"):
        indicator = next(find_indicators(home), "")
        _write_flag(flag_path, "true" if indicator else "false")
        return f"{indicator} was made by one" if indicator else ""
    return f"{flag_path} says so" if noted == "true" else ""


def find_indicators(home: str) -> Iterator[str]:
    """Yield the paths below the home that only a mount program leaves there."""
    pending = [home]
    while pending:
        directory = pending.pop()
        if any(name.startswith(_PROGRAM_XATTRS) for name in os.listxattr(directory)):
            yield directory
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.startswith(".wh."):
                    yield entry.path
                elif entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)


def _read_flag(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(16).strip()
    except FileNotFoundError:
        return ""


def _write_flag(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with about(path):
            os.write(fd, text.encode())
    finally:
        os.close(fd)


def check_backing(home: str, options: OverlayOptions) -> None:
    """
    Make sure that the home's file system can hold overlay layers, and what the options ask of it.

    Raises:
        DriverError: It can't.
    """
    name = backing_name(home)
    if name in _REFUSED_BACKING:
        raise DriverNotSupported(
            f"'overlay' is not supported over {name}, a mount_program is required: "
            "backing file system is unsupported for this graph driver"
        )
    if options.quota and name != "xfs":
        raise DriverError(
            "storage option overlay.size and overlay.inodes only supported for backingFS XFS. "
            f"Found {name}"
        )


def needs_user_xattr(home: str) -> bool:
    """
    Whether overlay's marks are `user.overlay.*`: in a user namespace, or in a user's own store.

    Without the option the mount succeeds, but opaque directories show what is below them.
    """
    with open("/proc/self/uid_map", encoding="ascii") as file:
        fields = file.readline().split()
    in_user_namespace = fields != ["0", "0", "4294967295"]
    return in_user_namespace or os.stat(home).st_uid != 0


def make_private_home(home: str) -> None:
    """Mount the home on itself, privately, so that layer mounts appear in no other namespace."""
    home = os.path.realpath(home)
    if not is_mount_point(home):
        mount(home, home, flags=MS_BIND)
    make_private(home)


def undo_private_home(home: str) -> None:
    """Undo `make_private_home`; a disk of its own that is mounted at the home stays."""
    home = os.path.realpath(home)
    if is_mount_point(home) and os.stat(home).st_dev == os.stat(os.path.dirname(home)).st_dev:
        umount(home)
