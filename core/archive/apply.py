"""
A tar stream into a layer's directory, and what the record gets to know of it.

One C call reads, decompresses, hashes, unpacks and writes the tar-split (native/untar.py); here is
only what a layer and its driver mean for that. Source: spec 4, 10.2.
"""

from __future__ import annotations

import errno
import os

from holdfs.core.archive.interrupt import interrupt_fd
from holdfs.core.errors import DamagedStream, InvalidDigest
from holdfs.core.formats import idmap
from holdfs.drivers.whiteouts import WhiteoutStyle
from holdfs.native.about import about
from holdfs.native.untar import IdRange, UntarError, UntarOptions, Whiteouts
from holdfs.native.untar import untar as native_untar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from holdfs.core.archive.staging import Staging
    from holdfs.core.formats.records import Layer
    from holdfs.drivers.base import Driver
    from holdfs.native.untar import Progress, Unpacked

_WHITEOUTS: Final = {
    WhiteoutStyle.TRUSTED_XATTR: Whiteouts.OVERLAY,
    WhiteoutStyle.USER_XATTR: Whiteouts.OVERLAY_USER,
    WhiteoutStyle.FILES: Whiteouts.KEEP,
    WhiteoutStyle.NONE: Whiteouts.MERGE,
}

#: What the engine says of streams, not of the disk.
_DAMAGE: Final = (errno.EBADMSG, errno.EEXIST)


def unpack(
    source_fd: int,
    directory_fd: int,
    tar_split: str,
    driver: Driver,
    layer: Layer,
    *,
    progress: Progress | None = None,
) -> Unpacked:
    """
    Unpack a stream, compressed or not, into a layer's directory, and write its tar-split.

    Args:
        directory_fd: Open for reading.
        tar_split: Path of a file to be made; complete and on disk at return.
        layer: Its ID maps count.

    Raises:
        DamagedStream: The stream is no tar, or is cut short; names the member and where it begins.
        OSError: The kernel's word: no space, an owner that can't be set, …
    """
    uid, gid = idmap.root_of(layer.uidmap, layer.gidmap)
    options = UntarOptions(
        whiteouts=_WHITEOUTS[driver.whiteout_style],
        uid_map=_ranges(layer.uidmap),
        gid_map=_ranges(layer.gidmap),
        ignore_chown_errors=driver.ignore_chown_errors,
        force_mask=driver.force_mask,
        parent_owner=(uid, gid),
    )
    return _run(source_fd, directory_fd, tar_split, options, progress)


def _run(
    source_fd: int,
    directory_fd: int,
    tar_split: str,
    options: UntarOptions,
    progress: Progress | None,
) -> Unpacked:
    split_fd = os.open(tar_split, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with interrupt_fd() as cancel_fd:
            unpacked = native_untar(
                source_fd,
                directory_fd,
                options=options,
                tar_split_fd=split_fd,
                cancel_fd=cancel_fd,
                progress=progress,
            )
        with about(tar_split):
            os.fdatasync(split_fd)
    except UntarError as error:
        if error.strerror and error.errno in _DAMAGE:
            raise DamagedStream(error.strerror, error.offset) from error
        raise
    finally:
        os.close(split_fd)
    return unpacked


def read_through(source_fd: int, place: Staging) -> Unpacked:
    """
    Read a plain tar for its digests and tar-split alone; its files are of no interest.

    Raises as `unpack`.
    """
    # The engine makes files of what it reads. They go with the staging directory.
    os.mkdir(place.diff, 0o700)
    directory_fd = os.open(place.diff, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    options = UntarOptions(whiteouts=Whiteouts.KEEP, ignore_chown_errors=True)
    try:
        return _run(source_fd, directory_fd, place.tar_split, options, None)
    finally:
        os.close(directory_fd)


def _ranges(maps: idmap.Maps) -> list[IdRange]:
    return [IdRange(m.container_id, m.host_id, m.size) for m in maps]


def noted(layer: Layer, unpacked: Unpacked) -> Layer:
    """Return the record with all that is known of the stream that filled the layer."""
    return layer.replaced(
        compressed_diff_digest=f"sha256:{unpacked.compressed_sha256}",
        compressed_size=unpacked.compressed_size,
        diff_digest=f"sha256:{unpacked.sha256}",
        diff_size=unpacked.size,
        toc_digest="",
        compression=int(unpacked.compression),
        uidset=unpacked.uids,
        gidset=unpacked.gids,
    )


def check_digests(unpacked: Unpacked, compressed: str, uncompressed: str) -> None:
    """
    Raise unless the stream is the one that was promised; "" promises nothing.

    Raises:
        InvalidDigest: It is another one.
    """
    for what, promised, found in (
        ("compressed", compressed, unpacked.compressed_sha256),
        ("uncompressed", uncompressed, unpacked.sha256),
    ):
        if promised and promised != f"sha256:{found}":
            raise InvalidDigest(
                f"the {what} diff has the digest sha256:{found}, not {promised} as expected"
            )
