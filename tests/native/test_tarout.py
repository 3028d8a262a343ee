"""Tars put together from a tar-split: checked, from several directories, at any offset."""

import base64
import ctypes
import errno
import gzip
import json
import os
import random
import subprocess
import threading
from pathlib import Path

import pytest

from holdfs.native.blocks import Blocks
from holdfs.native.tarout import Segments, TarOutError, tar_from_split
from holdfs.native.untar import Compression
from tests.native.tarbytes import END, member
from tests.native.unpacking import Made, reassemble, segments, unpack
from tests.needs import needs

pytestmark = needs("root")

SAMPLE = (
    b"".join(member(f"d{i % 9}/f{i}", data=os.urandom(i * i % 70_000)) for i in range(500))
    + member("large", data=os.urandom(5 << 20))
    + member("d1/after")
    + END
)

BLOCKS = Blocks(1 << 20, 4)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return unpack(SAMPLE, tmp_path)


def split_of(tmp_path: Path, *entries: object, tail: bytes = b"") -> Path:
    path = tmp_path / "made.split"
    lines = b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)
    path.write_bytes(gzip.compress(lines) + tail)
    return path


def test_a_changed_file_is_refused_in_the_go_tools_words(made: Made) -> None:
    path = made.directory / "d1/f10"
    path.write_bytes(bytes(len(path.read_bytes())))

    with pytest.raises(TarOutError, match='file integrity checksum failed for "d1/f10"') as caught:
        reassemble(made.split, made.directory)

    assert errno.EBADMSG == caught.value.errno


@pytest.mark.parametrize("name", ["d1/f10", "large"])
@pytest.mark.parametrize("size", [-1, 1])
def test_a_file_of_another_length_is_refused(name: str, size: int, made: Made) -> None:
    path = made.directory / name
    os.truncate(path, path.stat().st_size + size)

    with pytest.raises(TarOutError, match=f'file integrity checksum failed for "{name}"'):
        reassemble(made.split, made.directory)


def test_a_missing_file_is_named_with_its_path(made: Made) -> None:
    (made.directory / "d1/f10").unlink()

    with pytest.raises(TarOutError) as caught:
        reassemble(made.split, made.directory)

    assert f"open {made.directory}/d1/f10: no such file or directory" in str(caught.value)
    assert errno.ENOENT == caught.value.errno


def test_a_fifo_in_place_of_a_file_is_not_waited_for(made: Made) -> None:
    (made.directory / "d1/f10").unlink()
    os.mkfifo(made.directory / "d1/f10")

    with pytest.raises(TarOutError, match="file integrity checksum failed"):
        reassemble(made.split, made.directory)


def test_files_are_looked_up_in_each_directory_in_turn(made: Made, tmp_path: Path) -> None:
    nearer = tmp_path / "nearer"
    (nearer / "d1").mkdir(parents=True)
    (made.directory / "d1/f10").rename(nearer / "d1/f10")

    assert SAMPLE == reassemble(made.split, nearer, made.directory)


def test_nothing_outside_is_read_whatever_the_names_say(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/link").symlink_to("/")
    for name in ("../secret", "/../secret", f"link{tmp_path}/secret"):
        split = split_of(tmp_path, {"type": 1, "name": name, "size": 6, "payload": "AAAAAAAAAAA="})
        with pytest.raises(TarOutError, match="no such file or directory"):
            reassemble(split, tmp_path / "d")


@pytest.mark.parametrize(
    ("compression", "unpacker"),
    [(Compression.GZIP, ["gzip", "-dc"]), (Compression.ZSTD, ["zstd", "-dcq"])],
)
def test_it_can_be_compressed_on_the_way(
    compression: Compression, unpacker: list[str], made: Made, tmp_path: Path
) -> None:
    packed = tmp_path / "packed"
    with open(packed, "wb") as out, open(made.split, "rb") as split:
        directory_fd = os.open(made.directory, os.O_RDONLY)
        written = tar_from_split(
            split.fileno(), [directory_fd], out.fileno(), compression=compression
        )
        os.close(directory_fd)

    assert (
        SAMPLE
        == subprocess.run([*unpacker, packed], capture_output=True, check=True, timeout=60).stdout
    )
    assert (len(SAMPLE), packed.stat().st_size) == (written.size, written.written)


def test_a_reader_that_goes_away_ends_the_call(made: Made) -> None:
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    fds = [os.open(path, os.O_RDONLY) for path in (made.split, made.directory)]
    try:
        with pytest.raises(TarOutError) as caught:
            tar_from_split(fds[0], [fds[1]], write_fd)
    finally:
        for fd in (*fds, write_fd):
            os.close(fd)

    assert errno.EPIPE == caught.value.errno


def test_a_canceled_call_returns_though_nobody_reads(made: Made) -> None:
    read_fd, write_fd = os.pipe()
    cancel_fd, cancel_end = os.pipe()
    fds = [os.open(path, os.O_RDONLY) for path in (made.split, made.directory)]
    threading.Timer(0.2, os.close, [cancel_end]).start()
    try:
        with pytest.raises(TarOutError) as caught:
            tar_from_split(fds[0], [fds[1]], write_fd, cancel_fd=cancel_fd)
    finally:
        for fd in (*fds, read_fd, write_fd, cancel_fd):
            os.close(fd)

    assert errno.ECANCELED == caught.value.errno


# -- segments ----------------------------------------------------------------------------------


def listed(made: Made, tmp_path: Path) -> Segments:
    return segments(made.split, tmp_path / "spill", made.directory)


def test_any_part_of_the_tar_can_be_read(made: Made, tmp_path: Path) -> None:
    chance = random.Random(3)
    with listed(made, tmp_path) as tar:
        assert len(SAMPLE) == tar.size
        for _ in range(2000):
            offset = chance.randrange(tar.size + 100)
            length = chance.choice((1, 512, 4096, 131_072, 1 << 20))
            assert SAMPLE[offset : offset + length] == tar.read(offset, length, BLOCKS)


def test_several_threads_read_at_once(made: Made, tmp_path: Path) -> None:
    wrong: list[int] = []

    def read(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(300):
            offset = chance.randrange(len(SAMPLE))
            if SAMPLE[offset : offset + 70_000] != tar.read(offset, 70_000, BLOCKS):
                wrong.append(offset)

    with listed(made, tmp_path) as tar:
        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert [] == wrong


def test_what_was_read_stays_as_it_is_while_somebody_has_it(made: Made, tmp_path: Path) -> None:
    with listed(made, tmp_path) as tar:
        first = tar.read(0, 5000, BLOCKS)[1000:2000]
        for offset in range(0, 50_000, 5000):
            tar.read(offset, 5000, BLOCKS)

    assert SAMPLE[1000:2000] == first


def test_reading_needs_no_more_memory_than_what_is_held_at_once(made: Made, tmp_path: Path) -> None:
    def address(data: memoryview) -> int:
        return ctypes.addressof(ctypes.c_char.from_buffer(data))

    with listed(made, tmp_path) as tar:
        held = tar.read(0, 5000, BLOCKS)
        places = {address(tar.read(offset, 5000, BLOCKS)) for offset in range(0, 50_000, 5000)}

    assert 1 == len(places - {address(held)})


def test_more_is_read_in_one_go_than_is_kept_for_the_next(made: Made, tmp_path: Path) -> None:
    with listed(made, tmp_path) as tar:
        assert SAMPLE[5:] == tar.read(5, 1 << 30, BLOCKS)


def test_reading_tells_of_a_changed_file(made: Made, tmp_path: Path) -> None:
    with listed(made, tmp_path) as tar:
        path = made.directory / "d1/f10"
        path.write_bytes(bytes(len(path.read_bytes())))
        with pytest.raises(TarOutError) as caught:
            tar.read(0, tar.size, BLOCKS)

    assert errno.EBADMSG == caught.value.errno


# -- tar-splits of others ------------------------------------------------------------------------


def test_keys_come_in_any_order_with_any_space_and_unknown_ones(tmp_path: Path) -> None:
    path = tmp_path / "split"
    lines = (
        b'{ "position" : 0 , "new": "x\\"y", "payload":"'
        + base64.b64encode(b"one")
        + b'", "type": 2}\n'
        b'\n{"payload":null,"type":1,"name":"\\u00e4\\ud83d\\ude00","position":1}\r\n'
        b'{"type":2,"payload":"","position":2}\n'
        b'{"type":2,"payload":null,"position":3}\n'
        b'{"type":2,"payload":"' + base64.b64encode(b"two") + b'","position":4}'
    )
    path.write_bytes(gzip.compress(lines[:100]) + gzip.compress(lines[100:]))

    assert b"onetwo" == reassemble(path, tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        b"no json",
        b"{}",
        b"[1]",
        b'{"type":3,"payload":null}',
        b'{"type":2,"payload":"a"}',
        b'{"type":2,"payload":"a==="}',
        b'{"type":2,"payload":"????"}',
        b'{"type":2,"payload":"aaaa}',
        b'{"type":1,"name":"f","size":1,"payload":null}',
        b'{"type":1,"name":"f","size":1,"payload":"AAAA"}',
        b'{"type":1,"name":"f\\u0000g","size":0,"payload":null}',
        b'{"type":1,"name":"\\q"}',
        b'{"type":1,"size":99999999999999999999}',
        b'{"type":2,"payload":"aaaa"} trailing',
    ],
)
def test_a_damaged_tar_split_is_refused(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "split"
    path.write_bytes(gzip.compress(line + b"\n"))

    with pytest.raises(TarOutError, match="tar-split is damaged"):
        reassemble(path, tmp_path)


def test_a_tar_split_that_is_cut_is_refused(made: Made) -> None:
    made.split.write_bytes(made.split.read_bytes()[:-20])

    with pytest.raises(TarOutError, match="tar-split is damaged"):
        reassemble(made.split, made.directory)
