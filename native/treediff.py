"""
What differs between two states of a tree: as a list, as a size, as a tar.

Rules: spec/store-format.md 8.9.
"""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from holdfs.native._tar import ffi, lib
from holdfs.native.tarout import OutProgress, Segments, Written, check, out_options
from holdfs.native.untar import Compression, IdRange

ADDED: Final = "A"
CHANGED: Final = "C"
DELETED: Final = "D"

#: Room for any one path, and for a thousand as they are.
_BLOCK: Final = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffOf:
    """
    Two states to compare; descriptors are of directories, open for reading.

    Either two whole trees (`new_fd`, and `old_fd` or nothing), or the upper directory of an overlay
    (`new_fd`, `lower_fds`).
    """

    new_fd: int
    old_fd: int = -1
    is_overlay: bool = False
    #: Below the upper, nearest first.
    lower_fds: Sequence[int] = ()
    #: Opaque directories have user.overlay.opaque, not trusted.overlay.opaque.
    in_userns: bool = False
    #: Owners are compared and shown as container IDs.
    new_uid_map: Sequence[IdRange] = ()
    new_gid_map: Sequence[IdRange] = ()
    old_uid_map: Sequence[IdRange] = ()
    old_gid_map: Sequence[IdRange] = ()
    #: The time that deletions have in a tar, in seconds.
    now: int = field(default_factory=lambda: int(time.time()))


class Change(NamedTuple):
    """One entry that differs."""

    #: ADDED, CHANGED or DELETED.
    kind: str
    #: From "/" on.
    path: str


class Changes(NamedTuple):
    """All of them, sorted by path, however many: to be gone through once."""

    #: Raises OSError where they had been written to a file that can't be read.
    entries: Iterator[Change]
    #: Bytes in an upper, each inode once; else in what is new or changed. Without directories.
    size: int


def changes(diff: DiffOf) -> Changes:
    """
    Return what differs. The descriptors are of no more use then.

    Raises:
        OSError: The text names the path that failed.
    """
    made = ffi.new("struct hold_change_list **")
    size = ffi.new("uint64_t *")
    result = ffi.new("struct hold_tar_out_result *")
    keep, options = _options(diff)
    check(lib.hold_changes(options, made, size, result), result)
    del keep
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
    keep, options = _options(diff)
    out = out_options(output_fd, compression, cancel_fd)
    check(lib.hold_tar_from_diff(options, out, result), result)
    del keep
    return Written(result.size, result.written)


def segments_from_diff(diff: DiffOf, spill_fd: int) -> Segments:
    """Return the same tar as segments; `spill_fd` is as for `Segments.from_split`."""
    result = ffi.new("struct hold_tar_out_result *")
    made = ffi.new("struct hold_segments **")
    keep, options = _options(diff)
    check(lib.hold_segments_from_diff(options, spill_fd, made, result), result)
    del keep
    return Segments(made[0])


def _options(diff: DiffOf) -> tuple[list[Any], Any]:
    """Return the C struct, and what has to live as long."""
    keep: list[Any] = [ffi.new("int[]", list(diff.lower_fds))]
    fields: dict[str, Any] = {
        "new_fd": diff.new_fd,
        "old_fd": diff.old_fd,
        "lower_fds": keep[0],
        "lowers": len(diff.lower_fds),
        "is_overlay": diff.is_overlay,
        "in_userns": diff.in_userns,
        "now": diff.now,
    }
    for name in ("new_uid_map", "new_gid_map", "old_uid_map", "old_gid_map"):
        ranges = ffi.new("struct hold_id_range[]", [tuple(each) for each in getattr(diff, name)])
        keep.append(ranges)
        fields |= {name: ranges, f"{name}_length": len(ranges)}
    return keep, ffi.new("struct hold_diff_options *", fields)
