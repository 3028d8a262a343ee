"""Files that are replaced whole: a reader sees the old content or the new, never a part."""

from __future__ import annotations

import os

from holdfs.native.about import about


def write_atomic(path: str, data: bytes, *, durable: bool = True) -> os.stat_result:
    """
    Replace `path` by a file of mode 0600 with this content.

    The name follows the Go tools' (`.tmp-<basename><digits>` beside it): they pass over it if a
    crash leaves one behind. The directory itself is not synced, as with them.

    Args:
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
                view = memoryview(data)
                while view:
                    view = view[os.write(fd, view) :]
                if durable:
                    os.fdatasync(fd)
                os.fchmod(fd, 0o600)
                result = os.fstat(fd)
            finally:
                os.close(fd)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return result
