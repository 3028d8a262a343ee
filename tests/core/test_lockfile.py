"""The store's locks exclude the Go tools' kind of lock, other threads and other processes."""

import fcntl
import os
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from holdfs.core.errors import LockTimeout
from holdfs.core.formats.lastwrite import TOKEN_SIZE
from holdfs.core.lockfile import LockFile

# A process that holds a classic fcntl lock, as every Go tool does: 'r' shared, 'w' exclusive.
_GO_HOLDER = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o644)
fcntl.lockf(fd, fcntl.LOCK_EX if sys.argv[2] == "w" else fcntl.LOCK_SH)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "images" / "images.lock")


def _go_holder(path: str, how: str) -> "subprocess.Popen[str]":
    os.makedirs(os.path.dirname(path), exist_ok=True)
    holder = subprocess.Popen(
        [sys.executable, "-c", _GO_HOLDER, path, how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert "held\n" == holder.stdout.readline()
    return holder


def _end(holder: "subprocess.Popen[str]") -> None:
    holder.communicate(timeout=10)


@pytest.mark.parametrize(
    ("theirs", "ours", "excluded"),
    [("w", "w", True), ("w", "r", True), ("r", "w", True), ("r", "r", False)],
)
def test_a_go_tools_lock_excludes_ours(path: str, theirs: str, ours: str, excluded: bool) -> None:
    holder = _go_holder(path, theirs)
    try:
        lock = LockFile(path, timeout_s=0.05)
        hold = lock.writing if ours == "w" else lock.reading
        if excluded:
            with pytest.raises(LockTimeout, match=r"waited 0\.05 s for .*images\.lock"), hold():
                pass
        else:
            with hold():
                pass
    finally:
        _end(holder)


@pytest.mark.parametrize(
    ("ours", "theirs", "excluded"),
    [("w", "w", True), ("w", "r", True), ("r", "w", True), ("r", "r", False)],
)
def test_our_lock_excludes_a_go_tools(path: str, ours: str, theirs: str, excluded: bool) -> None:
    lock = LockFile(path)
    with lock.writing() if ours == "w" else lock.reading():
        # F_GETLK asks as a classic lock would; from another process, as one's own never conflict.
        script = (
            "import fcntl, os, struct, sys\n"
            "fd = os.open(sys.argv[1], os.O_RDWR)\n"
            "kind = fcntl.F_WRLCK if sys.argv[2] == 'w' else fcntl.F_RDLCK\n"
            "flock = struct.pack('hhqqi4x', kind, os.SEEK_SET, 0, 0, 0)\n"
            "print(struct.unpack('hhqqi4x', fcntl.fcntl(fd, fcntl.F_GETLK, flock))[0])\n"
        )
        answer = subprocess.check_output(
            [sys.executable, "-c", script, path, theirs], text=True, timeout=10
        )
    assert excluded == (int(answer) != fcntl.F_UNLCK)


def test_threads_of_one_process_exclude_each_other(path: str) -> None:
    holding, release = threading.Event(), threading.Event()

    def hold() -> None:
        with LockFile(path).writing():
            holding.set()
            release.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert holding.wait(10)
        with pytest.raises(LockTimeout), LockFile(path, timeout_s=0.05).writing():
            pass
    finally:
        release.set()
        thread.join()
    with LockFile(path, timeout_s=0.05).writing():
        pass


def test_reading_the_token_does_not_drop_a_lock_that_is_held(path: str) -> None:
    lock = LockFile(path)
    with lock.writing():
        assert b"" == lock.token()
        with pytest.raises(LockTimeout), LockFile(path, timeout_s=0.02).reading():
            pass


def test_a_renewed_token_is_new_and_whole_and_the_file_stays(path: str) -> None:
    lock = LockFile(path)
    tokens = set()
    for _ in range(3):
        with lock.writing() as held:
            inode = os.stat(path).st_ino
            written = held.renew_token()
            assert written == held.token() == lock.token()
            tokens.add(written)
            assert (inode, TOKEN_SIZE) == (os.stat(path).st_ino, os.stat(path).st_size)
    assert 3 == len(tokens)
    pid = struct.unpack_from("<I", lock.token(), 16)[0]
    assert os.getpid() == pid


def test_a_lock_file_is_made_as_the_go_tools_make_it(path: str) -> None:
    umask = os.umask(0)
    try:
        with LockFile(path).reading():
            pass
    finally:
        os.umask(umask)
    assert 0o100644 == os.stat(path).st_mode
    assert 0o40700 == os.stat(os.path.dirname(path)).st_mode


def test_an_exception_releases_the_lock(path: str) -> None:
    with pytest.raises(ZeroDivisionError), LockFile(path).writing():
        raise ZeroDivisionError
    with LockFile(path, timeout_s=0.02).writing():
        pass


def test_a_killed_holder_leaves_no_lock(path: str) -> None:
    holder = _go_holder(path, "w")
    holder.kill()
    holder.communicate(timeout=10)
    with LockFile(path, timeout_s=2).writing():
        pass
