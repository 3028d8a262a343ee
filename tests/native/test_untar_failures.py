"""Bad input and bad times: a clear error, nothing left running or open, bounded memory."""

import errno
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from holdfs.native.untar import UntarError, untar
from tests.mounts import detach
from tests.native.tarbytes import END, member
from tests.native.tarcases import BAD
from tests.native.unpacking import unpack
from tests.needs import needs

pytestmark = needs("root")


@pytest.mark.parametrize("name", BAD)
def test_a_bad_tar_is_refused_with_its_place(name: str, tmp_path: Path) -> None:
    data, words = BAD[name]

    with pytest.raises(UntarError, match="at byte") as caught:
        unpack(data, tmp_path)

    assert words in str(caught.value)


def test_a_failure_names_the_member_and_where_it_begins(tmp_path: Path) -> None:
    data = member("fine", data=b"f") + member("a/link", type="1", link="b") + END

    with pytest.raises(UntarError) as caught:
        unpack(data, tmp_path)

    assert errno.ENOENT == caught.value.errno
    assert 1024 == caught.value.offset
    assert 'no such file or directory: "a/link" (at byte 1024 of the tar)' in str(caught.value)


@needs("overlay-kernel")
def test_a_full_disk_is_told(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "small", small], check=True)
    try:
        source = tmp_path / "in"
        source.write_bytes(b"".join(member(f"f{i}", data=bytes(100_000)) for i in range(40)))
        source_fd, small_fd = os.open(source, os.O_RDONLY), os.open(small, os.O_RDONLY)
        try:
            with pytest.raises(UntarError, match="no space left on device") as caught:
                untar(source_fd, small_fd)
        finally:
            os.close(source_fd)
            os.close(small_fd)
        assert errno.ENOSPC == caught.value.errno
    finally:
        detach(str(small))


def test_a_canceled_call_returns_though_its_source_is_silent(tmp_path: Path) -> None:
    source_fd, source_end = os.pipe()
    cancel_fd, cancel_end = os.pipe()
    directory_fd = os.open(tmp_path, os.O_RDONLY)
    os.write(source_end, member("f", data=b"f"))
    threading.Timer(0.2, os.close, [cancel_end]).start()
    try:
        with pytest.raises(UntarError) as caught:
            untar(source_fd, directory_fd, cancel_fd=cancel_fd)
    finally:
        for fd in (source_fd, source_end, cancel_fd, directory_fd):
            os.close(fd)

    assert errno.ECANCELED == caught.value.errno


def test_a_failing_writer_does_not_wait_for_a_silent_source(tmp_path: Path) -> None:
    source_fd, source_end = os.pipe()
    directory_fd = os.open(tmp_path, os.O_RDONLY)
    os.write(source_end, member("l", type="1", link="nothing") + member("f"))
    try:
        with pytest.raises(UntarError, match="no such file"):
            untar(source_fd, directory_fd)
    finally:
        for fd in (source_fd, source_end, directory_fd):
            os.close(fd)


def test_failures_leak_no_descriptors(tmp_path: Path) -> None:
    before = sorted(os.listdir("/proc/self/fd"))

    for data, _ in BAD.values():
        with pytest.raises(UntarError):
            unpack(data, tmp_path)

    assert before == sorted(os.listdir("/proc/self/fd"))
    assert 1 == len(os.listdir("/proc/self/task"))


_BOMBS = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.native.tarbytes import END, header, pax
from holdfs.native.untar import untar
which, directory = sys.argv[1:]
read_fd, write_fd = os.pipe()
if os.fork() == 0:
    os.close(read_fd)
    with open(write_fd, "wb", 1 << 20) as out:
        if which == "directories":
            # Their times are more than is kept in memory.
            for i in range(15_000):
                out.write(header("d%06d%s/" % (i, "n" * 80), type="5", prefix=b"p" * 150))
        elif which == "headers":
            one = pax(("comment", "c" * 900_000))
            for i in range(300):
                out.write(one)
            out.write(header("f"))
        elif which == "owners":
            for i in range(60_000):
                out.write(header("l%d" % i, type="1", link="l0", uid=i * 7) if i else header("l0"))
        elif which == "huge":
            out.write(header("huge", size=300 << 20))
            for i in range(300):
                out.write(bytes(1 << 20))
        out.write(END)
    os._exit(0)
os.close(write_fd)
split_fd = os.open(directory + ".split", os.O_RDWR | os.O_CREAT)
try:
    untar(read_fd, os.open(directory, os.O_RDONLY), tar_split_fd=split_fd)
except OSError as error:
    if which != "owners" or "many links" not in str(error):
        raise
# Not getrusage's: that begins with what the process had before it became this program.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.parametrize("which", ["directories", "headers", "owners", "huge"])
def test_memory_stays_below_96_mib_whatever_comes(which: str, tmp_path: Path) -> None:
    (tmp_path / "diff").mkdir()

    done = subprocess.run(
        [sys.executable, "-c", _BOMBS, which, str(tmp_path / "diff")],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
    assert int(done.stdout) < 96 << 10


def test_few_descriptors_are_enough_for_many_directories(tmp_path: Path) -> None:
    data = b"".join(member(f"d{i}/f", data=b"x" * 10) for i in range(2000)) + END
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        made = unpack(data, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert 2000 == len(list(made.directory.iterdir()))
