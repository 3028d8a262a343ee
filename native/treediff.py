"""
What differs between two states of a tree: as a list, as a size, as a tar.

Rules: spec/store-format.md 8.9.
"""

from __future__ import annotations

import os
import time

from holdfs.native._tar import ffi, lib
from holdfs.native.tarout import OutProgress, Segments, Written, check, out_options
from holdfs.native.untar import Compression, id_ranges

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Final

    from holdfs.native.untar import IdRange

ADDED: Final = "A"
CHANGED: Final = "C"
DELETED: Final = "D"

#: Room for any one path, and for a thousand as they are.
_BLOCK: Final = 64 << 10


class DiffOf:
    """
    Two states to compare; descriptors are of directories, open for reading.

    Either two whole trees (`new_fd`, and `old_fd` or nothing), or the upper directory of an overlay
    (`new_fd`, `lower_fds`).

    Args:
        lower_fds: Below the upper, nearest first.
        in_userns: Opaque directories have user.overlay.opaque, not trusted.overlay.opaque.
        new_uid_map, new_gid_map, old_uid_map, old_gid_map: Owners are compared and shown as
            container IDs.
        now: The time that deletions have in a tar, in seconds.
    """

    def __init__(
        self,
        *,
        new_fd: int,
        old_fd: int = -1,
        is_overlay: bool = False,
        lower_fds: Sequence[int] = (),
        in_userns: bool = False,
        new_uid_map: Sequence[IdRange] = (),
        new_gid_map: Sequence[IdRange] = (),
        old_uid_map: Sequence[IdRange] = (),
        old_gid_map: Sequence[IdRange] = (),
        now: int | None = None,
    ) -> None:
        self._lower_fds = ffi.new("int[]", list(lower_fds))
        fields: dict[str, Any] = {
            "new_fd": new_fd,
            "old_fd": old_fd,
            "lower_fds": self._lower_fds,
            "lowers": len(lower_fds),
            "is_overlay": is_overlay,
            "in_userns": in_userns,
            "now": int(time.time()) if now is None else now,
        }
        self._maps = {
            "new_uid_map": id_ranges(new_uid_map),
            "new_gid_map": id_ranges(new_gid_map),
            "old_uid_map": id_ranges(old_uid_map),
            "old_gid_map": id_ranges(old_gid_map),
        }
        for name, ranges in self._maps.items():
            fields |= {name: ranges, f"{name}_length": len(ranges)}
        #: The C struct, which stands on what is kept above.
        self.options: Any = ffi.new("struct hold_diff_options *", fields)


class Change(tuple[str, str]):
    """One entry that differs: ADDED, CHANGED or DELETED, and its path, from "/" on."""

    __slots__ = ()

    def __new__(cls, kind: str, path: str) -> Change:
        return super().__new__(cls, (kind, path))

    @property
    def kind(self) -> str:
        return self[0]

    @property
    def path(self) -> str:
        return self[1]


class Changes:
    """
    What differs.

    Attributes:
        entries: Sorted by path, however many: to be gone through once. Raises OSError where they
            had been written to a file that can't be read.
        size: Bytes in an upper, each inode once; else in what is new or changed. Without
            directories.
    """

    def __init__(self, entries: Iterator[Change], size: int) -> None:
        self.entries = entries
        self.size = size


def changes(diff: DiffOf) -> Changes:
    """
    Return what differs. The descriptors are of no more use then.

    Raises:
        OSError: The text names the path that failed.
    """
    made = ffi.new("struct hold_change_list **")
    size = ffi.new("uint64_t *")
    result = ffi.new("struct hold_tar_out_result *")
    check(lib.hold_changes(diff.options, made, size, result), result)
    return Changes(_entries(ffi.gc(made[0], lib.hold_changes_free)), size[0])


def _entries(found: Any) -> Iterator[Change]:
    block = ffi.new("char[]", _BLOCK)
    while (length := lib.hold_changes_read(found, block, _BLOCK)) > 0:
        for line in os.fsdecode(ffi.unpack(block, length)).split("\0")[:-1]:
            yield Change(line[0], line[1:])
    if length < 0:
        raise OSError(-length, f"list what differs: {os.strerror(-length)}")


def tar_from_diff(
    diff: DiffOf,
    output_fd: int,
    *,
    compression: Compression = Compression.NONE,
    cancel_fd: int = -1,
    progress: OutProgress | None = None,
) -> Written:
    """
    Write the tar of what differs, with the headers of containers-storage 1.43.

    Raises:
        TarOutError: Part of the tar has been written.
    """
    result = ffi.new("struct hold_tar_out_result *")
    if progress is not None:
        progress.follow(result)
    out = out_options(output_fd, compression, cancel_fd)
    check(lib.hold_tar_from_diff(diff.options, out, result), result)
    return Written(result.size, result.written)


def segments_from_diff(diff: DiffOf, spill_fd: int) -> Segments:
    """Return the same tar as segments; `spill_fd` is as for `Segments.from_split`."""
    result = ffi.new("struct hold_tar_out_result *")
    made = ffi.new("struct hold_segments **")
    check(lib.hold_segments_from_diff(diff.options, spill_fd, made, result), result)
    return Segments(made[0])
