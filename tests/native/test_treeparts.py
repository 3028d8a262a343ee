"""The tar of a whole tree, whose parts several threads make, in its order."""

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from holdfs.native.blocks import Blocks
from holdfs.native.tarout import TarOutError
from holdfs.native.treediff import DiffOf, segments_from_diff, tar_from_diff
from holdfs.native.untar import IdRange
from tests.needs import needs

pytestmark = needs("root")

#: Around what is spliced, and what a part has room for.
SIZES = (0, 1, 511, 512, (32 << 10) - 1, 32 << 10, (256 << 10) - 512, 256 << 10, 3_000_001)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A tree of many parts, some larger than others, with names in several of them."""
    top = tmp_path / "t"
    for directory in ("a", "a/b", "a/b/c", "a.b", "d", "e"):
        (top / directory).mkdir(parents=True)
        for number in range(150):
            path = top / directory / f"{number:03}{'x' * (number % 120)}"
            path.write_bytes(bytes([number]) * (number * 7))
            if number % 40 == 0:
                os.link(path, path.with_name(f"{number:03}-again"))
        for number, size in enumerate(SIZES):
            (top / directory / f"{number}-large").write_bytes(os.urandom(size))
    for number in range(0, 150, 10):
        os.link(top / "e" / f"{number:03}{'x' * (number % 120)}", top / "a" / f"{number}-linked")
    (top / "a" / "link").symlink_to("y" * 200)
    return top


def test_it_is_the_same_wherever_it_goes(top: Path, tmp_path: Path) -> None:
    fd = os.open(top, os.O_RDONLY)
    try:
        diff = DiffOf(new_fd=fd)
        # One thread makes this list.
        with (
            (tmp_path / "spill").open("w+b") as spill,
            segments_from_diff(diff, spill.fileno()) as segments,
        ):
            expected = bytes(segments.read(0, segments.size, Blocks(segments.size, 1)))

        with (tmp_path / "out").open("wb") as out:
            written = tar_from_diff(diff, out.fileno())

        assert expected == (tmp_path / "out").read_bytes()
        assert (len(expected), len(expected)) == (written.size, written.written)
        read_fd, write_fd = os.pipe()
        with os.fdopen(read_fd, "rb") as reader, ThreadPoolExecutor() as pool:
            read = pool.submit(reader.read)
            try:
                written = tar_from_diff(diff, write_fd)
            finally:
                os.close(write_fd)

            assert expected == read.result()
        assert (len(expected), len(expected)) == (written.size, written.written)
    finally:
        os.close(fd)


def test_the_first_failure_is_told_of(top: Path, tmp_path: Path) -> None:
    for directory in ("a", "a/b", "d", "e"):
        os.chown(top / directory / "8-large", 77, 0)
    fd = os.open(top, os.O_RDONLY)
    ids = (IdRange(0, 0, 1),)
    try:
        diff = DiffOf(new_fd=fd, new_uid_map=ids, new_gid_map=ids)
        with (
            (tmp_path / "out").open("wb") as out,
            pytest.raises(TarOutError, match="/a/8-large: an owner has no ID"),
        ):
            tar_from_diff(diff, out.fileno())
    finally:
        os.close(fd)


def test_a_canceled_call_returns_though_nobody_reads(top: Path) -> None:
    read_fd, write_fd = os.pipe()
    cancel_fd, cancel_end = os.pipe()
    fd = os.open(top, os.O_RDONLY)
    before = len(os.listdir("/proc/self/fd"))
    threading.Timer(0.2, os.close, [cancel_end]).start()
    try:
        with pytest.raises(TarOutError) as caught:
            tar_from_diff(DiffOf(new_fd=fd), write_fd, cancel_fd=cancel_fd)

        assert before - 1 == len(os.listdir("/proc/self/fd"))
    finally:
        for each in (fd, read_fd, write_fd, cancel_fd):
            os.close(each)

    assert errno.ECANCELED == caught.value.errno
