"""Opening what is in a tree that nobody vouches for."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfs.native.expiring import Expiry, umount_expire
from holdfs.native.inside import clone_mount, open_inside
from holdfs.native.mount import bind, mount, umount
from tests.needs import needs


@pytest.fixture
def top(tmp_path: Path) -> Iterator[int]:
    """Give a descriptor of a directory with a file, and with links out of it and inside."""
    (tmp_path / "secret").write_text("outside\n")
    directory = tmp_path / "top"
    (directory / "a" / "b").mkdir(parents=True)
    (directory / "a" / "file").write_text("inside\n")
    (directory / "out").symlink_to("../secret")
    (directory / "absolute").symlink_to("/")
    (directory / "in").symlink_to("a")
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_a_file_is_opened(top: int) -> None:
    fd = open_inside(top, b"a/file", os.O_RDONLY)
    assert b"inside\n" == os.read(fd, 100)
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_nothing_is_the_top_itself(top: int) -> None:
    fd = open_inside(top, b"", os.O_PATH)
    assert os.path.sameopenfile(top, fd)
    os.close(fd)


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("out", errno.ELOOP),
        ("absolute/etc", errno.ELOOP),
        ("in/file", errno.ELOOP),
        ("../secret", errno.EXDEV),
        ("a/../../secret", errno.EXDEV),
        ("/etc/passwd", errno.EXDEV),
        ("a/file/x", errno.ENOTDIR),
        ("missing", errno.ENOENT),
    ],
)
def test_there_is_no_way_out_and_no_link_is_followed(top: int, path: str, number: int) -> None:
    with pytest.raises(OSError) as caught:
        open_inside(top, path.encode(), os.O_RDONLY)
    assert errno.errorcode[number] == errno.errorcode[caught.value.errno or 0]
    assert path == caught.value.filename


def test_a_link_itself_can_be_looked_at(top: int) -> None:
    fd = open_inside(top, b"out", os.O_PATH | os.O_NOFOLLOW)
    assert "../secret" == os.readlink("", dir_fd=fd)
    os.close(fd)


def test_a_path_longer_than_a_system_call_takes_is_opened(top: int) -> None:
    names = [f"{number:03}".encode() * 60 for number in range(60)]
    fd = os.dup(top)
    for name in names:
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_PATH | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = below
    before = len(os.listdir("/proc/self/fd"))
    found = open_inside(top, b"/".join(names), os.O_PATH)
    assert os.path.sameopenfile(fd, found)
    with pytest.raises(FileNotFoundError):
        open_inside(top, b"/".join((*names, b"x")), os.O_PATH)
    with pytest.raises(FileNotFoundError):
        open_inside(top, b"/".join((b"a", *names)), os.O_PATH)
    assert before + 1 == len(os.listdir("/proc/self/fd"))
    os.close(found)
    os.close(fd)


@needs("root")
def test_what_is_mounted_below_is_no_part_of_it(top: int, tmp_path: Path) -> None:
    mount("none", str(tmp_path / "top" / "a"), "tmpfs")
    try:
        with pytest.raises(OSError) as caught:
            open_inside(top, b"a/b", os.O_PATH)
        assert errno.EXDEV == caught.value.errno
    finally:
        umount(str(tmp_path / "top" / "a"))


@needs("root")
def test_a_copy_of_a_mount_is_read_only_and_keeps_it_not_busy(tmp_path: Path) -> None:
    source, point = tmp_path / "source", tmp_path / "point"
    (source / "inner").mkdir(parents=True)
    point.mkdir()
    bind(str(source), str(point))
    mount("none", str(point / "inner"), "tmpfs")
    (point / "inner" / "hidden").touch()
    fd = clone_mount(str(point))
    try:
        assert ["inner"] == os.listdir(f"/proc/self/fd/{fd}")
        assert [] == os.listdir(f"/proc/self/fd/{fd}/inner")
        with pytest.raises(OSError) as caught:
            os.mkdir("new", dir_fd=fd)
        assert errno.EROFS == caught.value.errno
        umount(str(point / "inner"))
        assert Expiry.MARKED is umount_expire(str(point))
        assert Expiry.UNMOUNTED is umount_expire(str(point))
        assert ["inner"] == os.listdir(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def test_what_is_not_there_cannot_be_copied(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        clone_mount(str(tmp_path / "missing"))
    assert str(tmp_path / "missing") == caught.value.filename
