"""
Unpacking a tar stream into a directory: compression, digests, owners, whiteouts and tar-split in
one pass.

Rules: spec/store-format.md 4, 8.6, 9, 10.2.
"""

import enum
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from holdfs.native._tar import ffi, lib


class Whiteouts(enum.IntEnum):
    """What `.wh.x` and `.wh..wh..opq` become."""

    #: What overlayfs knows: a device 0:0, an attribute trusted.overlay.opaque.
    OVERLAY = 0
    #: The same with user.overlay.opaque, for mounts in a user namespace.
    OVERLAY_USER = 1
    #: The deletion itself, of what is there and not from this tar.
    MERGE = 2
    #: Files as any other, for fuse-overlayfs.
    KEEP = 3


class Compression(enum.IntEnum):
    """As the Go library numbers it in layers.json."""

    NONE = 0
    BZIP2 = 1
    GZIP = 2
    XZ = 3
    ZSTD = 4


class IdRange(NamedTuple):
    """`size` IDs from `container` on are `host` and following on disk."""

    container: int
    host: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UntarOptions:
    """How members become files."""

    whiteouts: Whiteouts = Whiteouts.OVERLAY
    uid_map: Sequence[IdRange] = ()
    gid_map: Sequence[IdRange] = ()
    #: In a user namespace: devices are skipped, and attributes that we may not set.
    in_userns: bool = False
    ignore_chown_errors: bool = False
    #: The mode of all that is made, real values go to user.containers.override_stat.
    force_mask: int | None = None
    #: Mode and owner (on disk) of directories that no member describes.
    parent_mode: int = 0o755
    parent_owner: tuple[int, int] = (0, 0)
    #: Threads that write files: 1, 2, or 0 for two.
    writers: int = 0


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What a stream was."""

    compression: Compression
    #: Of the stream as it was read.
    compressed_sha256: str
    compressed_size: int
    #: Of the tar, whatever follows its end included.
    sha256: str
    size: int
    #: Members, and the sum of the sizes in their headers.
    entries: int
    payload_size: int
    #: The archive's end is marked. Without it too the Go tools take it for whole.
    has_end: bool
    #: Owners in the headers of all members but whiteouts, distinct, ascending.
    uids: tuple[int, ...]
    gids: tuple[int, ...]


class UntarError(OSError):
    """A stream could not be unpacked. EBADMSG: it is damaged; the rest is what the kernel said."""

    def __init__(self, number: int, message: str, offset: int) -> None:
        super().__init__(number, message)
        #: Where in the tar the member begins that failed.
        self.offset = offset


@dataclass(slots=True)
class Progress:
    """How far running calls have come, one after the other; to be looked at from another thread."""

    _result: Any = field(default=None, repr=False)
    _earlier_bytes: int = 0

    def _follow(self, result: Any) -> None:
        self._earlier_bytes = self.read_bytes
        self._result = result

    @property
    def read_bytes(self) -> int:
        """Bytes read from the sources."""
        return self._earlier_bytes + (self._result.compressed_size if self._result else 0)

    @property
    def entries(self) -> int:
        """Members begun, of the last call."""
        return self._result.entries if self._result else 0


def untar(
    source_fd: int,
    directory_fd: int,
    *,
    options: UntarOptions | None = None,
    tar_split_fd: int = -1,
    cancel_fd: int = -1,
    progress: Progress | None = None,
) -> Unpacked:
    """
    Unpack the tar stream that `source_fd` gives into a directory.

    Nothing outside of the directory is made, changed or read, whatever names and links say. All
    members get their owners and times; nothing is synced. Uses about 50 MiB, with a large
    window of zstd's (up to 512 MiB) some 25 and that. The GIL is released.

    Args:
        source_fd: A pipe, socket or file, read from where it stands up to its end; plain, gzip,
            bzip2, xz or zstd, by its first bytes.
        directory_fd: Open for reading, not O_PATH; may hold something already.
        tar_split_fd: Where the gzipped tar-split goes; -1 for none.
        cancel_fd: The call gives up with ECANCELED once it can be read; -1 for never.
        progress: Is filled while the call runs.

    Raises:
        UntarError: A part of the members has been made; the tar-split is not complete.
    """
    chosen = options or UntarOptions()
    uid_map, gid_map = _ranges(chosen.uid_map), _ranges(chosen.gid_map)
    given = ffi.new(
        "struct hold_untar_options *",
        {
            "source_fd": source_fd,
            "directory_fd": directory_fd,
            "tar_split_fd": tar_split_fd,
            "cancel_fd": cancel_fd,
            "whiteouts": chosen.whiteouts,
            "writers": chosen.writers,
            "in_userns": chosen.in_userns,
            "ignore_chown_errors": chosen.ignore_chown_errors,
            "force_mask": -1 if chosen.force_mask is None else chosen.force_mask,
            "parent_mode": chosen.parent_mode,
            "parent_uid": chosen.parent_owner[0],
            "parent_gid": chosen.parent_owner[1],
            "uid_map": uid_map,
            "uid_map_length": len(uid_map),
            "gid_map": gid_map,
            "gid_map_length": len(gid_map),
        },
    )
    result = ffi.new("struct hold_untar_result *")
    if progress is not None:
        progress._follow(result)
    try:
        failed: int = -lib.hold_untar(given, result)
        if failed:
            message = os.fsdecode(ffi.string(result.message))
            raise UntarError(failed, message, result.error_offset)
        return _unpacked(result)
    finally:
        lib.hold_untar_free(result)


def _ranges(ranges: Sequence[IdRange]) -> Any:
    return ffi.new("struct hold_id_range[]", [tuple(each) for each in ranges])


def _unpacked(result: Any) -> Unpacked:
    return Unpacked(
        compression=Compression(result.compression),
        compressed_sha256=bytes(result.compressed_sha256).hex(),
        compressed_size=result.compressed_size,
        sha256=bytes(result.sha256).hex(),
        size=result.size,
        entries=result.entries,
        payload_size=result.payload_size,
        has_end=bool(result.has_end),
        uids=tuple(ffi.unpack(result.uids, result.uids_length)),
        gids=tuple(ffi.unpack(result.gids, result.gids_length)),
    )
