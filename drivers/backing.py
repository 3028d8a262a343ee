"""The Go tools' names of file systems, by the magic number of statfs(2)."""

from __future__ import annotations

from holdfs.native.mount import fs_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

BACKING_NAMES: Final = {
    0x61756673: "aufs",
    0x9123683E: "btrfs",
    0x28CD3D45: "cramfs",
    0xF15F: "ecryptfs",
    0xEF53: "extfs",
    0xF2F52010: "f2fs",
    0x47504653: "gpfs",
    0x72B6: "jffs2",
    0x3153464A: "jfs",
    0x6969: "nfs",
    0x794C7630: "overlayfs",
    0x858458F6: "ramfs",
    0x52654973: "reiserfs",
    0x517B: "smb",
    0x73717368: "squashfs",
    0x01021994: "tmpfs",
    0x58465342: "xfs",
    0x2FC12FC1: "zfs",
}


def backing_name(path: str) -> str:
    """Return the name of the file system that `path` is on."""
    return BACKING_NAMES.get(fs_type(path), "<unknown>")
