"""diff.tar: read at any offset as the store's own stream, written as programs write."""

import errno
import os
import random
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.mount.daemons import eventually, serving
from tests.mount.difftars import LARGE, SMALL, diff_dir, fd_of, go_diff, tar_of
from tests.mount.scene import Scene
from tests.mount.shop import Shop

pytestmark = pytest.mark.needs("root", "fuse", "overlay", "containers-storage")


# -- reading -------------------------------------------------------------------------------------


def test_reads_at_random_offsets_equal_the_stream(shop: Shop, loose: Path) -> None:
    shop.scene.store.apply_diff("loose", fd_of(LARGE))
    shop.catch_up()
    stream = go_diff(shop, shop.scene.loose)
    assert LARGE == stream
    assert len(stream) == (loose / "diff.tar").stat().st_size

    chance = random.Random(1)
    fd = os.open(loose / "diff.tar", os.O_RDONLY)
    try:
        for _ in range(300):
            off, size = chance.randrange(len(stream) + 5000), chance.randrange(1, 70_000)
            assert stream[off : off + size] == os.pread(fd, size, off)
    finally:
        os.close(fd)


def test_cp_and_tar_read_the_diff(shop: Shop, loose: Path, tmp_path: Path) -> None:
    shop.scene.store.apply_diff("loose", fd_of(LARGE))
    shop.catch_up()

    shop.sh(f"cp layers/loose/diff.tar {tmp_path}/out.tar")
    listed = shop.sh("tar tf layers/loose/diff.tar")

    assert LARGE == (tmp_path / "out.tar").read_bytes()
    assert ["etc/", *(f"etc/{i}" for i in range(90))] == listed.split()


def test_a_layer_without_tar_split_has_a_size_once_it_was_opened(shop: Shop) -> None:
    path = shop.layers / "top" / "diff.tar"
    assert 0 == path.stat().st_size

    data = path.read_bytes()

    assert go_diff(shop, shop.scene.top) == data
    assert len(data) == path.stat().st_size
    shop.scene.store.set_metadata("layers", "top", "changed")
    shop.catch_up()
    assert 0 == path.stat().st_size


def test_what_is_filled_through_rootfs_is_seen_by_the_next_open(shop: Shop, loose: Path) -> None:
    (loose / "rootfs" / "one").write_text("1")
    with tarfile.open(loose / "diff.tar") as tar:
        assert ["one"] == [m.name for m in tar if m.isreg()]

    (loose / "rootfs" / "two").write_text("2")

    with tarfile.open(loose / "diff.tar") as tar:
        assert ["one", "two"] == [m.name for m in tar if m.isreg()]


def test_many_read_at_once(shop: Shop, loose: Path) -> None:
    shop.scene.store.apply_diff("loose", fd_of(LARGE))
    shop.catch_up()
    path, got = loose / "diff.tar", []
    threads = [threading.Thread(target=lambda: got.append(path.read_bytes())) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [LARGE] * 8 == got


def test_a_diff_that_was_read_is_let_go(shop: Shop, loose: Path) -> None:
    shop.scene.store.apply_diff("loose", fd_of(SMALL))
    shop.catch_up()
    directory = str(diff_dir(shop))

    (loose / "diff.tar").read_bytes()
    assert directory in shop.daemon.fds()
    shop.scene.store.set_metadata("layers", "loose", "changed")
    shop.catch_up()

    eventually(lambda: directory not in shop.daemon.fds())


def test_what_another_tool_applies_is_read(shop: Shop, loose: Path) -> None:
    (loose / "diff.tar").read_bytes()

    shop.go.run("applydiff", shop.scene.loose, input=SMALL)
    shop.catch_up()

    assert len(SMALL) == (loose / "diff.tar").stat().st_size
    assert SMALL == (loose / "diff.tar").read_bytes()


def test_nobody_gets_old_pieces_of_a_layer_that_was_filled_anew(shop: Shop, loose: Path) -> None:
    (loose / "diff.tar").write_bytes(LARGE)
    with (loose / "diff.tar").open("rb", buffering=0) as file:
        file.read(4096)
        (loose / "diff.tar").write_bytes(SMALL)
        for off in (0, 4096, 20_000, 8192):
            try:
                assert SMALL[off : off + 4096] == os.pread(file.fileno(), 4096, off)
            except OSError as error:  # where the kernel has not got the new yet
                assert errno.ESTALE == error.errno
            assert SMALL == (loose / "diff.tar").read_bytes()


def test_small_reads_are_read_ahead(shop: Shop, loose: Path) -> None:
    data = tar_of(("etc/big", random.Random(2).randbytes(3 << 20)))
    (loose / "diff.tar").write_bytes(data)

    fd = os.open(loose / "diff.tar", os.O_RDONLY)
    try:
        pieces = [os.pread(fd, 777, off) for off in range(0, len(data), 777)]
    finally:
        os.close(fd)

    assert data == b"".join(pieces)


# -- reading ahead -------------------------------------------------------------------------------


LONG = tar_of(*((f"etc/{i}", random.Random(i).randbytes(i * 997)) for i in range(220)))
MIB = 1 << 20


@pytest.fixture
def long(shop: Shop, loose: Path) -> Path:
    """`diff.tar` of a layer with LONG in it."""
    shop.scene.store.apply_diff("loose", fd_of(LONG))
    shop.catch_up()
    return loose / "diff.tar"


@contextmanager
def opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


def threads(shop: Shop) -> int:
    """How many threads the daemon has, without those that trio keeps for a while."""
    count = 0
    for path in Path(f"/proc/{shop.daemon.pid}/task").glob("*/comm"):
        # One that has ended meanwhile is gone, or is as it is read.
        with suppress(FileNotFoundError, ProcessLookupError):
            count += path.read_text() == "holdfs\n"
    return count


def test_handles_read_from_front_to_back_at_once_and_elsewhere_between(
    shop: Shop, long: Path
) -> None:
    chance = random.Random(6)
    with opened(long) as first, opened(long) as second, opened(long) as third:
        for off in range(0, len(LONG), MIB):
            for fd, back in ((first, 0), (second, 3 * MIB), (third, 9 * MIB)):
                if off >= back:
                    at = off - back
                    assert LONG[at : at + MIB] == os.pread(fd, MIB, at)
            at = chance.randrange(len(LONG))
            assert LONG[at : at + 5000] == os.pread(first, 5000, at)


def test_what_the_kernel_does_not_keep_is_read_ahead_too(shop: Shop, loose: Path) -> None:
    (loose / "rootfs" / "large").write_bytes(random.Random(7).randbytes(9 * MIB))
    whole = go_diff(shop, shop.scene.loose)

    with opened(loose / "diff.tar") as fd:
        read = iter(lambda: os.read(fd, 128 << 10), b"")
        assert whole == b"".join(read)


def test_the_kernel_keeps_what_it_has_read_until_the_layer_is_another(
    shop: Shop, long: Path
) -> None:
    def read_by_daemon() -> int:
        with open(f"/proc/{shop.daemon.pid}/io", encoding="ascii") as f:
            return int(f.readline().removeprefix("rchar: "))

    assert LONG == long.read_bytes()
    before = read_by_daemon()
    assert LONG == long.read_bytes()
    assert read_by_daemon() - before < len(LONG) // 2

    long.write_bytes(LARGE)

    assert LARGE == long.read_bytes()


def test_closing_half_way_leaves_no_thread_and_no_file_open(shop: Shop, long: Path) -> None:
    before = threads(shop)
    directory = str(diff_dir(shop))
    with opened(long) as fd:
        for off in range(0, 12 * MIB, MIB):
            assert LONG[off : off + MIB] == os.pread(fd, MIB, off)
        assert before < threads(shop)

    eventually(lambda: before == threads(shop))
    shop.scene.store.set_metadata("layers", "loose", "changed")
    shop.catch_up()
    eventually(lambda: not [path for path in shop.daemon.fds() if path.startswith(directory)])


def test_reading_ends_where_a_file_is_not_what_it_was(shop: Shop, long: Path) -> None:
    position = LONG.index(random.Random(200).randbytes(5000))
    (diff_dir(shop) / "etc" / "200").write_bytes(b"short")

    got = bytearray()
    with opened(long) as fd, pytest.raises(OSError) as caught:
        while data := os.read(fd, 128 << 10):
            got += data

    assert errno.EIO == caught.value.errno
    assert position - 2 * MIB < len(got) <= position
    assert LONG[: len(got)] == got
    assert any("is not what it was" in line for line in shop.errors())


def test_a_layer_can_be_deleted_while_its_diff_is_read(shop: Shop, long: Path) -> None:
    with opened(long) as fd:
        for off in range(0, 12 * MIB, MIB):
            assert LONG[off : off + MIB] == os.pread(fd, MIB, off)
        long.parent.rmdir()

    assert shop.scene.loose not in shop.go_ids("layers")


# -- what goes wrong -----------------------------------------------------------------------------


def test_a_layer_can_be_deleted_while_its_diff_is_open(shop: Shop, loose: Path) -> None:
    (loose / "diff.tar").write_bytes(SMALL)
    with (loose / "diff.tar").open("rb", buffering=0) as file:
        loose.rmdir()
        with pytest.raises(FileNotFoundError):
            file.read(1024)

    assert shop.scene.loose not in shop.go_ids("layers")


def test_a_file_that_is_not_what_it_was_is_an_error_in_words(shop: Shop, loose: Path) -> None:
    shop.scene.store.apply_diff("loose", fd_of(SMALL))
    shop.catch_up()
    diff_path = shop.scene.store.driver.diff_path(shop.scene.loose)
    Path(diff_path, "etc", "motd").write_text("HELLO\n")

    with pytest.raises(OSError) as caught:
        (loose / "diff.tar").read_bytes()

    assert errno.EIO == caught.value.errno
    # Maybe twice: what the kernel could not read ahead it asks for again.
    assert {
        "is not what it was" in line and "layers/loose/diff.tar" in line for line in shop.errors()
    } == {True}


def test_a_layer_without_its_directory_is_an_error_in_words(shop: Shop, loose: Path) -> None:
    layer = Path(shop.scene.store.driver.diff_path(shop.scene.loose)).parent
    layer.rename(layer.with_name("away"))
    try:
        with shop.refused(errno.EIO, "open", loose / "diff.tar"):
            (loose / "diff.tar").read_bytes()
    finally:
        layer.with_name("away").rename(layer)


def test_stat_and_find_compute_nothing(shop: Shop) -> None:
    shop.sh("find . -name diff.tar -ls; ls -l layers/top; du -s layers")

    assert 0 == (shop.layers / "top" / "diff.tar").stat().st_size


# -- other drivers -------------------------------------------------------------------------------


@pytest.fixture
def vfs_shop(vfs_scene: Scene, root: Path) -> Iterator[Shop]:
    go = vfs_scene.go
    with serving(go.graph, go.run_root, root, driver="vfs") as daemon:
        yield Shop(vfs_scene, daemon)


def test_on_vfs_too(vfs_shop: Shop) -> None:
    vfs_shop.layers.joinpath("loose", "diff.tar").write_bytes(LARGE)

    assert LARGE == go_diff(vfs_shop, vfs_shop.scene.loose)
    assert LARGE == vfs_shop.layers.joinpath("loose", "diff.tar").read_bytes()
    top = vfs_shop.layers.joinpath("top", "diff.tar").read_bytes()
    assert go_diff(vfs_shop, vfs_shop.scene.top) == top


# -- tools ---------------------------------------------------------------------------------------


def test_grep_and_tar_read_it_and_end(shop: Shop, tmp_path: Path) -> None:
    (shop.layers / "loose" / "diff.tar").write_bytes(LARGE)

    found = shop.sh("grep -rl 'from top' layers")
    shop.sh(f"tar cf {tmp_path}/all.tar layers")

    assert [f"layers/{shop.scene.top}/diff.tar"] == found.split()
    with tarfile.open(tmp_path / "all.tar") as tar:
        stored = tar.extractfile(f"layers/{shop.scene.loose}/diff.tar")
        assert stored is not None
        assert LARGE == stored.read()
    assert [] == shop.errors()


def test_tar_replaces_it(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "diff.tar").write_bytes(SMALL)

    shop.sh(f"tar cf {tmp_path}/x.tar -C {tmp_path} diff.tar")
    shop.sh(f"tar xf {tmp_path}/x.tar -C layers/loose")

    assert SMALL == go_diff(shop, shop.scene.loose)


def test_rm_r_of_a_layer_with_a_diff(shop: Shop) -> None:
    (shop.layers / "loose" / "diff.tar").write_bytes(SMALL)

    shop.sh("cat layers/loose/diff.tar > /dev/null; rm -r layers/loose")

    assert shop.scene.loose not in shop.go_ids("layers")
