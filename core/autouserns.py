"""
Choosing IDs that nobody uses, for a container that wants a user namespace of its own.

    /etc/subuid: containers:100000:1000000      what may be given out
    containers.json: the host IDs in all maps   what is given out
    the image: its layers' owners, passwd       how many it needs

Source: containers/storage, userns.go; spec 10.10.
"""

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from holdfs.core.errors import InvalidValue, NoFreeIds
from holdfs.core.formats import idmap
from holdfs.core.formats.idmap import Maps
from holdfs.core.formats.records import IdMap
from holdfs.core.idmapping import MapRequest
from holdfs.core.sets import Sets
from holdfs.core.viewing import opened_view

_NOBODY: Final = "nobody"

# Where the configuration says nothing.
_USER: Final = "containers"
_LEAST: Final = 1024
_MOST: Final = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoMaps:
    """
    What an automatic user namespace is to be like.

    Attributes:
        size: How many IDs; 0 for as many as the image needs.
        initial_size: At least so many, if `size` is 0.
        additional_uidmap, additional_gidmap: Ranges that are to be in the maps as they are.
    """

    size: int = 0
    initial_size: int = 1
    additional_uidmap: Maps = ()
    additional_gidmap: Maps = ()


def choose_maps(sets: Sets, wishes: AutoMaps, top_layer: str) -> MapRequest:
    """
    Return maps of IDs that no container has. The caller holds userns.lock until they are recorded.

    Args:
        top_layer: The image's, "" for none.

    Raises:
        NoFreeIds: Too few are left.
        InvalidValue: The image needs more than may be given.
    """
    size = wishes.size or _needed(sets, wishes, top_layer)
    user = sets.options.root_auto_userns_user or _USER
    containers = [sets.containers.current().one(i) for i in sets.containers.current()]
    used_uids = [m for c in containers for m in c.uidmap]
    used_gids = [m for c in containers for m in c.gidmap]
    return MapRequest(
        uidmap=_pick(size, "/etc/subuid", user, used_uids, wishes.additional_uidmap),
        gidmap=_pick(size, "/etc/subgid", user, used_gids, wishes.additional_gidmap),
    )


def _needed(sets: Sets, wishes: AutoMaps, top_layer: str) -> int:
    size = max(wishes.initial_size, 1, sets.options.auto_userns_min_size or _LEAST)
    snapshot = sets.snapshot()
    for layer_id in snapshot.chain(top_layer):
        layer = snapshot.layers.one(layer_id)
        size = max(size, *(n + 1 for n in (*layer.uidset, *layer.gidset)), 1)
    if top_layer:
        # As the Go library: the highest account itself gets no ID of its own.
        size = max(size, _highest_account(sets, top_layer))
    most = sets.options.auto_userns_max_size or _MOST
    if size > most:
        raise InvalidValue(
            f"the image needs {size} IDs, and an automatic user namespace may have {most}: "
            "raise auto-userns-max-size",
            words=f"the container needs a user namespace with size {size} that is bigger than the "
            f"maximum value allowed with userns=auto {most}",
        )
    return size


def _highest_account(sets: Sets, layer_id: str) -> int:
    """Return the highest ID in the image's passwd and group; -1 if it has none."""
    with opened_view(sets.driver, sets.run_root, layer_id) as top_fd:
        found = [
            n
            for name, columns in (("passwd", (2, 3)), ("group", (2,)))
            for n in _account_ids(top_fd, name, columns)
        ]
    return max(found, default=-1)


def _account_ids(top_fd: int, name: str, columns: Sequence[int]) -> Iterable[int]:
    # An image's link could lead to a file of ours: neither of the two names may be one.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        etc_fd = os.open("etc", flags | os.O_DIRECTORY, dir_fd=top_fd)
        try:
            fd = os.open(name, flags, dir_fd=etc_fd)
        finally:
            os.close(etc_fd)
    except OSError:
        return
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        return
    with open(fd, encoding="utf-8", errors="replace") as file:
        for line in file:
            fields = line.rstrip("\n").split(":")
            if len(fields) > max(columns) and fields[0] != _NOBODY:
                # No ID has more than ten digits, and int() refuses what has thousands.
                yield from (
                    int(fields[c]) for c in columns if fields[c].isdecimal() and len(fields[c]) < 11
                )


def _pick(size: int, path: str, user: str, used: Sequence[IdMap], additional: Maps) -> Maps:
    """Return `size` container IDs on the first free host IDs, and the additional ranges."""
    try:
        with open(path, encoding="utf-8") as file:
            available = [(m.host_id, m.size) for m in idmap.parse_sub_ids(file.read(), user)]
    except FileNotFoundError:
        available = []
    if not available:
        raise NoFreeIds(f"{path} has no range for the user {user!r}: add a line {user}:START:COUNT")
    taken = [(m.host_id, m.size) for m in (*used, *additional)]
    free = _subtract(available, taken)
    wanted = _subtract([(0, size)], [(m.container_id, m.size) for m in additional])
    return (*_zip(wanted, free, path, user), *additional)


def _subtract(
    ranges: Sequence[tuple[int, int]], holes: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Return what is left of (start, size) ranges without the holes, ascending."""
    left = sorted(ranges)
    for hole_start, hole_size in holes:
        hole_end = hole_start + hole_size
        pieces: list[tuple[int, int]] = []
        for start, size in left:
            for first, end in (
                (start, min(start + size, hole_start)),
                (max(start, hole_end), start + size),
            ):
                if first < end:
                    pieces.append((first, end - first))
        left = pieces
    return left


def _zip(
    wanted: Sequence[tuple[int, int]], free: Sequence[tuple[int, int]], path: str, user: str
) -> list[IdMap]:
    found: list[IdMap] = []
    pool = list(free)
    for start, size in wanted:
        while size:
            if not pool:
                raise NoFreeIds(
                    f"too few free IDs: the range of {user!r} in {path} is used up",
                    words=f"could not find enough available IDs: {NoFreeIds.base_words}",
                )
            host, host_size = pool[0]
            piece = min(size, host_size)
            found.append(IdMap(container_id=start, host_id=host, size=piece))
            start, size = start + piece, size - piece
            pool[0:1] = [(host + piece, host_size - piece)] if host_size > piece else []
    return found
