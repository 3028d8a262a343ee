"""
What is mounted where, from /proc/self/mountinfo: asks no file system, so it can't hang on one.

    36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
    id parent dev root point options  fields…  - type source   superblock options
"""

from __future__ import annotations

import os

from holdfs.native.values import Value


class Mount(Value):
    """One mount of this process's mount namespace."""

    mount_id: int
    parent_id: int
    root: str
    point: str
    fs_type: str
    is_read_only: bool


def parse_mountinfo(text: str) -> list[Mount]:
    """Return the mounts in the order in which the kernel lists them: a later one hides others."""
    mounts = []
    for line in text.split("\n"):
        if not line:
            continue
        head, _, tail = line.partition(" - ")
        fields = head.split(" ")
        mounts.append(
            Mount(
                int(fields[0]),
                int(fields[1]),
                _unescape(fields[3]),
                _unescape(fields[4]),
                tail.split(" ", 1)[0],
                "ro" in fields[5].split(","),
            )
        )
    return mounts


def _unescape(name: str) -> str:
    # The kernel writes blank, tab, newline and backslash as three octal digits.
    first, *rest = name.split("\\")
    return first + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)


def read_mounts() -> list[Mount]:
    """Return what is mounted now."""
    with open("/proc/self/mountinfo", "rb") as file:
        return parse_mountinfo(os.fsdecode(file.read()))


def mounts_below(path: str) -> list[Mount]:
    """Return the mounts at or below `path`, in an order in which they can be unmounted."""
    path = os.path.realpath(path)
    below = path.rstrip("/") + "/"
    found = [m for m in read_mounts() if m.point == path or m.point.startswith(below)]
    found.reverse()
    return found
