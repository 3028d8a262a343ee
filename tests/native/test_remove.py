"""Deleting trees: everything below the name and nothing else."""

import errno
import os
import resource
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfs.native.remove import remove_tree
from tests.needs import needs


@pytest.fixture
def top_fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_a_tree_of_everything_is_gone(top_fd: int, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "file").write_bytes(b"x")
    os.mkfifo(tree / "fifo")
    (tree / "dangling").symlink_to("nowhere")
    (tree / "odd \udcff\nname").touch()
    (tree / "a").chmod(0o000)

    remove_tree(top_fd, "tree")

    assert [] == os.listdir(tmp_path)


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_single_file_is_removed_too(top_fd: int, tmp_path: Path, kind: str) -> None:
    (tmp_path / "kept").mkdir()
    if kind == "file":
        (tmp_path / "it").touch()
    else:
        (tmp_path / "it").symlink_to("kept")

    remove_tree(top_fd, "it")

    assert ["kept"] == os.listdir(tmp_path)


def test_what_is_not_there_is_no_error(top_fd: int) -> None:
    remove_tree(top_fd, "none")


def test_links_are_not_followed(top_fd: int, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "up").symlink_to("../kept")
    (tmp_path / "tree" / "dots").symlink_to("..")

    remove_tree(top_fd, "tree")

    assert ["file"] == os.listdir(tmp_path / "kept")


@needs("root")
def test_another_mount_is_not_entered(top_fd: int, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "tree" / "d" / "bound").mkdir(parents=True)
    bound = f"{tmp_path}/tree/d/bound"
    subprocess.run(["mount", "--bind", f"{tmp_path}/kept", bound], check=True, timeout=20)

    with pytest.raises(OSError) as raised:
        remove_tree(top_fd, "tree")

    assert errno.EBUSY == raised.value.errno
    assert ["file"] == os.listdir(tmp_path / "kept")
    subprocess.run(["umount", bound], check=True, timeout=20)
    remove_tree(top_fd, "tree")
    assert ["kept"] == os.listdir(tmp_path)


@needs("root")
def test_immutable_and_append_only_are_no_obstacle(top_fd: int, tmp_path: Path) -> None:
    (tmp_path / "tree" / "d").mkdir(parents=True)
    for name in ("tree/d/immutable", "tree/d/append"):
        (tmp_path / name).touch()
    os.mknod(tmp_path / "tree" / "d" / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.symlink("immutable", tmp_path / "tree" / "d" / "link")
    for flag, name in (("+i", "d/immutable"), ("+a", "d/append"), ("+a", "d"), ("+i", "")):
        subprocess.run(["chattr", flag, f"{tmp_path}/tree/{name}"], check=True, timeout=20)

    remove_tree(top_fd, "tree")

    assert [] == os.listdir(tmp_path)


def test_a_tree_may_be_deeper_than_descriptors_and_names_reach(top_fd: int, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    fd = os.open(tmp_path / "tree", os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("directory", dir_fd=fd)
        os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=fd))
        below = os.open("directory", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    try:
        remove_tree(top_fd, "tree")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    assert [] == os.listdir(tmp_path)


def test_a_closed_descriptor_is_an_error(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    os.close(fd)

    with pytest.raises(OSError) as raised:
        remove_tree(fd, "tree")

    assert (errno.EBADF, "tree") == (raised.value.errno, raised.value.filename)
