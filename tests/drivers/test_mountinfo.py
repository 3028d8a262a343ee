"""What the kernel says is mounted."""

import os
from pathlib import Path

from holdfs.drivers.mountinfo import Mount, mounts_below, parse_mountinfo, read_mounts
from holdfs.native import mount as m
from tests.needs import needs

_TEXT = (
    "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
    "44 27 254:0 /g/overlay /g/over\\040lay ro,nodev shared:1 master:2 - ext4 /dev/vda rw\n"
    "45 44 0:9 / /a\\134\\012b rw - fuse.x x rw\n"
)


def test_lines_become_mounts() -> None:
    assert [
        Mount(27, 1, "/", "/", "ext4", False),
        Mount(44, 27, "/g/overlay", "/g/over lay", "ext4", True),
        Mount(45, 44, "/", "/a\\\nb", "fuse.x", False),
    ] == parse_mountinfo(_TEXT)


def test_the_root_is_mounted() -> None:
    assert "/" in [mount.point for mount in read_mounts()]


@needs("root")
def test_mounts_below_come_in_the_order_to_unmount_them(tmp_path: Path) -> None:
    for name in ("x/inner", "x y", "link-target"):
        (tmp_path / name).mkdir(parents=True)
    os.symlink("x", tmp_path / "link")
    m.bind(f"{tmp_path}/x", f"{tmp_path}/x")
    m.bind(f"{tmp_path}/link-target", f"{tmp_path}/x/inner")
    m.bind(f"{tmp_path}/x y", f"{tmp_path}/x y")

    found = [mount.point for mount in mounts_below(f"{tmp_path}/link")]

    for path in (*found, f"{tmp_path}/x y"):
        m.umount(path, detach=False)
    assert [f"{tmp_path}/x/inner", f"{tmp_path}/x"] == found
