"""Everything about a tree that a layer has to keep, in a form that compares."""

import hashlib
import os
import stat
from typing import Any


def manifest(top: str, *, with_directory_times: bool = True) -> dict[str, tuple[Any, ...]]:
    """
    Return path → (type and mode, owner, device, time, content or target, xattrs, first name).

    The time of `top` itself is left out: that is of the day when the layer was made.
    """
    first_name: dict[int, str] = {}
    found = {}
    pending = ["."]
    while pending:
        path = pending.pop()
        found[path] = _entry(top, path, first_name, with_directory_times)
        if stat.S_ISDIR(found[path][0]):
            pending += [f"{path}/{name}" for name in sorted(os.listdir(f"{top}/{path}"))]
    return found


def _entry(
    top: str, path: str, first_name: dict[int, str], with_directory_times: bool
) -> tuple[Any, ...]:
    full = f"{top}/{path}"
    shown = os.lstat(full)
    content: str = ""
    if stat.S_ISLNK(shown.st_mode):
        content = os.readlink(full)
    elif stat.S_ISREG(shown.st_mode):
        with open(full, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    is_directory = stat.S_ISDIR(shown.st_mode)
    same_file = path
    if shown.st_nlink > 1 and not is_directory:
        same_file = first_name.setdefault(shown.st_ino, path)
    has_time = path != "." and (with_directory_times or not is_directory)
    time_ns = shown.st_mtime_ns if has_time else 0
    xattrs = {
        name: os.getxattr(full, name, follow_symlinks=False)
        for name in os.listxattr(full, follow_symlinks=False)
    }
    device = shown.st_rdev if stat.S_ISCHR(shown.st_mode) or stat.S_ISBLK(shown.st_mode) else 0
    owner = (shown.st_uid, shown.st_gid)
    return shown.st_mode, owner, device, time_ns, content, xattrs, same_file


def fill(top: str) -> None:
    """Put one of everything that a layer may hold below `top`."""
    os.makedirs(f"{top}/etc/deep/er")
    _write(f"{top}/etc/plain", b"text\n", 0o644)
    _write(f"{top}/etc/set-id", b"#!/bin/true\n", 0o4755, owner=(0, 1000))
    _write(f"{top}/etc/secret", b"x", 0o600, owner=(1000, 1001))
    os.link(f"{top}/etc/plain", f"{top}/etc/deep/second-name")
    os.symlink("/etc/plain", f"{top}/etc/absolute")
    os.symlink("nowhere", f"{top}/dangling")
    os.lchown(f"{top}/dangling", 12, 13)
    os.mkfifo(f"{top}/etc/pipe", 0o640)
    os.mknod(f"{top}/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.chmod(f"{top}/null", 0o666)
    os.mknod(f"{top}/socket", stat.S_IFSOCK | 0o755)
    os.mkdir(f"{top}/sticky")
    os.chmod(f"{top}/sticky", 0o1777)
    _write(f"{top}/etc/\udcff odd\nname", b"bytes", 0o644)
    with open(f"{top}/sparse", "wb") as file:
        file.write(b"begin")
        file.seek(3 << 20)
        file.write(b"middle")
        file.truncate(8 << 20)
    os.setxattr(f"{top}/etc/plain", "user.note", b"kept")
    os.setxattr(f"{top}/etc/deep", "user.note", b"on a directory")
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    os.setxattr(f"{top}/etc/set-id", "security.capability", capability)
    for number, path in enumerate(sorted(manifest(top))):
        time_ns = 1_500_000_000_123_456_789 + number * 1_000_000_007
        os.utime(f"{top}/{path}", ns=(time_ns, time_ns), follow_symlinks=False)


def _write(path: str, data: bytes, mode: int, owner: tuple[int, int] = (0, 0)) -> None:
    with open(path, "wb") as file:
        file.write(data)
    os.chown(path, *owner)
    os.chmod(path, mode)
