"""Comparing trees, and the tar of it, where no other tool is asked."""

import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfs.native.blocks import Blocks
from holdfs.native.tarout import TarOutError
from holdfs.native.treediff import Change, DiffOf, changes, segments_from_diff, tar_from_diff
from holdfs.native.untar import IdRange, UntarOptions, Whiteouts
from tests.native.changing import build, change
from tests.native.trees import difference, tree_of
from tests.native.unpacking import unpack
from tests.needs import needs

pytestmark = needs("root")


@contextmanager
def opened(*paths: Path) -> Iterator[list[int]]:
    fds = [os.open(path, os.O_RDONLY) for path in paths]
    try:
        yield fds
    finally:
        for fd in fds:
            os.close(fd)


def tar_of(diff: DiffOf, to: Path) -> bytes:
    fd = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        tar_from_diff(diff, fd)
    finally:
        os.close(fd)
    return to.read_bytes()


def test_equal_trees_have_an_empty_difference(tmp_path: Path) -> None:
    build(str(tmp_path / "t"))
    with opened(tmp_path / "t", tmp_path / "t") as (a, b):
        diff = DiffOf(new_fd=a, old_fd=b)

        found = changes(diff)
        assert ([], 0) == (list(found.entries), found.size)
        assert bytes(1024) == tar_of(diff, tmp_path / "out")


def test_without_a_state_before_everything_is_new(tmp_path: Path) -> None:
    build(str(tmp_path / "t"))
    with opened(tmp_path / "t") as (fd,):
        found = changes(DiffOf(new_fd=fd))

    paths = {"/" + str(p.relative_to(tmp_path / "t")) for p in (tmp_path / "t").rglob("*")}
    assert {Change("A", path) for path in paths} == set(found.entries)


def test_a_difference_applied_to_the_old_state_gives_the_new(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for top in (old, new):
        build(str(top))
        for path in [top, *top.rglob("*")]:
            os.utime(path, (1, 1), follow_symlinks=False)
    change(str(new), is_overlay=False)
    with opened(new, old) as (new_fd, old_fd):
        data = tar_of(DiffOf(new_fd=new_fd, old_fd=old_fd), tmp_path / "out")

    unpack(data, tmp_path, UntarOptions(whiteouts=Whiteouts.MERGE), name="old")

    (new / "socket").unlink()
    expected, actual = tree_of(str(new)), tree_of(str(old))
    for tree in (expected, actual):
        for name, entry in tree.items():
            # Whole seconds travel; before 1970 not at all, as with the Go tools.
            seconds = max(0, entry.mtime_ns // 10**9)
            tree[name] = entry._replace(mtime_ns=0 if name == "." else seconds)
    assert "" == difference(expected, actual)


def test_owners_are_shown_as_the_container_sees_them(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t/f").touch()
    os.chown(tmp_path / "t/f", 100_007, 100_008)
    maps = (IdRange(0, 100_000, 100),)
    with opened(tmp_path / "t") as (fd,):
        data = tar_of(DiffOf(new_fd=fd, new_uid_map=maps, new_gid_map=maps), tmp_path / "out")
        os.chown(tmp_path / "t/f", 5, 5)
        with pytest.raises(TarOutError, match="/f: an owner has no ID in the container"):
            tar_of(DiffOf(new_fd=fd, new_uid_map=maps, new_gid_map=maps), tmp_path / "out")

    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert (7, 8) == (tar.getmembers()[0].uid, tar.getmembers()[0].gid)


def test_a_mapped_copy_does_not_differ(tmp_path: Path) -> None:
    for name, uid in (("old", 3), ("new", 100_003)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").touch()
        os.utime(tmp_path / name / "f", (1, 1))
        os.chown(tmp_path / name / "f", uid, uid)
    maps = (IdRange(0, 100_000, 100),)
    with opened(tmp_path / "new", tmp_path / "old") as (new_fd, old_fd):
        diff = DiffOf(new_fd=new_fd, old_fd=old_fd, new_uid_map=maps, new_gid_map=maps)

        assert [] == list(changes(diff).entries)


def test_a_marker_tells_of_a_replaced_directory_only_if_a_lower_has_it(tmp_path: Path) -> None:
    upper, near, far = (tmp_path / name for name in ("upper", "near", "far"))
    for name in ("over", "hidden", "fresh", "below/sub"):
        (upper / name).mkdir(parents=True)
        os.setxattr(upper / name, "trusted.overlay.opaque", b"y")
    (far / "over").mkdir(parents=True)
    (far / "hidden").mkdir()
    (far / "below/sub").mkdir(parents=True)
    near.mkdir()
    os.mknod(near / "hidden", 0o20000, 0)
    os.mknod(near / "below", 0o20000, 0)
    with opened(upper, near, far) as (fd, *lowers):
        data = tar_of(DiffOf(new_fd=fd, is_overlay=True, lower_fds=lowers), tmp_path / "out")

    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert [
            "below",
            "below/sub",
            "fresh",
            "hidden",
            "over",
            "over/.wh..wh..opq",
        ] == tar.getnames()


def test_a_deep_tree_needs_few_descriptors(tmp_path: Path) -> None:
    top = tmp_path / "t"
    top.mkdir()
    path = top
    for _ in range(300):
        path = path / "d"
        path.mkdir()
    (path / "f").write_bytes(b"deep")
    with opened(top) as (fd,):
        whole = DiffOf(new_fd=fd, is_overlay=True)

        assert 301 == len(list(changes(whole).entries))
        assert 301 == len(list(changes(DiffOf(new_fd=fd)).entries))
        assert b"deep" in tar_of(whole, tmp_path / "out")


def test_a_reader_that_goes_away_leaves_no_file_open(tmp_path: Path) -> None:
    top = tmp_path / "t"
    top.mkdir()
    for number in range(100):  # large ones, so that some are open and wait to be read
        with (top / f"{number}").open("wb") as f:
            f.truncate(1_000_000)
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    with opened(top) as (fd,):
        before = os.listdir("/proc/self/fd")
        with pytest.raises(TarOutError):
            tar_from_diff(DiffOf(new_fd=fd, is_overlay=True), write_fd)

        assert before == os.listdir("/proc/self/fd")
    os.close(write_fd)


def test_a_list_of_the_tar_keeps_no_file_open(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "f").write_bytes(b"content")
    with opened(tmp_path / "t") as (fd,), (tmp_path / "spill").open("w+b") as spill:
        before = len(os.listdir("/proc/self/fd"))
        with segments_from_diff(DiffOf(new_fd=fd, is_overlay=True), spill.fileno()) as segments:
            kept = len(os.listdir("/proc/self/fd")) - before

            assert 2 == kept, "the directory's and the spill file's"
            assert b"content" == bytes(segments.read(512, 7, Blocks(7, 1)))


def test_more_than_memory_has_room_for_comes_in_order_too(tmp_path: Path) -> None:
    # 9 MB of paths, of which no thread keeps more than 4 in memory.
    long_path = Path(*(character * 250 for character in "abcdefghijklmn"))
    expected = set()
    for top in ("one", "other"):
        deep = os.open(tmp_path, os.O_RDONLY)
        for part in (top, *long_path.parts):
            os.mkdir(part, dir_fd=deep)
            inner = os.open(part, os.O_RDONLY, dir_fd=deep)
            os.close(deep)
            deep = inner
        for number in range(1300):
            os.close(os.open(f"{number}", os.O_CREAT | os.O_WRONLY, dir_fd=deep))
            expected.add(f"/{top}/{long_path}/{number}")
        os.close(deep)
        for above in (Path(top, long_path), *Path(top, long_path).parents):
            expected.add(f"/{above}")
    expected.remove("/.")

    with opened(tmp_path) as (fd,):
        entries = list(changes(DiffOf(new_fd=fd)).entries)

    assert [Change("A", path) for path in sorted(expected)] == entries


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    with opened(tmp_path / "t") as (fd,):
        os.rmdir(tmp_path / "t")
        (tmp_path / "f").touch()
        with (
            opened(tmp_path / "f") as (file_fd,),
            pytest.raises(TarOutError, match=r"[Nn]ot a directory"),
        ):
            changes(DiffOf(new_fd=file_fd, old_fd=fd))
