"""User namespaces that stand for ID maps, mounts that show other owners, chown of whole trees."""

from __future__ import annotations

import errno
import os

from holdfs.native._native import ffi, lib
from holdfs.native.light import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Final, TypeAlias

    _Map: TypeAlias = Sequence[tuple[int, int, int]]


_LONGEST_PATH: Final = 4096
_MAX_ID: Final = 0xFFFFFFFF


@contextmanager
def opened_userns(uidmap: _Map, gidmap: _Map) -> Iterator[int]:
    """
    Give a descriptor of a new user namespace with these maps.

    Args:
        uidmap, gidmap: (first ID in the namespace, first ID outside, how many), not empty.

    Raises:
        OSError: The maps overlap, or this process may not map these IDs.
    """
    result: int = lib.hold_open_userns(_map_text(uidmap), _map_text(gidmap))
    if result < 0:
        raise OSError(-result, f"making a user namespace: {os.strerror(-result)}")
    try:
        yield result
    finally:
        os.close(result)


def _map_text(ranges: _Map) -> bytes:
    return b"".join(b"%d %d %d\n" % line for line in ranges)


def mount_mapped(source: str, target: str, userns_fd: int) -> None:
    """
    Show the directory `source` at `target`, privately, with owners mapped by a user namespace.

    What is mounted below `source` is not taken along.

    Raises:
        OSError: With the target as filename; EINVAL where the file system can't do it.
    """
    result: int = lib.hold_mount_mapped(os.fsencode(source), os.fsencode(target), userns_fd)
    if result < 0:
        raise OSError(-result, os.strerror(-result), target)


def rename_below_mounts(top: str, old_name: str, new_name: str, *, exchange: bool = False) -> None:
    """
    Rename within the mount that the directory `top` is in, whatever is mounted below it.

    Args:
        old_name, new_name: Relative to `top`. A directory replaces an empty one.
        exchange: The two change places; both must be there.

    Raises:
        OSError: With both names; ENOTEMPTY when the new one is not empty.
    """
    result: int = lib.hold_rename_below_mounts(
        os.fsencode(top), os.fsencode(old_name), os.fsencode(new_name), exchange
    )
    if result < 0:
        old_path, new_path = os.path.join(top, old_name), os.path.join(top, new_name)
        raise OSError(-result, os.strerror(-result), old_path, None, new_path)


def chown_tree(
    dir_fd: int, *, old_uidmap: _Map, old_gidmap: _Map, new_uidmap: _Map, new_gidmap: _Map
) -> None:
    """
    Give all that is below `dir_fd` the owners of other maps; its own stays.

    The host's ID goes by the old map to the container's, and by the new one to the host's again;
    an empty map leaves IDs as they are. What has no place in the new map becomes the kernel's
    overflow ID. Set-ID bits, capabilities, the names of a file and directories' times are kept.

    Raises:
        OSError: With the path below `dir_fd` as filename, and a part is changed: EOVERFLOW for an
            owner that has no place in the old map.
    """
    kept: list[Any] = []  # what the structs point to
    path = ffi.new(f"char[{_LONGEST_PATH}]")
    result: int = lib.hold_chown_tree(
        dir_fd,
        _maps(old_uidmap, old_gidmap, kept),
        _maps(new_uidmap, new_gidmap, kept),
        read_overflow_id("uid"),
        read_overflow_id("gid"),
        path,
        _LONGEST_PATH,
    )
    if result < 0:
        text = os.strerror(-result)
        if result == -errno.EOVERFLOW:
            text = "the owner has no place in the layer's ID map"
        raise OSError(-result, text, os.fsdecode(ffi.string(path)))


def _maps(uidmap: _Map, gidmap: _Map, kept: list[Any]) -> Any:
    uids, gids = _ranges(uidmap), _ranges(gidmap)
    maps = ffi.new("struct hold_id_maps *", (uids, len(uidmap), gids, len(gidmap)))
    kept += (uids, gids, maps)
    return maps


def _ranges(ranges: _Map) -> Any:
    for inside, outside, size in ranges:
        if min(inside, outside, size) < 0 or max(inside, outside) + size - 1 > _MAX_ID:
            raise OSError(errno.EINVAL, f"{inside}:{outside}:{size} is no range of IDs")
    return ffi.new("struct hold_id_range[]", [tuple(line) for line in ranges])


def read_overflow_id(kind: str) -> int:
    """Return the ID that stands for those without a place in a map; `kind` is uid or gid."""
    with open(f"/proc/sys/kernel/overflow{kind}", encoding="ascii") as file:
        return int(file.read())
