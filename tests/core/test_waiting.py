"""Waiting for a lock that others hold: until it is free, no longer than said, and interruptible."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfs.core.errors import LockTimeout
from holdfs.core.lockfile import LockFile, lock_once
from holdfs.core.waiting import wait_for

PATIENCE_S = 30

#: Takes the lock again and again, as a script of short commands does, and says so once.
_BUSY = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
while True:
    fcntl.lockf(fd, fcntl.LOCK_EX)
    os.pwrite(fd, b"x" * 64, 0)
    os.fsync(fd)
    fcntl.lockf(fd, fcntl.LOCK_UN)
    print("again", flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    """Give a lock file, and see at the end that nobody has left it open."""
    path = tmp_path / "layers.lock"
    path.touch()
    before = len(os.listdir("/proc/self/fd"))
    yield str(path)
    assert before == len(os.listdir("/proc/self/fd"))


def test_it_ends_as_soon_as_the_holder_lets_go(path: str) -> None:
    got: list[int] = []
    with LockFile(path).writing():
        waiter = threading.Thread(
            target=lambda: got.append(wait_for(path, exclusive=True, timeout_s=None))
        )
        waiter.start()
        # However long the holder takes.
        waiter.join(0.05)
        assert [] == got
    waiter.join(PATIENCE_S)

    [fd] = got
    assert lock_once(path, exclusive=False) is None
    os.close(fd)
    again = lock_once(path, exclusive=True)
    assert again is not None
    os.close(again)


def test_readers_wait_for_a_writer_and_not_for_each_other(path: str) -> None:
    with LockFile(path).reading():
        os.close(wait_for(path, exclusive=False, timeout_s=0))
        with pytest.raises(LockTimeout):
            wait_for(path, exclusive=True, timeout_s=0.01)
    with LockFile(path).writing(), pytest.raises(LockTimeout):
        wait_for(path, exclusive=False, timeout_s=0.01)


@pytest.mark.parametrize("timeout_s", [0, 0.02])
def test_after_its_time_it_says_for_what_and_how_long_it_waited(
    path: str, timeout_s: float
) -> None:
    with LockFile(path).writing(), pytest.raises(LockTimeout) as caught:
        wait_for(path, exclusive=True, timeout_s=timeout_s)

    assert f"waited {timeout_s:g} s for {path}" in str(caught.value)


def test_who_takes_the_lock_again_and_again_does_not_keep_others_out(path: str) -> None:
    with subprocess.Popen([sys.executable, "-c", _BUSY, path], stdout=subprocess.PIPE) as busy:
        try:
            assert busy.stdout is not None
            assert b"again\n" == busy.stdout.readline()
            for _ in range(20):
                os.close(wait_for(path, exclusive=True, timeout_s=PATIENCE_S))
        finally:
            busy.kill()


def test_of_many_who_wait_each_has_it_alone_and_none_is_left_out(path: str) -> None:
    inside: list[int] = []
    turns: list[int] = []

    def take(number: int) -> None:
        for _ in range(10):
            fd = wait_for(path, exclusive=True, timeout_s=PATIENCE_S)
            inside.append(number)
            turns.append(len(inside))
            inside.remove(number)
            os.close(fd)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)

    assert [1] * 80 == turns


def test_an_interrupt_ends_it_and_leaves_nothing_held(path: str) -> None:
    with LockFile(path).writing():
        interrupter = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            interrupter.start()
            wait_for(path, exclusive=True, timeout_s=PATIENCE_S)
        interrupter.join()
    fd = lock_once(path, exclusive=True)
    assert fd is not None
    os.close(fd)


def test_what_can_be_no_lock_file_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        wait_for(str(tmp_path), exclusive=True, timeout_s=PATIENCE_S)
