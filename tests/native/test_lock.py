"""The lock of C excludes other opens, also in one process, and says what is wrong with an fd."""

import errno
import os
from pathlib import Path

import pytest

from holdfs.native.lock import lock_try


def test_a_writer_excludes_everybody_until_it_closes(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = os.open(path, os.O_RDWR | os.O_CREAT)
    second = os.open(path, os.O_RDWR)

    assert lock_try(first, exclusive=True)
    assert not lock_try(second, exclusive=True)
    assert not lock_try(second, exclusive=False)

    os.close(first)

    assert lock_try(second, exclusive=True)
    os.close(second)


def test_readers_share(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    first, second = os.open(path, os.O_RDONLY), os.open(path, os.O_RDONLY)

    assert lock_try(first, exclusive=False)
    assert lock_try(second, exclusive=False)

    os.close(first)
    os.close(second)


def test_a_closed_descriptor_is_an_error(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    os.close(fd)

    with pytest.raises(OSError) as raised:
        lock_try(fd, exclusive=False)

    assert errno.EBADF == raised.value.errno
