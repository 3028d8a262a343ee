"""diff.tar: read at any offset as the store's own stream, written as programs write."""

import bz2
import errno
import gzip
import io
import lzma
import os
import random
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mount.daemons import PATIENCE_S, eventually, serving
from tests.mount.scene import Scene
from tests.mount.shop import Shop

pytestmark = pytest.mark.needs("root", "fuse", "overlay", "containers-storage")


def tar_of(*files: tuple[str, bytes], seed: int = 0) -> bytes:
    """Return a tar of a directory and of these files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        directory = tarfile.TarInfo("etc")
        directory.type, directory.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(directory)
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(data), 1_600_000_000 + seed, 0o644
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


SMALL = tar_of(("etc/motd", b"hello\n"), ("etc/empty", b""))
LARGE = tar_of(*((f"etc/{i}", random.Random(i).randbytes(i * 977)) for i in range(90)))


@pytest.fixture
def loose(shop: Shop) -> Path:
    """Give the directory of a layer that nobody stands on."""
    return shop.layers / "loose"


def go_diff(shop: Shop, layer_id: str) -> bytes:
    """Return what `containers-storage diff` gives of a layer."""
    return shop.go.run_bytes("diff", "--uncompressed", layer_id).stdout


def content(shop: Shop, layer: str) -> dict[str, bytes]:
    """Return the files of a layer that the Go tool has in its diff."""
    with tarfile.open(fileobj=io.BytesIO(go_diff(shop, layer))) as tar:
        found = {m.name: tar.extractfile(m) for m in tar if m.isreg()}
        return {name: file.read() for name, file in found.items() if file is not None}


# -- reading -------------------------------------------------------------------------------------


def test_reads_at_random_offsets_equal_the_stream(shop: Shop, loose: Path) -> None:
    shop.scene.store.apply_diff("loose", _fd_of(LARGE))
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
    shop.scene.store.apply_diff("loose", _fd_of(LARGE))
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
    shop.scene.store.apply_diff("loose", _fd_of(LARGE))
    shop.catch_up()
    path, got = loose / "diff.tar", []
    threads = [threading.Thread(target=lambda: got.append(path.read_bytes())) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [LARGE] * 8 == got


def test_a_diff_that_was_read_is_let_go(shop: Shop, loose: Path) -> None:
    shop.scene.store.apply_diff("loose", _fd_of(SMALL))
    shop.catch_up()
    directory = str(_diff_dir(shop))

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


def test_a_layer_can_be_deleted_while_its_diff_is_open(shop: Shop, loose: Path) -> None:
    (loose / "diff.tar").write_bytes(SMALL)
    with (loose / "diff.tar").open("rb", buffering=0) as file:
        loose.rmdir()
        with pytest.raises(FileNotFoundError):
            file.read(1024)

    assert shop.scene.loose not in shop.go_ids("layers")


def test_a_file_that_is_not_what_it_was_is_an_error_in_words(shop: Shop, loose: Path) -> None:
    shop.scene.store.apply_diff("loose", _fd_of(SMALL))
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


# -- writing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pack",
    [bytes, gzip.compress, bz2.compress, lzma.compress, lambda data: _filter(data, "zstd")],
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
        assert {"motd", "empty"} == set(os.listdir(_diff_dir(shop) / "etc"))
        os.write(fd, more[1536:])
    finally:
        os.close(fd)
    assert {"motd", "empty", "more"} == set(os.listdir(_diff_dir(shop) / "etc"))


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
    assert [] == os.listdir(_diff_dir(shop))


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
    assert [] == os.listdir(_diff_dir(shop))


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

    assert b"new\n" == (_diff_dir(shop) / "etc" / "motd").read_bytes()
    assert (_diff_dir(shop) / "etc" / "empty").exists()


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

    assert {"0", "1", "2", "3"} == set(os.listdir(_diff_dir(shop) / "etc"))
    assert [] == shop.errors()


def test_cut_alone_changes_nothing(shop: Shop, loose: Path) -> None:
    (loose / "diff.tar").write_bytes(SMALL)

    shop.sh(": > layers/loose/diff.tar; truncate -s 0 layers/loose/diff.tar")
    with shop.refused(errno.EINVAL, "setattr", loose / "diff.tar"):
        os.truncate(loose / "diff.tar", 512)

    assert SMALL == go_diff(shop, shop.scene.loose)


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


def _fd_of(data: bytes) -> int:
    fd = os.memfd_create("tar")
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _filter(data: bytes, *words: str) -> bytes:
    return subprocess.run(words, input=data, stdout=subprocess.PIPE, check=True).stdout


def _diff_dir(shop: Shop) -> Path:
    return Path(shop.scene.store.driver.diff_path(shop.scene.loose))


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
