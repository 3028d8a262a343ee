"""
Unpacking a tar stream into a directory: compression, digests, owners, whiteouts and tar-split in
one pass.

Rules: spec/store-format.md 4, 8.6, 9, 10.2.
"""

from __future__ import annotations

import enum
import os

from holdfs.native._tar import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# No dataclasses: what they import takes as long as unpacking a small layer.


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


class IdRange:
    """`size` IDs from `container` on are `host` and following on disk."""

    __slots__ = ("container", "host", "size")

    def __init__(self, container: int, host: int, size: int) -> None:
        self.container = container
        self.host = host
        self.size = size


class UntarOptions:
    """
    How members become files.

    Args:
        in_userns: In a user namespace: devices are skipped, and attributes that we may not set.
        force_mask: The mode of all that is made; real values go to user.containers.override_stat.
        parent_mode, parent_owner: Of directories that no member describes; the owner on disk.
        writers: Threads that write files: 1, 2, or 0 for two.
    """

    def __init__(
        self,
        *,
        whiteouts: Whiteouts = Whiteouts.OVERLAY,
        uid_map: Sequence[IdRange] = (),
        gid_map: Sequence[IdRange] = (),
        in_userns: bool = False,
        ignore_chown_errors: bool = False,
        force_mask: int | None = None,
        parent_mode: int = 0o755,
        parent_owner: tuple[int, int] = (0, 0),
        writers: int = 0,
    ) -> None:
        self.uid_map = uid_map
        self.gid_map = gid_map
        #: As in the C struct.
        self.fields = {
            "whiteouts": whiteouts,
            "writers": writers,
            "in_userns": in_userns,
            "ignore_chown_errors": ignore_chown_errors,
            "force_mask": -1 if force_mask is None else force_mask,
            "parent_mode": parent_mode,
            "parent_uid": parent_owner[0],
            "parent_gid": parent_owner[1],
        }


class Unpacked:
    """
    What a stream was.

    Attributes:
        compressed_sha256, compressed_size: Of the stream as it was read.
        sha256, size: Of the tar, whatever follows its end included.
        entries, payload_size: Members, and the sum of the sizes in their headers.
        has_end: The archive's end is marked. Without it too the Go tools take it for whole.
        uids, gids: In the headers of all members but whiteouts, distinct, ascending.
    """

    def __init__(self, result: Any) -> None:
        self.compression = Compression(result.compression)
        self.compressed_sha256: str = bytes(result.compressed_sha256).hex()
        self.compressed_size: int = result.compressed_size
        self.sha256: str = bytes(result.sha256).hex()
        self.size: int = result.size
        self.entries: int = result.entries
        self.payload_size: int = result.payload_size
        self.has_end = bool(result.has_end)
        self.uids: tuple[int, ...] = tuple(ffi.unpack(result.uids, result.uids_length))
        self.gids: tuple[int, ...] = tuple(ffi.unpack(result.gids, result.gids_length))


class UntarError(OSError):
    """A stream could not be unpacked. EBADMSG: it is damaged; the rest is what the kernel said."""

    def __init__(self, number: int, message: str, offset: int) -> None:
        super().__init__(number, message)
        #: Where in the tar the member begins that failed.
        self.offset = offset


class Progress:
    """How far running calls have come, one after the other; to be looked at from another thread."""

    def __init__(self) -> None:
        self._result: Any = None
        self._earlier_bytes = 0

    def _follow(self, result: Any) -> None:
        self._earlier_bytes = self.read_bytes
        self._result = result

    @property
    def read_bytes(self) -> int:
        """Bytes read from the sources."""
        read: int = self._result.compressed_size if self._result else 0
        return self._earlier_bytes + read

    @property
    def entries(self) -> int:
        """Members begun, of the last call."""
        entries: int = self._result.entries if self._result else 0
        return entries


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
    uid_map, gid_map = id_ranges(chosen.uid_map), id_ranges(chosen.gid_map)
    given = ffi.new(
        "struct hold_untar_options *",
        {
            "source_fd": source_fd,
            "directory_fd": directory_fd,
            "tar_split_fd": tar_split_fd,
            "cancel_fd": cancel_fd,
            **chosen.fields,
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
        return Unpacked(result)
    finally:
        lib.hold_untar_free(result)


def id_ranges(ranges: Sequence[IdRange]) -> Any:
    """Return them as an array of C structs."""
    return ffi.new("struct hold_id_range[]", [(r.container, r.host, r.size) for r in ranges])
