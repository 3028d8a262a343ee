"""diff.tar: written as programs write, applied as a whole or not at all."""

import bz2
import errno
import gzip
import lzma
import os
import subprocess
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mount.daemons import PATIENCE_S, eventually, serving
from tests.mount.difftars import LARGE, SMALL, content, diff_dir, filtered, go_diff, tar_of
from tests.mount.scene import Scene
from tests.mount.shop import Shop

pytestmark = pytest.mark.needs("root", "fuse", "overlay", "containers-storage")


# -- writing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pack",
    [bytes, gzip.compress, bz2.compress, lzma.compress, lambda data: filtered(data, "zstd")],
    ids=["plain", "gzip", "bzip2", "xz", "zstd"],
)
def test_what_is_written_is_applied(
    shop: Shop, tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    packed = tmp_path / "l"
    packed.write_bytes(pack(LARGE))

    shop.sh(f"cp {packed} layers/loose/diff.tar")

    assert LARGE == go_diff(shop, shop.scene.loose)
    assert len(LARGE) == (shop.layers / "loose" / "diff.tar").stat().st_size
    layer = shop.go_object("layers", "loose")
    assert (len(LARGE), packed.stat().st_size) == (layer["diff-size"], layer["compressed-size"])


def test_zcat_into_a_new_layer_that_an_image_is_made_on(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "l.tgz").write_bytes(gzip.compress(SMALL))

    shop.sh(
        f"mkdir layers/app; zcat {tmp_path}/l.tgz > layers/app/diff.tar; "
        "mkdir layers/app/images/new"
    )

    assert {"etc/motd": b"hello\n", "etc/empty": b""} == content(shop, "app")


def test_two_flushes_of_one_stream_end_right(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "l.tar").write_bytes(LARGE)

    done = shop.try_sh(f"{{ head -c 512; cat; }} < {tmp_path}/l.tar > layers/loose/diff.tar")

    assert 0 == done.returncode
    assert LARGE == go_diff(shop, shop.scene.loose)


def test_two_flushes_of_a_stream_into_a_filled_layer_add_nothing_before_the_end(
    shop: Shop, loose: Path
) -> None:
    (loose / "diff.tar").write_bytes(SMALL)
    fd = os.open(loose / "diff.tar", os.O_WRONLY | os.O_TRUNC)
    more = tar_of(("etc/more", b"more"))
    try:
        os.write(fd, more[:1536])
        with shop.refused(errno.EINVAL, "flush", loose / "diff.tar"):
            os.close(os.dup(fd))
        assert {"motd", "empty"} == set(os.listdir(diff_dir(shop) / "etc"))
        os.write(fd, more[1536:])
    finally:
        os.close(fd)
    assert {"motd", "empty", "more"} == set(os.listdir(diff_dir(shop) / "etc"))


def test_a_flush_before_the_first_write_applies_nothing(shop: Shop, loose: Path) -> None:
    (loose / "diff.tar").write_bytes(SMALL)
    fd = os.open(loose / "diff.tar", os.O_WRONLY | os.O_TRUNC)
    os.close(os.dup(fd))
    assert 0 == (loose / "diff.tar").stat().st_size
    os.close(fd)

    eventually(lambda: len(SMALL) == (loose / "diff.tar").stat().st_size)
    assert SMALL == go_diff(shop, shop.scene.loose)


@pytest.mark.parametrize(
    "data",
    [SMALL[:2048], SMALL[:1700], gzip.compress(LARGE)[:-20], b"no tar at all" * 99, bytes(100)],
    ids=["no end", "cut", "gzip cut", "garbage", "a few zeros"],
)
def test_what_is_no_whole_tar_is_refused_and_applies_nothing(
    shop: Shop, loose: Path, data: bytes
) -> None:
    before = shop.go_object("layers", "loose")

    with shop.refused(errno.EINVAL, "flush", loose / "diff.tar"):
        (loose / "diff.tar").write_bytes(data)

    assert before == shop.go_object("layers", "loose")
    assert [] == os.listdir(diff_dir(shop))


def test_a_killed_writer_applies_nothing(shop: Shop, loose: Path) -> None:
    writer = subprocess.Popen(
        ["sh", "-c", "exec cat > diff.tar"], cwd=loose, stdin=subprocess.PIPE, bufsize=0
    )
    assert writer.stdin is not None
    writer.stdin.write(LARGE[:60_000])
    eventually(lambda: 60_000 == (loose / "diff.tar").stat().st_size)
    writer.kill()
    writer.wait(PATIENCE_S)
    writer.stdin.close()

    eventually(lambda: any("diff.tar" in line for line in shop.errors()))
    assert [] == os.listdir(diff_dir(shop))


def test_sync_in_the_middle_is_no_end(shop: Shop, loose: Path) -> None:
    fd = os.open(loose / "diff.tar", os.O_WRONLY | os.O_TRUNC)
    os.write(fd, SMALL[:600])
    os.fsync(fd)
    os.write(fd, SMALL[600:])
    os.close(fd)

    assert SMALL == go_diff(shop, shop.scene.loose)


def test_a_second_diff_comes_on_top(shop: Shop, loose: Path) -> None:
    (loose / "diff.tar").write_bytes(SMALL)
    with (loose / "diff.tar").open("ab") as file:
        file.write(tar_of(("etc/motd", b"new\n")))

    assert b"new\n" == (diff_dir(shop) / "etc" / "motd").read_bytes()
    assert (diff_dir(shop) / "etc" / "empty").exists()


def test_a_sparse_tar_keeps_its_zeros(shop: Shop, loose: Path, tmp_path: Path) -> None:
    data = tar_of(("etc/hole", bytes(1 << 20)), ("etc/after", b"a"))
    (tmp_path / "l.tar").write_bytes(data)

    shop.sh(f"fallocate -d {tmp_path}/l.tar; cp --sparse=always {tmp_path}/l.tar {loose}/diff.tar")

    assert data == go_diff(shop, shop.scene.loose)


def test_the_idle_mount_of_the_layer_makes_way(shop: Shop, loose: Path) -> None:
    assert [] == os.listdir(loose / "rootfs/")

    (loose / "diff.tar").write_bytes(SMALL)

    assert b"hello\n" == (loose / "rootfs" / "etc" / "motd").read_bytes()
    assert SMALL == go_diff(shop, shop.scene.loose)


def test_somebody_in_the_rootfs_keeps_the_diff_out(shop: Shop, loose: Path) -> None:
    held = os.open(loose / "rootfs", os.O_RDONLY)
    try:
        with shop.refused(errno.EBUSY, "flush", loose / "diff.tar"):
            (loose / "diff.tar").write_bytes(SMALL)
    finally:
        os.close(held)


@pytest.mark.parametrize("layer", ["base", "top"])
def test_what_others_stand_on_is_refused_at_open(shop: Shop, layer: str) -> None:
    path = shop.layers / layer / "diff.tar"
    assert 0o444 == path.stat().st_mode & 0o777

    with shop.refused(errno.EROFS, "open", path):
        os.open(path, os.O_WRONLY | os.O_TRUNC)
    with shop.refused(errno.EROFS, "setattr", path):
        os.truncate(path, 0)


def test_the_mode_follows_who_stands_on_the_layer(shop: Shop, loose: Path) -> None:
    assert 0o644 == (loose / "diff.tar").stat().st_mode & 0o777

    (loose / "children" / "kid").mkdir()

    assert 0o444 == (loose / "diff.tar").stat().st_mode & 0o777


def test_a_read_only_mount_reads_only(scene: Scene, root: Path) -> None:
    with serving(scene.go.graph, scene.go.run_root, root, "ro"):
        path = root / "layers" / "top" / "diff.tar"
        with tarfile.open(path) as tar:
            assert ["motd"] == tar.getnames()[-1:]
        with pytest.raises(OSError) as caught:
            os.open(root / "layers" / "loose" / "diff.tar", os.O_WRONLY)
    assert errno.EROFS == caught.value.errno


def test_a_file_moved_onto_the_diff_is_applied(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "l.tar").write_bytes(SMALL)
    (tmp_path / "m.tar").write_bytes(tar_of(("etc/m", b"m")))

    shop.sh(f"mv {tmp_path}/l.tar layers/loose/diff.tar")
    shop.sh(
        f"mkdir layers/b; cp {tmp_path}/m.tar layers/b/.diff.tar.aBc123; "
        "mv -T layers/b/.diff.tar.aBc123 layers/b/diff.tar"
    )

    assert SMALL == go_diff(shop, "loose")
    assert {"etc/m": b"m"} == content(shop, "b")


def test_two_writers_come_one_after_the_other(shop: Shop, loose: Path) -> None:
    tars = [tar_of((f"etc/{i}", bytes([i]) * 5000)) for i in range(4)]
    fds = [os.open(loose / "diff.tar", os.O_WRONLY) for _ in tars]
    for fd, data in zip(fds, tars, strict=True):
        os.write(fd, data)
    threads = [threading.Thread(target=os.close, args=(fd,)) for fd in fds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {"0", "1", "2", "3"} == set(os.listdir(diff_dir(shop) / "etc"))
    assert [] == shop.errors()


def test_cut_alone_changes_nothing(shop: Shop, loose: Path) -> None:
    (loose / "diff.tar").write_bytes(SMALL)

    shop.sh(": > layers/loose/diff.tar; truncate -s 0 layers/loose/diff.tar")
    with shop.refused(errno.EINVAL, "setattr", loose / "diff.tar"):
        os.truncate(loose / "diff.tar", 512)

    assert SMALL == go_diff(shop, shop.scene.loose)
