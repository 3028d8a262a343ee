"""
Sharing the space of equal files in images' layers, where the file system can. Source: cli 6.16.

    files of one size  →  of one hash  →  FIDEDUPERANGE: the kernel compares, and shares if equal

No lock is needed: the content that anybody reads does not change, and a file that goes meanwhile
is passed over.
"""

import errno
import fcntl
import hashlib
import os
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Final

from holdfs.core.errors import InvalidValue
from holdfs.core.store import Store

# struct file_dedupe_range with one file_dedupe_range_info: linux/fs.h, ioctl_fideduperange(2).
_RANGE: Final = struct.Struct("=QQHHIqQQiI")
_FIDEDUPERANGE: Final = 0xC0189436
_SAME: Final = 0
#: Larger pieces are cut by some file systems; this is what all of them take at once.
_PIECE: Final = 16 << 20
_CHUNK: Final = 1 << 20
#: This file system, or this pair of files, can't share: not a failure.
_CANNOT: Final = frozenset(
    (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.EPERM, errno.ETXTBSY)
)
#: Went away, or became something else, since we saw it.
_GONE: Final = frozenset((errno.ENOENT, errno.ESTALE, errno.ELOOP, errno.ENOTDIR))


def _crc(path: str) -> int:
    value = 0
    for chunk in _chunks(path):
        value = zlib.crc32(chunk, value)
    return value


def _sha256(path: str) -> bytes:
    value = hashlib.sha256()
    for chunk in _chunks(path):
        value.update(chunk)
    return value.digest()


def _chunks(path: str) -> Iterator[bytes]:
    with open(_open(path), "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


_METHODS: Final[dict[str, Callable[[str], object]]] = {
    "crc": _crc,
    "size": lambda path: None,
    "sha256": _sha256,
}


def dedup(store: Store, method: str = "crc") -> int:
    """
    Let equal files of all images' layers share their space.

    Args:
        method: How files that may be equal are found: crc, size, sha256. They are compared anyway.

    Returns:
        How many bytes of duplicates share now, those of earlier runs included.

    Raises:
        InvalidValue: No such method.
    """
    if method not in _METHODS:
        raise InvalidValue(
            f"there is no hash method {method!r}, only crc, size and sha256",
            words=f"invalid hash method: {method}",
        )
    by_size: dict[tuple[int, int], list[str]] = {}
    seen: set[tuple[int, int]] = set()
    for top in _tops(store):
        for path, status in _files(top):
            inode = (status.st_dev, status.st_ino)
            if status.st_size and inode not in seen:
                seen.add(inode)
                by_size.setdefault((status.st_dev, status.st_size), []).append(path)
    return sum(
        _share(paths, size, _METHODS[method])
        for (_, size), paths in by_size.items()
        if len(paths) > 1
    )


def _tops(store: Store) -> list[str]:
    """Return the directories of the layers that an image has, each once."""
    snapshot = store.snapshot()
    found: dict[str, None] = {}
    for head in snapshot.images.heads():
        for top in (head.layer, *head.mapped_layers):
            for layer_id in snapshot.chain(top):
                if not snapshot.layers.is_read_only(layer_id):
                    found[layer_id] = None
    driver = store.driver
    return [driver.diff_path(i) or driver.mount_point(i) for i in found]


def _files(top: str) -> Iterator[tuple[str, os.stat_result]]:
    waiting = [top]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        waiting.append(entry.path)
                    elif stat.S_ISREG(status.st_mode):
                        yield entry.path, status
        except OSError as error:
            if error.errno not in _GONE:
                raise


def _share(paths: list[str], size: int, key: Callable[[str], object]) -> int:
    first: dict[object, str] = {}
    shared = 0
    for path in paths:
        try:
            original = first.setdefault(key(path), path)
            if original != path:
                shared += _share_pair(original, path, size)
        except OSError as error:
            if error.errno in _CANNOT:
                return shared
            if error.errno not in _GONE:
                raise
    return shared


def _share_pair(original: str, duplicate: str, size: int) -> int:
    """Return how many bytes the two share now: all, or none."""
    with open(_open(original), "rb") as source, open(_open(duplicate), "rb") as target:
        at = 0
        while at < size:
            length = min(_PIECE, size - at)
            request = bytearray(_RANGE.pack(at, length, 1, 0, 0, target.fileno(), at, 0, _SAME, 0))
            fcntl.ioctl(source.fileno(), _FIDEDUPERANGE, request)
            done, status = _RANGE.unpack(request)[7:9]
            if status < 0 and -status not in _CANNOT:
                raise OSError(-status, os.strerror(-status), duplicate)
            if status != _SAME or not done:
                return 0
            at += done
    return size
