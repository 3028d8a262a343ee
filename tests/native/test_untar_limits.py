"""What is too much for memory: very many names, and large windows of the compression."""

import errno
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfs.native.untar import Compression, UntarError, untar
from tests.native.tarbytes import END, header, member
from tests.native.unpacking import unpack
from tests.needs import needs

pytestmark = needs("root")

#: More than the engine keeps in memory.
_NAMES = 800_000


def _headers() -> Iterator[bytes]:
    """Global headers: members with a name of which nothing is made, so that this is quick."""
    block = header("0000000", type="g")
    before, after, base = block[7:148], block[156:], sum(block[:148]) + sum(block[156:]) + 8 * 32
    for number in range(_NAMES):
        name = b"%07d" % number
        yield name + before + b"%06o\0 " % (base + sum(name) - 7 * 48) + after


def _write(fd: int, last: bytes) -> None:
    with open(fd, "wb", 1 << 20) as f:
        f.writelines(_headers())
        f.write(last + END)


def test_a_name_is_found_again_among_very_many(tmp_path: Path) -> None:
    read_fd, write_fd = os.pipe()
    directory_fd = os.open(tmp_path, os.O_RDONLY)
    # One of those that were moved to the file.
    writer = threading.Thread(target=_write, args=(write_fd, header("0000007", type="g")))
    writer.start()

    with pytest.raises(UntarError, match="duplicates of file paths not supported") as failure:
        untar(read_fd, directory_fd)

    os.close(read_fd)
    writer.join()
    os.close(directory_fd)
    assert errno.EEXIST == failure.value.errno
    # So none before it was taken for another.
    assert _NAMES * 512 == failure.value.offset
    assert [] == os.listdir(tmp_path)


def _zstd(data: bytes, *options: str) -> bytes:
    command = ["zstd", "-q", "-1", *options, "-c"]
    return subprocess.run(command, input=data, capture_output=True, check=True, timeout=60).stdout


@pytest.mark.parametrize("log", [25, 27, 29])
def test_zstd_is_decoded_with_the_windows_that_the_go_tools_take(log: int, tmp_path: Path) -> None:
    data = member("f", data=os.urandom(100_000)) + END

    made = unpack(_zstd(data, "--ultra", f"--long={log}"), tmp_path)

    assert Compression.ZSTD == made.unpacked.compression
    assert len(data) == made.unpacked.size


def test_a_larger_window_is_refused(tmp_path: Path) -> None:
    packed = _zstd(member("f", data=b"x") + END, "--ultra", "--long=30")

    with pytest.raises(UntarError, match="too much memory") as failure:
        unpack(packed, tmp_path)

    assert errno.EBADMSG == failure.value.errno


def test_a_frame_that_says_its_size_has_no_other_window(tmp_path: Path) -> None:
    # Then the window is as large as everything, here more than what the ring is made less for.
    data = member("f", data=bytes(40 << 20)) + END
    (tmp_path / "whole.tar").write_bytes(data)

    packed = _zstd(b"", "--long=27", str(tmp_path / "whole.tar"))
    made = unpack(packed, tmp_path)

    assert len(data) == made.unpacked.size
    assert made.directory.joinpath("f").read_bytes() == bytes(40 << 20)
