"""A copy that lacks nothing of the original."""

import os
import stat
from pathlib import Path

import pytest

from holdfs.native.copytree import copy_tree
from tests.native.changing import CAPABILITY, build, change
from tests.native.trees import difference, tree_of
from tests.needs import needs

pytestmark = needs("root")


def copy(source: Path, target: Path, *, in_userns: bool = False) -> None:
    target.mkdir()
    fds = os.open(source, os.O_RDONLY), os.open(target, os.O_RDONLY)
    try:
        copy_tree(*fds, in_userns=in_userns)
    finally:
        for fd in fds:
            os.close(fd)


def test_a_copy_equals_the_original(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    build(str(source))
    change(str(source), is_overlay=False)
    os.setxattr(source / "dd", "trusted.overlay.opaque", b"y")
    os.chmod(source, 0o2711)
    os.chown(source, 5, 6)

    copy(source, target)

    assert "" == difference(tree_of(str(source)), tree_of(str(target)))
    assert CAPABILITY == os.getxattr(target / "capable", "security.capability")


def test_holes_stay_holes(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    with open(source / "f", "wb") as f:
        f.seek(50 << 20)
        f.write(b"middle")
        f.truncate(100 << 20)

    copy(source, target)

    assert (target / "f").read_bytes() == (source / "f").read_bytes()
    assert (target / "f").stat().st_blocks <= 64


def test_other_attributes_are_not_copied(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "f").touch()
    os.setxattr(source / "f", "trusted.mine", b"1")
    os.setxattr(source / "f", "user.theirs", b"1")

    copy(source, target)

    assert ["user.theirs"] == os.listxattr(target / "f")


def test_in_a_user_namespace_devices_are_left_out(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    os.mknod(source / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mkfifo(source / "fifo")

    copy(source, target, in_userns=True)

    assert ["fifo"] == os.listdir(target)


def test_the_order_of_the_descriptors_does_not_matter(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "d").mkdir(parents=True)
    (source / "d/f").write_text("content")
    target.mkdir()
    target_fd = os.open(target, os.O_RDONLY)
    other_fd = os.open(tmp_path, os.O_RDONLY)
    source_fd = os.open(source, os.O_RDONLY)
    try:
        copy_tree(source_fd, target_fd)
    finally:
        for fd in (target_fd, other_fd, source_fd):
            os.close(fd)

    assert "content" == (target / "d/f").read_text()


def test_a_failure_names_the_path(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "d").mkdir(parents=True)
    (source / "d/f").touch()
    (target / "d").mkdir(parents=True)
    fds = os.open(source, os.O_RDONLY), os.open(target, os.O_RDONLY)
    try:
        with pytest.raises(FileExistsError, match=r"copy /.*d"):
            copy_tree(*fds)
    finally:
        for fd in fds:
            os.close(fd)
