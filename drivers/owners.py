"""ID maps as drivers use them: who root is, maps in one piece, trees given other owners."""

from __future__ import annotations

import errno
import os
from itertools import pairwise

from holdfs.drivers.base import DriverError, IdMap


def map_root(uidmap: IdMap, gidmap: IdMap) -> tuple[int, int]:
    """
    Return the host's IDs of the container's root; 0 by an empty map.

    Raises:
        DriverError: A map has no place for it.
    """
    return _map_zero(uidmap), _map_zero(gidmap)


def _map_zero(ranges: IdMap) -> int:
    if not ranges:
        return 0
    for container_id, host_id, size in ranges:
        if container_id <= 0 < container_id + size:
            return host_id - container_id
    raise DriverError("container ID 0 cannot be mapped to a host ID")


def is_contiguous(ranges: IdMap) -> bool:
    """Whether the ranges of a map, in their order, are one range on both sides."""
    return all((a[0] + a[2], a[1] + a[2]) == b[:2] for a, b in pairwise(ranges))


def change_owners(
    directory: str, *, old_uidmap: IdMap, old_gidmap: IdMap, new_uidmap: IdMap, new_gidmap: IdMap
) -> None:
    """
    Give all that is below `directory` the owners of other maps; its own stays.

    Raises:
        DriverError: An owner has no place in the old maps; a part may be changed.
    """
    # Here, since most processes that load a driver change no owners.
    from holdfs.native.idmap import chown_tree

    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        chown_tree(
            fd,
            old_uidmap=old_uidmap,
            old_gidmap=old_gidmap,
            new_uidmap=new_uidmap,
            new_gidmap=new_gidmap,
        )
    except OSError as error:
        if error.errno == errno.EOVERFLOW:
            shown = os.lstat(error.filename, dir_fd=fd)
            raise DriverError(
                f"{error.filename} in {directory} belongs to {shown.st_uid}:{shown.st_gid}, "
                "which has no place in the layer's ID maps",
                words=f"error mapping host ID pair idtools.IDPair{{UID:{shown.st_uid}, "
                f'GID:{shown.st_gid}}} for "{error.filename}" to container: host ID '
                f"{shown.st_uid} cannot be mapped to a container ID",
            ) from error
        # The caller knows of no path in here: "" would be the directory itself.
        if error.filename is not None:
            error.filename = os.path.join(directory, error.filename).rstrip("/")
        raise
    finally:
        os.close(fd)
