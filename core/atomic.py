"""Files that are replaced whole: a reader sees the old content or the new, never a part."""

from __future__ import annotations

import os
from _thread import start_new_thread

from holdfs.native.about import about

#: What is written at once; the disk begins with it while the next piece is copied.
_PIECE = 2 << 20
#: To free a file as large as this takes the file system a millisecond and more.
_LARGE = 1 << 20


def write_atomic(path: str, *pieces: bytes | memoryview, durable: bool = True) -> os.stat_result:
    """
    Replace `path` by a file of mode 0600 with this content, one piece after the other.

    The name follows the Go tools' (`.tmp-<basename><digits>` beside it): they pass over it if a
    crash leaves one behind. The directory itself is not synced, as with them.

    Args:
        pieces: The content, one behind the other.
        durable: Sync the data before the rename, so that a power cut leaves old or new.

    Returns:
        The new file's stat.

    Raises:
        OSError: Nothing was replaced, and nothing is left.
    """
    directory, base = os.path.split(path)
    temporary = os.path.join(
        directory, f".tmp-{base}{int.from_bytes(os.urandom(8), 'little') % 10**10}"
    )
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with about(path):
            try:
                at = 0
                for piece in pieces:
                    _write(fd, memoryview(piece), at, durable=durable)
                    at += len(piece)
                if durable:
                    os.fdatasync(fd)
                os.fchmod(fd, 0o600)
                result = os.fstat(fd)
            finally:
                os.close(fd)
        old_fd = _open_large(path) if result.st_size > _LARGE else None
        try:
            os.rename(temporary, path)
        finally:
            if old_fd is not None:
                _close_aside(old_fd)
    except BaseException:
        os.unlink(temporary)
        raise
    return result


def _write(fd: int, data: memoryview, begin: int, *, durable: bool) -> None:
    at = 0
    while at < len(data):
        size = os.write(fd, data[at : at + _PIECE])
        if durable and len(data) > _PIECE:
            # Starts writing these pages and waits for nothing; none is clean yet to be dropped.
            os.posix_fadvise(fd, begin + at, size, os.POSIX_FADV_DONTNEED)
        at += size


def _open_large(path: str) -> int | None:
    """Return a descriptor of the file to be replaced: who closes it waits until it is freed."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None  # there is none yet, or it can't be read: then rename does it


def _close_aside(fd: int) -> None:
    try:
        start_new_thread(os.close, (fd,))
    except RuntimeError:
        os.close(fd)  # no more threads to be had
