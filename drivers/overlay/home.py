"""
Opening the overlay home: may the kernel's overlay be used, or must a mount program be.

    G/overlay/.has-mount-program   "true" or "false", no newline: whether a mount program (fuse-
                                   overlayfs) has written here, and so must be used from now on
Source: spec/store-format.md 8.1.
"""

from __future__ import annotations

import os

from holdfs.drivers.backing import backing_name
from holdfs.drivers.base import DriverNotSupported
from holdfs.drivers.overlay import layout
from holdfs.native.about import about
from holdfs.native.mount import is_mount_point

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

_FLAG: Final = ".has-mount-program"
_DEVICE: Final = "backingFsBlockDev"
_REFUSED_BACKING: Final = ("aufs", "overlayfs", "ecryptfs")
_PROGRAM_XATTRS: Final = ("user.fuseoverlayfs.", "user.containers.")


def make_home(home: str, run_home: str) -> None:
    """Make the directories of an empty home, as far as they are missing."""
    os.makedirs(home, 0o700, exist_ok=True)
    os.makedirs(f"{home}/{layout.LINKS}", 0o755, exist_ok=True)
    os.makedirs(run_home, 0o700, exist_ok=True)


def unmake_home(home: str) -> None:
    """Remove a home that holds nothing, so that it does not count as a driver's state."""
    if is_mount_point(home):
        return  # somebody else has it in use
    links_dir, flag = f"{home}/{layout.LINKS}", f"{home}/{_FLAG}"
    if os.listdir(links_dir) or not {layout.LINKS, _FLAG, _DEVICE}.issuperset(os.listdir(home)):
        return
    os.rmdir(links_dir)
    for path in (flag, f"{home}/{_DEVICE}"):
        if os.path.lexists(path):
            os.unlink(path)
    os.rmdir(home)


def find_program_reason(home: str) -> str:
    """
    Return why layers of this home must be mounted by a mount program, "" if they need not.

    Looks through the whole home if no program has noted the answer yet, and notes it.
    """
    flag_path = f"{home}/{_FLAG}"
    noted = _read_flag(flag_path)
    if noted not in ("true", "false"):
        indicator = next(find_indicators(home), "")
        _write_flag(flag_path, "true" if indicator else "false")
        return f"{indicator} was made by one" if indicator else ""
    return f"{flag_path} says so" if noted == "true" else ""


def note_program(home: str) -> None:
    """Note that a mount program writes here, so that all use one from now on."""
    if _read_flag(f"{home}/{_FLAG}") != "true":
        _write_flag(f"{home}/{_FLAG}", "true")


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
        with open(path, encoding="utf-8", errors="replace") as file:
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


def check_backing(home: str) -> None:
    """
    Make sure that the home's file system can hold layers that the kernel itself mounts.

    Raises:
        DriverNotSupported: It can't.
    """
    name = backing_name(home)
    if name in _REFUSED_BACKING:
        raise DriverNotSupported(
            f"'overlay' is not supported over {name}, a mount_program is required: "
            "backing file system is unsupported for this graph driver"
        )


def needs_user_xattr(home: str) -> bool:
    """
    Whether overlay's marks are `user.overlay.*`: in a user namespace, or in a user's own store.

    Without the option the mount succeeds, but opaque directories show what is below them.
    """
    with open("/proc/self/uid_map", encoding="utf-8") as file:
        fields = file.readline().split()
    in_user_namespace = fields != ["0", "0", "4294967295"]
    return in_user_namespace or os.stat(home).st_uid != 0
