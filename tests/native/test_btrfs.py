"""The faces of btrfs.c where they meet what is not btrfs, and its limits."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfs.native import btrfs, quota
from tests.needs import loop_mounted, needs

pytestmark = needs("root")


def test_another_file_system_knows_none_of_it(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    acts: tuple[Callable[[], object], ...] = (
        lambda: btrfs.create_subvolume(fd, "x"),
        lambda: btrfs.create_snapshot(fd, fd, "x"),
        lambda: btrfs.has_quota(fd),
        lambda: btrfs.enable_quota(fd),
        lambda: btrfs.limit_subvolume(fd, 1),
        lambda: btrfs.rescan_quota(fd),
    )

    for act in acts:
        with pytest.raises(OSError) as raised:
            act()
        assert raised.value.errno in (errno.ENOTTY, errno.EOPNOTSUPP)
    os.close(fd)


@needs("btrfs")
def test_only_a_subvolume_is_destroyed(tmp_path: Path) -> None:
    with loop_mounted("btrfs", str(tmp_path)) as top:
        fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
        os.mkdir(f"{top}/plain")
        with open(f"{top}/file", "wb"):
            pass
        os.symlink("plain", f"{top}/link")
        for name, code in (
            ("plain", errno.EINVAL),
            ("file", errno.ENOTDIR),
            ("link", errno.ENOTDIR),
            ("nothing", errno.ENOENT),
        ):
            with pytest.raises(OSError) as raised:
                btrfs.destroy_subvolume(fd, name)
            assert (code, name) == (raised.value.errno, raised.value.filename)
        btrfs.create_subvolume(fd, "sub")
        with pytest.raises(FileExistsError):
            btrfs.create_subvolume(fd, "sub")
        btrfs.destroy_subvolume(fd, "sub")
        assert {"plain", "file", "link"} == set(os.listdir(top))
        os.close(fd)


@needs("btrfs")
def test_quota_is_switched_on_once_and_a_limit_lifted(tmp_path: Path) -> None:
    with loop_mounted("btrfs", str(tmp_path)) as top:
        fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
        assert not btrfs.has_quota(fd)
        for _ in range(2):
            btrfs.enable_quota(fd)
        assert btrfs.has_quota(fd)
        btrfs.create_subvolume(fd, "sub")
        sub_fd = os.open(f"{top}/sub", os.O_RDONLY | os.O_DIRECTORY)
        btrfs.limit_subvolume(sub_fd, 1 << 20)
        with open(f"{top}/sub/f", "wb", buffering=0) as file, pytest.raises(OSError):
            file.write(os.urandom(4 << 20))
            os.fsync(file.fileno())
            file.write(os.urandom(4 << 20))
        btrfs.limit_subvolume(sub_fd, 0)
        with open(f"{top}/sub/f", "wb", buffering=0) as file:
            file.write(os.urandom(4 << 20))
        btrfs.rescan_quota(fd)
        btrfs.rescan_quota(fd)
        os.close(sub_fd)
        os.close(fd)


@needs("xfs")
def test_projects_are_set_and_read_and_inherited(tmp_path: Path) -> None:
    with loop_mounted("xfs", str(tmp_path)) as top:
        os.mkdir(f"{top}/limited")
        fd = os.open(f"{top}/limited", os.O_RDONLY | os.O_DIRECTORY)
        assert 0 == quota.read_project(fd)

        quota.set_project(fd, 4_000_000_000)

        os.mkdir(f"{top}/limited/inner")
        inner_fd = os.open(f"{top}/limited/inner", os.O_RDONLY | os.O_DIRECTORY)
        assert 4_000_000_000 == quota.read_project(fd) == quota.read_project(inner_fd)
        os.close(inner_fd)
        os.close(fd)
