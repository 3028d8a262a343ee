"""
Mounts: overlay through the new mount API (mount(2) where the kernel lacks it), bind, propagation,
unmounting now or once idle, and what is known about a path without asking its file system.

Flags are those of mount(2), MS_*, everywhere.
"""

from __future__ import annotations

import errno
import os

from holdfs.native._native import ffi, lib
from holdfs.native.light import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

MS_RDONLY: Final = 0x1
MS_NOSUID: Final = 0x2
MS_NODEV: Final = 0x4
MS_NOEXEC: Final = 0x8
MS_SYNCHRONOUS: Final = 0x10
MS_REMOUNT: Final = 0x20
MS_MANDLOCK: Final = 0x40
MS_DIRSYNC: Final = 0x80
MS_NOATIME: Final = 0x400
MS_NODIRATIME: Final = 0x800
MS_BIND: Final = 0x1000
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 0x40000
MS_RELATIME: Final = 0x200000
MS_STRICTATIME: Final = 0x1000000
MS_LAZYTIME: Final = 0x2000000

OVERLAY_MAGIC: Final = 0x794C7630
FUSE_MAGIC: Final = 0x65735546

_MNT_DETACH: Final = 2

# The new API has other bits for some flags; those that belong to the superblock are words there.
_ATTRIBUTES: Final = (
    (MS_RDONLY, 0x1),
    (MS_NOSUID, 0x2),
    (MS_NODEV, 0x4),
    (MS_NOEXEC, 0x8),
    (MS_NOATIME, 0x10),
    (MS_STRICTATIME, 0x20),
    (MS_NODIRATIME, 0x80),
)
_SUPERBLOCK_WORDS: Final = (
    (MS_SYNCHRONOUS, "sync"),
    (MS_DIRSYNC, "dirsync"),
    (MS_MANDLOCK, "mand"),
    (MS_LAZYTIME, "lazytime"),
)
# fsconfig(2) copies at most 255 bytes of a value, mount(2) at most a page of data with its NUL.
_LONGEST_VALUE: Final = 255
_LONGEST_DATA: Final = 4095
_NO_NEW_API: Final = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)


def mount_overlay(
    home: str,
    target: str,
    *,
    lowers: Sequence[str],
    upper: str = "",
    work: str = "",
    options: Sequence[str] = (),
    flags: int = 0,
) -> None:
    """
    Mount an overlay of any number of lowers.

    Args:
        home: The directory that relative names start from; where the mount's own list of names
            allows it, they are joined to it so that mountinfo shows them in full.
        target: An existing directory, absolute or relative to `home`.
        lowers: Nearest first.
        upper, work: "" for a mount that can't be written.
        options: The file system's own, "key=value" or "word".
        flags: MS_*, those of the mount and those of the superblock.

    Raises:
        OSError: With the target as filename, and in the text what the kernel says about it.
    """
    names = [*lowers, upper, work] if upper else [*lowers]
    home_fd = os.open(home, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        shown = _absolute(home, names) if _is_plain(home, names) else names
        failed, message = _mount_new(home_fd, target, shown, bool(upper), options, flags)
        if failed in _NO_NEW_API:
            # Older kernels: no such calls, or an overlay that wants all lowers in one value. If the
            # options are what is wrong, mount(2) fails too, and the first message says how.
            failed = _mount_classic(home_fd, home, target, names, bool(upper), options, flags)
    finally:
        os.close(home_fd)
    if failed:
        text = f"{os.strerror(failed)}: {message}" if message else os.strerror(failed)
        raise OSError(failed, text, os.path.join(home, target))


def _absolute(home: str, names: Sequence[str]) -> list[str]:
    return [os.path.join(home, name) for name in names]


def _is_plain(home: str, names: Sequence[str]) -> bool:
    """Whether the full names can be given: short enough, and nothing in them needs an escape."""
    longest = max(len(os.fsencode(name)) for name in names)
    fits = len(os.fsencode(home)) + 1 + longest <= _LONGEST_VALUE
    return fits and not any(sign in home for sign in ":,\\")


def _mount_new(
    home_fd: int,
    target: str,
    names: Sequence[str],
    has_upper: bool,
    options: Sequence[str],
    flags: int,
) -> tuple[int, str]:
    lowers = names[:-2] if has_upper else names
    pairs = [("lowerdir+", name) for name in lowers]
    if has_upper:
        pairs += [("upperdir", names[-2]), ("workdir", names[-1])]
    for option in options:
        key, _, value = option.partition("=")
        pairs.append((key, value))
    pairs += [(word, "") for flag, word in _SUPERBLOCK_WORDS if flags & flag]
    attributes = 0
    for flag, attribute in _ATTRIBUTES:
        if flags & flag:
            attributes |= attribute
    packed = b"".join(os.fsencode(key) + b"\0" + os.fsencode(value) + b"\0" for key, value in pairs)
    message = ffi.new("char[]", 1024)
    result: int = lib.hold_mount_overlay(
        home_fd, os.fsencode(target), packed + b"\0", attributes, message, 1024
    )
    text: str = ffi.string(message).decode(errors="replace")
    return -result, text


def _mount_classic(
    home_fd: int,
    home: str,
    target: str,
    names: Sequence[str],
    has_upper: bool,
    options: Sequence[str],
    flags: int,
) -> int:
    data = overlay_data(names, has_upper, options)
    if _is_plain(home, names):
        full = overlay_data(_absolute(home, names), has_upper, options)
        data = full if len(os.fsencode(full)) <= _LONGEST_DATA else data
    if len(os.fsencode(data)) <= _LONGEST_DATA:
        return _mount_at(home_fd, target, flags, data)
    with _opened(home_fd, names) as numbers:
        # Even shorter: numbers of descriptors, with their directory as the current one.
        numbers_fd = os.open("/proc/self/fd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            data = overlay_data(numbers, has_upper, options)
            return _mount_at(numbers_fd, os.path.join(home, target), flags, data)
        finally:
            os.close(numbers_fd)


def overlay_data(names: Sequence[str], has_upper: bool, options: Sequence[str]) -> str:
    """Return the data of an overlay's mount(2); `names` are the lowers, then upper and work."""
    lowers = names[:-2] if has_upper else names
    parts = ["lowerdir=" + ":".join(lowers)]
    if has_upper:
        parts += [f"upperdir={names[-2]}", f"workdir={names[-1]}"]
    for option in options:
        key, _, value = option.partition("=")
        # Only here are commas between options, and a label may have some of its own.
        parts.append(f'{key}="{value}"' if key == "context" else option)
    return ",".join(parts)


def _mount_at(dir_fd: int, target: str, flags: int, data: str) -> int:
    result: int = lib.hold_mount(
        dir_fd, b"overlay", os.fsencode(target), b"overlay", flags, os.fsencode(data)
    )
    return -result


@contextmanager
def _opened(dir_fd: int, names: Sequence[str]) -> Iterator[list[str]]:
    """Give the descriptor number of each directory, as text."""
    fds: list[int] = []
    try:
        # Whatever was opened before a failure must be in the list, to be closed.
        for name in names:
            fd = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=dir_fd)
            fds.append(fd)
        yield [str(fd) for fd in fds]
    finally:
        for fd in fds:
            os.close(fd)


def mount(source: str, target: str, fstype: str = "", *, flags: int = 0, data: str = "") -> None:
    """Mount as mount(2) does; `source` is the filename of an error if there is no target."""
    result: int = lib.hold_mount(
        -1,
        os.fsencode(source),
        os.fsencode(target),
        os.fsencode(fstype) if fstype else ffi.NULL,
        flags,
        os.fsencode(data) if data else ffi.NULL,
    )
    _check(result, target)


def bind(source: str, target: str, *, read_only: bool = False, flags: int = 0) -> None:
    """
    Show `source` at `target` too, without what is mounted below it, in a private mount.

    Args:
        flags: Such as MS_NODEV, MS_NOSUID. There is a moment between binding and setting them.
    """
    mount(source, target, flags=MS_BIND)
    try:
        make_private(target)
        if read_only:
            flags |= MS_RDONLY
        if flags:
            mount(source, target, flags=MS_REMOUNT | MS_BIND | flags)
    except OSError:
        umount(target)
        raise


def make_private(path: str) -> None:
    """Let mounts made below the mount `path` appear in no other namespace, nor theirs here."""
    mount("none", path, flags=MS_PRIVATE)


def umount(path: str, *, detach: bool = True) -> None:
    """
    Unmount what is mounted at `path`.

    Args:
        detach: Even if it is in use: it goes from the tree now, and for good with its last user.

    Raises:
        OSError: EINVAL when nothing is mounted there, EBUSY when it is in use.
    """
    _check(lib.hold_umount(os.fsencode(path), _MNT_DETACH if detach else 0), path)


def is_mount_point(path: str) -> bool:
    """
    Whether something is mounted at `path`; False if there is no such path.

    Asks no file system, so it does not hang on a dead server or on our own mount. The directories
    above `path` are looked up, though.
    """
    result: int = lib.hold_is_mount_point(os.fsencode(path))
    if result in (-errno.ENOENT, -errno.ENOTDIR):
        return False
    _check(result, path)
    return result == 1


def fs_type(path: str) -> int:
    """Return the magic number of the file system that `path` is on (statfs(2), f_type)."""
    result: int = lib.hold_fs_type(os.fsencode(path))
    _check(result, path)
    return result


def syncfs(fd: int) -> None:
    """Wait until everything written to fd's file system is on its device."""
    _check(lib.hold_syncfs(fd), f"fd {fd}")


def _check(result: int, path: str) -> None:
    if result < 0:
        raise OSError(-result, os.strerror(-result), path)
