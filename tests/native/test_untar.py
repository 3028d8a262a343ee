"""What the unpacker promises by itself: containment, owners, whiteouts by mode, clear failures."""

import base64
import bz2
import errno
import gzip
import hashlib
import lzma
import os
import stat
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfs.native.untar import Compression, IdRange, UntarError, UntarOptions, Whiteouts, untar
from tests.native.tarbytes import END, member, pax
from tests.native.tarcases import GOOD, SPARSE, WHITEOUTS
from tests.native.trees import difference, tree_of
from tests.native.unpacking import parse_split, reassemble, unpack
from tests.needs import needs

pytestmark = needs("root")

MERGE = UntarOptions(whiteouts=Whiteouts.MERGE)
KEEP = UntarOptions(whiteouts=Whiteouts.KEEP)


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout


PACKERS: dict[Compression, Callable[[bytes], bytes]] = {
    Compression.NONE: bytes,
    Compression.BZIP2: bz2.compress,
    Compression.GZIP: gzip.compress,
    Compression.XZ: lzma.compress,
    Compression.ZSTD: zstd,
}
SAMPLE = (
    b"".join(member(f"d{i % 7}/f{i}", data=os.urandom(i * 37 % 5000)) for i in range(400)) + END
)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# -- round trips -------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [UntarOptions(), MERGE, KEEP, UntarOptions(writers=1)])
@pytest.mark.parametrize("name", [*GOOD, *WHITEOUTS, *SPARSE])
def test_every_tar_comes_back_byte_for_byte(
    name: str, options: UntarOptions, tmp_path: Path
) -> None:
    data = {**GOOD, **WHITEOUTS, **SPARSE}[name]

    made = unpack(data, tmp_path, options)

    assert data == reassemble(made.split, made.directory)
    assert sha256(data) == made.unpacked.sha256


@pytest.mark.parametrize("compression", PACKERS)
def test_compression_is_told_by_content(compression: Compression, tmp_path: Path) -> None:
    packed = PACKERS[compression](SAMPLE)

    unpacked = unpack(packed, tmp_path).unpacked

    assert compression == unpacked.compression
    assert (sha256(packed), len(packed)) == (unpacked.compressed_sha256, unpacked.compressed_size)
    assert (sha256(SAMPLE), len(SAMPLE)) == (unpacked.sha256, unpacked.size)


@pytest.mark.parametrize("compression", [c for c in PACKERS if c != Compression.NONE])
@pytest.mark.parametrize("part", [1, 511, 4096, 300_000])
def test_members_of_a_compressed_stream_follow_each_other(
    compression: Compression, part: int, tmp_path: Path
) -> None:
    data = SAMPLE if part > 1 else SAMPLE[-1024:]
    parts = [data[i : i + part] for i in range(0, len(data), part)]
    if compression == Compression.ZSTD:
        parts = [data[: part * 2], data[part * 2 :]]

    packed = b"".join(PACKERS[compression](each) for each in parts)

    assert sha256(data) == unpack(packed, tmp_path).unpacked.sha256


@pytest.mark.parametrize("compression", [c for c in PACKERS if c != Compression.NONE])
@pytest.mark.parametrize("damage", ["cut", "trailing", "flipped"])
def test_a_damaged_compressed_stream_is_refused(
    compression: Compression, damage: str, tmp_path: Path
) -> None:
    packed = PACKERS[compression](SAMPLE)
    middle = len(packed) // 2
    damaged = {
        "cut": packed[:-9],
        "trailing": packed + b"junk behind it",
        "flipped": packed[:middle] + bytes([packed[middle] ^ 0x55]) + packed[middle + 1 :],
    }[damage]

    with pytest.raises(UntarError) as caught:
        unpack(damaged, tmp_path)

    assert errno.EBADMSG == caught.value.errno
    if damage == "cut":
        assert "unexpected EOF" in str(caught.value)


def test_a_pipe_that_trickles_is_read_to_its_end(tmp_path: Path) -> None:
    read_fd, write_fd = os.pipe()
    packed = gzip.compress(SAMPLE)

    def feed() -> None:
        for i in range(0, len(packed), 4099):
            os.write(write_fd, packed[i : i + 4099])
        os.close(write_fd)

    feeder = threading.Thread(target=feed)
    feeder.start()
    directory_fd = os.open(tmp_path, os.O_RDONLY)
    try:
        unpacked = untar(read_fd, directory_fd)
    finally:
        feeder.join()
        os.close(read_fd)
        os.close(directory_fd)

    assert sha256(SAMPLE) == unpacked.sha256


# -- containment -------------------------------------------------------------------------------


ESCAPES = {
    "dots": member("../escaped", data=b"x") + END,
    "dots inside": member("a/../../escaped", data=b"x") + END,
    "link above": member("l", type="2", link="..") + member("l/escaped", data=b"x") + END,
    "absolute link": member("l", type="2", link="{outside}") + member("l/escaped", data=b"x") + END,
    "link chain": member("a", type="2", link="b/..")
    + member("b", type="2", link="..")
    + member("a/escaped", data=b"x")
    + END,
    "magic link": member("l", type="2", link="/proc/self/root{outside}")
    + member("l/escaped")
    + END,
    "hard link": member("h", type="1", link="{outside}/secret") + END,
    "hard link dots": member("h", type="1", link="../secret") + END,
    "hard link through a link": member("l", type="2", link="..")
    + member("h", type="1", link="l/secret")
    + END,
    "file over a link": member("l", type="2", link="../secret")
    + member("x/l", type="1", link="l")
    + END,
    "whiteout": member("../.wh.secret") + END,
    "whiteout through a link": member("l", type="2", link="..") + member("l/.wh.secret") + END,
    "whiteout of dots": member("d/.wh...") + END,
    "whiteout of nothing": member("d/.wh.") + END,
    "opaque through a link": member("l", type="2", link="..") + member("l/.wh..wh..opq") + END,
    "directory over a link": member("l", type="2", link="..")
    + member("l/", type="5", mode=0)
    + END,
}


@pytest.mark.parametrize("options", [UntarOptions(), MERGE, KEEP], ids=["overlay", "merge", "keep"])
@pytest.mark.parametrize("name", ESCAPES)
def test_nothing_outside_is_touched_or_linked(
    name: str, options: UntarOptions, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    before = tree_of(str(outside))
    data = ESCAPES[name].replace(b"{outside}", os.fsencode(outside))
    data = b"".join(_with_checksum(data[i : i + 512]) for i in range(0, len(data), 512))

    (outside / "top").mkdir()
    try:
        made = unpack(data, outside / "top", options).directory
    except UntarError:
        made = outside / "top/diff"

    for path in made.rglob("*"):
        assert not path.is_file() or path.is_symlink() or b"secret" not in path.read_bytes()
    for path in (outside / "top").iterdir():
        path.unlink() if path.is_file() else subprocess.run(["rm", "-rf", path], check=True)
    (outside / "top").rmdir()
    after = tree_of(str(outside))
    assert "" == difference(
        {p: e._replace(mtime_ns=0) for p, e in before.items()},
        {p: e._replace(mtime_ns=0) for p, e in after.items()},
    )


def _with_checksum(block: bytes) -> bytes:
    if not any(block) or b"ustar" not in block:
        return block
    blank = block[:148] + b" " * 8 + block[156:]
    return block[:148] + b"%06o\0 " % sum(blank) + block[156:]


def test_what_is_there_is_replaced_and_never_written_through(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    diff = tmp_path / "diff"
    (diff / "full/of").mkdir(parents=True)
    (diff / "full/of/things").write_text("x")
    (diff / "link").symlink_to(secret)
    os.link(secret, diff / "linked")
    os.mkfifo(diff / "fifo")

    unpack(
        b"".join(member(n, data=b"new") for n in ("link", "linked", "fifo", "full")) + END, tmp_path
    )

    assert "secret" == secret.read_text()
    assert {"link", "linked", "fifo", "full"} == {p.name for p in diff.iterdir()}
    assert all(b"new" == p.read_bytes() for p in diff.iterdir())


# -- whiteouts ---------------------------------------------------------------------------------


def test_overlay_whiteouts_become_devices_and_attributes(tmp_path: Path) -> None:
    data = member("d/.wh.gone", uid=7) + member("o/.wh..wh..opq") + member("x/.wh..wh.plnk") + END

    diff = unpack(data, tmp_path).directory

    gone = (diff / "d/gone").lstat()
    assert (stat.S_IFCHR, 0, 7) == (stat.S_IFMT(gone.st_mode), gone.st_rdev, gone.st_uid)
    assert b"y" == os.getxattr(diff / "o", "trusted.overlay.opaque")
    assert not (diff / "x").exists()


def test_user_whiteouts_use_the_attribute_that_a_namespace_may_set(tmp_path: Path) -> None:
    options = UntarOptions(whiteouts=Whiteouts.OVERLAY_USER)

    diff = unpack(member("o/.wh..wh..opq") + END, tmp_path, options).directory

    assert b"y" == os.getxattr(diff / "o", "user.overlay.opaque")


def test_kept_whiteouts_are_files(tmp_path: Path) -> None:
    diff = unpack(WHITEOUTS["whiteouts"] + END, tmp_path, KEEP).directory

    assert (diff / "d/.wh.gone").is_file()


def test_merging_deletes_what_was_there_and_keeps_what_the_tar_has(tmp_path: Path) -> None:
    first = (
        b"".join(member(n, data=b"old") for n in ("a", "b/c", "d/e", "d/f/g", "d/h", "k/l")) + END
    )
    second = (
        member(".wh.a")
        + member(".wh.b")
        + member("d/", type="5", mode=0o700)
        + member("d/h", data=b"new")
        + member("d/f/", type="5")
        + member("d/f/new")
        + member("d/.wh..wh..opq")
        + member(".wh..wh.aufs")
        + member("k/.wh.absent")
        + END
    )

    unpack(first, tmp_path, MERGE)
    diff = unpack(second, tmp_path, MERGE).directory

    left = sorted(str(p.relative_to(diff)) for p in diff.rglob("*"))
    assert ["d", "d/f", "d/f/new", "d/h", "k", "k/l"] == left
    assert b"new" == (diff / "d/h").read_bytes()


# -- owners ------------------------------------------------------------------------------------


def test_owners_are_mapped_and_unmapped_ones_refused(tmp_path: Path) -> None:
    ranges = (IdRange(0, 100_000, 1000), IdRange(1000, 5, 1))
    options = UntarOptions(uid_map=ranges, gid_map=ranges, parent_owner=(100_000, 100_000))
    data = member("d/f", uid=3, gid=1000) + member("d/l", type="2", link="f", uid=999) + END

    made = unpack(data, tmp_path, options)
    with pytest.raises(UntarError, match="container ID 1001 cannot be mapped to a host ID"):
        unpack(member("g", gid=1001) + END, tmp_path, options)

    f, link, d = ((made.directory / n).lstat() for n in ("d/f", "d/l", "d"))
    assert (100_003, 5) == (f.st_uid, f.st_gid)
    assert 100_999 == link.st_uid
    assert (100_000, 100_000) == (d.st_uid, d.st_gid)
    assert ((0, 3, 999)[1:], (0, 1000)) == (made.unpacked.uids, made.unpacked.gids)


def test_force_mask_keeps_the_real_values_in_an_attribute(tmp_path: Path) -> None:
    options = UntarOptions(force_mask=0o700)
    data = member("f", mode=0o4644, uid=8, gid=9) + member("d", type="5", mode=0o755) + END

    diff = unpack(data, tmp_path, options).directory

    assert 0o700 == stat.S_IMODE((diff / "f").stat().st_mode)
    assert 0 == (diff / "f").stat().st_uid
    assert b"8:9:04644" == os.getxattr(diff / "f", "user.containers.override_stat")
    assert b"0:0:0755" == os.getxattr(diff / "d", "user.containers.override_stat")
    assert b"0:0:0755" == os.getxattr(diff, "user.containers.override_stat")


def test_in_a_user_namespace_devices_are_left_out(tmp_path: Path) -> None:
    data = member("null", type="3", device=(1, 3)) + member("fifo", type="6") + END

    diff = unpack(data, tmp_path, UntarOptions(in_userns=True)).directory

    assert ["fifo"] == [p.name for p in diff.iterdir()]


def test_the_process_keeps_its_file_mask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        diff = unpack(member("f", mode=0o666) + member("p/g") + END, tmp_path).directory
        assert 0o027 == os.umask(0o027)
    finally:
        os.umask(before)

    assert 0o666 == stat.S_IMODE((diff / "f").stat().st_mode)


# -- sparse files ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPARSE)
def test_sparse_files_have_holes_and_right_content(name: str, tmp_path: Path) -> None:
    made = unpack(SPARSE[name], tmp_path)
    files = [p for p in made.directory.rglob("*") if p.is_file() and p.name != "after"]

    assert [1] == [len(files)]
    content = files[0].read_bytes()
    if "hole" in name:
        assert bytes(70_000) == content
    else:
        assert bytes(1024) + b"A" * 512 + bytes(3364) + b"B" * 100 == content


def test_a_hole_of_terabytes_takes_no_space(tmp_path: Path) -> None:
    records = (
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.minor", "0"),
        ("GNU.sparse.realsize", str(1 << 42)),
    )
    data = pax(*records) + member("hole", data=b"0\n".ljust(512, b"\0")) + END

    made = unpack(data, tmp_path)

    found = (made.directory / "hole").stat()
    assert (1 << 42, 0) == (found.st_size, found.st_blocks)


# -- the tar-split ------------------------------------------------------------------------------


def test_the_tar_split_of_a_member_says_its_name_size_and_sum(tmp_path: Path) -> None:
    data = member("./a", data=b"123456789")

    made = unpack(data + END, tmp_path)

    # The check value of CRC-64/GO-ISO.
    sum_of_digits = base64.b64encode(bytes.fromhex("b90956c775a41001")).decode()
    assert [data[:512], ("./a", None, 9, sum_of_digits), bytes(503) + END] == parse_split(
        made.split
    )
