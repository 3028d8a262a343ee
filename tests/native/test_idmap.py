"""Owners by ID maps: user namespaces without processes, mapped mounts, trees given other owners."""

import errno
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfs.native import idmap
from holdfs.native.mount import bind, umount
from holdfs.native.remove import remove_tree
from tests.needs import needs

pytestmark = needs("root")

_UIDS = [(0, 100_000, 65_536)]
_GIDS = [(0, 200_000, 65_536)]


@pytest.fixture
def top_fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def _owner(path: Path) -> tuple[int, int]:
    shown = path.lstat()
    return shown.st_uid, shown.st_gid


def _chown(fd: int, uidmap: list[tuple[int, int, int]] | None = None) -> None:
    idmap.chown_tree(fd, old_uidmap=(), old_gidmap=(), new_uidmap=uidmap or _UIDS, new_gidmap=_GIDS)


# -- namespaces and mounts ---------------------------------------------------------------------


def test_a_namespace_is_there_without_a_process_of_its_own() -> None:
    before = set(os.listdir("/proc/self/fd"))

    with idmap.opened_userns(_UIDS, _GIDS) as fd:
        assert os.readlink(f"/proc/self/fd/{fd}").startswith("user:[")
        assert os.stat(f"/proc/self/fd/{fd}").st_ino != os.stat("/proc/self/ns/user").st_ino
        assert "" == _children()

    assert before == set(os.listdir("/proc/self/fd"))


def _children() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")


@pytest.mark.parametrize("uids", [[], [(0, 1, 1), (0, 5, 1)], [(0, 0, 0)]])
def test_maps_that_can_not_be_are_the_kernels_refusal(uids: list[tuple[int, int, int]]) -> None:
    with pytest.raises(OSError) as raised, idmap.opened_userns(uids, _GIDS):
        pass

    assert errno.EINVAL == raised.value.errno


def test_threads_make_namespaces_at_once_and_others_children_are_left_alone() -> None:
    failures = []

    def make() -> None:
        try:
            for _ in range(50):
                with idmap.opened_userns(_UIDS, _GIDS):
                    pass
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert child.poll() is None
        child.communicate(b"\n", timeout=20)

    assert ([], 0) == (failures, child.returncode)


@needs("idmap")
def test_a_mapped_mount_shows_other_owners_and_stores_its_own(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    (source / "f").touch()
    os.chown(source / "f", 5, 6)

    with idmap.opened_userns(_UIDS, _GIDS) as fd:
        idmap.mount_mapped(str(source), str(target), fd)
    shown = _owner(target / "f")
    os.chown(target / "f", 100_007, 200_008)
    umount(str(target))

    assert (100_005, 200_006) == shown
    assert (7, 8) == _owner(source / "f")


def test_a_mount_that_can_not_be_mapped_names_the_target(tmp_path: Path) -> None:
    with pytest.raises(OSError) as raised, idmap.opened_userns(_UIDS, _GIDS) as fd:
        idmap.mount_mapped("/proc", str(tmp_path), fd)

    assert (errno.EINVAL, str(tmp_path)) == (raised.value.errno, raised.value.filename)


def test_a_rename_passes_below_a_mount(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "empty").mkdir(parents=True)
    (tmp_path / "staged").mkdir()
    (tmp_path / "staged" / "f").touch()
    bind(str(home), str(home))
    with pytest.raises(OSError) as raised:
        os.rename(tmp_path / "staged", home / "empty")
    assert errno.EXDEV == raised.value.errno

    idmap.rename_below_mounts(str(tmp_path), "staged", "home/empty")

    shown = os.listdir(home / "empty")
    umount(str(home))
    assert ["f"] == shown
    assert ["home"] == os.listdir(tmp_path)


def test_a_rename_replaces_nothing_that_is_not_empty(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "in").mkdir(parents=True)

    with pytest.raises(OSError) as raised:
        idmap.rename_below_mounts(str(tmp_path), "one", "two")

    assert errno.ENOTEMPTY == raised.value.errno
    assert (str(tmp_path / "one"), str(tmp_path / "two")) == (
        raised.value.filename,
        raised.value.filename2,
    )


# -- trees -------------------------------------------------------------------------------------


def test_all_below_the_top_gets_the_owner_and_nothing_is_followed(
    top_fd: int, tmp_path: Path
) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "link").symlink_to(outside)
    os.mkfifo(tmp_path / "a" / "b" / "fifo")
    (tmp_path / "odd \udcff\nname").touch()

    _chown(top_fd)

    assert (0, 0) == _owner(tmp_path) == _owner(outside)
    names = ("a", "a/b", "a/link", "a/b/fifo", "odd \udcff\nname")
    assert {(100_000, 200_000)} == {_owner(tmp_path / name) for name in names}


def test_a_file_with_many_names_is_changed_once(top_fd: int, tmp_path: Path) -> None:
    for number in range(700):
        (tmp_path / f"f{number}").touch()
        os.link(tmp_path / f"f{number}", tmp_path / f"g{number}")

    _chown(top_fd, [(0, 5, 1)])

    # Once more would be 65534: 5 has no place in the map.
    assert {5} == {path.stat().st_uid for path in tmp_path.iterdir()}
    assert {2} == {path.stat().st_nlink for path in tmp_path.iterdir()}
    assert (tmp_path / "f1").stat().st_ino == (tmp_path / "g1").stat().st_ino


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6711])
def test_set_id_bits_stay(top_fd: int, tmp_path: Path, mode: int) -> None:
    (tmp_path / "f").touch()
    (tmp_path / "f").chmod(mode)

    _chown(top_fd)

    assert mode == (tmp_path / "f").stat().st_mode & 0o7777


def test_another_mount_is_not_entered(top_fd: int, tmp_path: Path) -> None:
    (tmp_path / "a" / "mount").mkdir(parents=True)
    bind("/tmp", str(tmp_path / "a" / "mount"))

    with pytest.raises(OSError) as raised:
        _chown(top_fd)

    umount(str(tmp_path / "a" / "mount"))
    assert (errno.EBUSY, "a/mount") == (raised.value.errno, raised.value.filename)


def test_what_is_outside_the_old_map_is_named(top_fd: int, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "far").touch()
    os.chown(tmp_path / "a", 7, 7)
    os.chown(tmp_path / "a" / "far", 8, 8)

    with pytest.raises(OSError) as raised:
        idmap.chown_tree(
            top_fd, old_uidmap=[(0, 5, 3)], old_gidmap=[(0, 7, 1)], new_uidmap=(), new_gidmap=()
        )

    assert (errno.EOVERFLOW, "a/far") == (raised.value.errno, raised.value.filename)
    assert (2, 0) == _owner(tmp_path / "a")


def test_root_stays_root_where_the_old_map_has_no_place_for_it(top_fd: int, tmp_path: Path) -> None:
    (tmp_path / "f").touch()

    idmap.chown_tree(
        top_fd, old_uidmap=_UIDS, old_gidmap=_GIDS, new_uidmap=[(0, 3, 1)], new_gidmap=()
    )

    assert (3, 0) == _owner(tmp_path / "f")


@pytest.mark.parametrize("line", [(0, 0, 1 << 33), (-1, 0, 1), (1, 0xFFFFFFFF, 2)])
def test_what_is_no_range_of_ids_never_reaches_c(top_fd: int, line: tuple[int, int, int]) -> None:
    with pytest.raises(OSError, match="is no range of IDs"):
        _chown(top_fd, [line])


def test_a_deep_tree_takes_few_descriptors(top_fd: int, tmp_path: Path) -> None:
    fds = [os.dup(top_fd)]
    for _ in range(1000):
        os.mkdir("d", dir_fd=fds[-1])
        fds.append(os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=fds[-1]))
        os.close(fds.pop(0))
        os.mkdir("e", dir_fd=fds[0])
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (fds[0] + 100, limits[1]))
    try:
        _chown(top_fd)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    assert 100_000 == os.stat("e", dir_fd=fds[0]).st_uid
    os.close(fds[0])
    remove_tree(top_fd, "d")  # pytest's own way is too recursive


def test_a_path_too_long_is_refused(top_fd: int) -> None:
    fds = [os.dup(top_fd)]
    for _ in range(20):
        os.mkdir("d" * 255, dir_fd=fds[-1])
        fds.append(os.open("d" * 255, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fds[-1]))
        os.close(fds.pop(0))
    os.close(fds[0])

    with pytest.raises(OSError) as raised:
        _chown(top_fd)

    assert errno.ENAMETOOLONG == raised.value.errno
    remove_tree(top_fd, "d" * 255)
