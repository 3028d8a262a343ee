"""
ID maps: which host IDs a container's IDs stand for.

    --uidmap 0:100000:65536[:C:H:S…]        container ID, host ID, size, repeated
    /etc/subuid   user:100000:65536         ranges a user may map

An empty map is the host's own: every ID stands for itself. Source: containers/storage pkg/idtools;
spec 10.2, cli 6.9.
"""

from __future__ import annotations

import itertools

from holdfs.core.errors import InvalidMappings, InvalidValue
from holdfs.core.formats.records import IdMap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

Maps = tuple[IdMap, ...]

_MOST: Final = 1 << 32


def parse_maps(texts: Iterable[str], setting: str) -> Maps:
    """
    Return the ranges of several `C:H:S[:C:H:S…]` options, in order.

    Args:
        setting: "uid" or "gid", for the message.

    Raises:
        InvalidValue: One is no list of number triples, or holds a number over 32 bits.
    """
    found: list[IdMap] = []
    for text in texts:
        fields = text.split(":")
        if len(fields) % 3 or not all(f.isascii() and f.isdecimal() for f in fields):
            raise _malformed(text, setting)
        numbers = [int(f) for f in fields]
        if any(n >= _MOST for n in numbers) or 0 in numbers[2::3]:
            raise _malformed(text, setting)
        triples = zip(numbers[0::3], numbers[1::3], numbers[2::3], strict=True)
        found += [IdMap(container_id=c, host_id=h, size=s) for c, h, s in triples]
    return tuple(found)


def _malformed(text: str, setting: str) -> InvalidValue:
    words = (
        f"initializing ID mappings: {setting} setting is malformed expected "
        f'["uint32:uint32:uint32"]: ["{text}"]'
    )
    message = f"{setting} map {text!r} is no container:host:size, like 0:100000:65536"
    return InvalidValue(message, words=words)


def parse_sub_ids(text: str, owner: str) -> Maps:
    """
    Return the ranges that /etc/subuid or /etc/subgid give `owner`, end to end from container ID 0.

    Args:
        text: The file. Lines that are no `name:start:count` are passed over, as the Go tools do.
    """
    found: list[IdMap] = []
    next_id = 0
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) != 3 or fields[0] != owner or line.startswith("#"):
            continue
        if fields[1].isdecimal() and fields[2].isdecimal() and int(fields[2]):
            size = int(fields[2])
            found.append(IdMap(container_id=next_id, host_id=int(fields[1]), size=size))
            next_id += size
    return tuple(found)


def to_host(maps: Sequence[IdMap], container_id: int) -> int | None:
    """Return the host's ID for a container's, None if the map has none."""
    if not maps:
        return container_id
    for m in maps:
        if m.container_id <= container_id < m.container_id + m.size:
            return m.host_id + container_id - m.container_id
    return None


def to_container(maps: Sequence[IdMap], host_id: int) -> int | None:
    """Return the container's ID for a host's, None if the map has none."""
    if not maps:
        return host_id
    for m in maps:
        if m.host_id <= host_id < m.host_id + m.size:
            return m.container_id + host_id - m.host_id
    return None


def root_of(uidmap: Sequence[IdMap], gidmap: Sequence[IdMap]) -> tuple[int, int]:
    """
    Return the host's user and group that are root in the container.

    Raises:
        InvalidMappings: The maps have no ID 0.
    """
    uid, gid = to_host(uidmap, 0), to_host(gidmap, 0)
    if uid is None or gid is None:
        raise InvalidMappings(
            "the ID maps leave out container ID 0, which owns the root directory",
            words="container ID 0 cannot be mapped to a host ID",
        )
    return uid, gid


def is_contiguous(maps: Sequence[IdMap]) -> bool:
    """Whether the ranges follow each other without a gap on the container's side."""
    return all(a.container_id + a.size == b.container_id for a, b in itertools.pairwise(maps))


def check_disjoint(maps: Sequence[IdMap]) -> None:
    """
    Raise unless no two ranges share a container ID or a host ID.

    Raises:
        InvalidMappings: In the Go tools' words.
    """
    for field in ("container_id", "host_id"):
        ordered = sorted(maps, key=lambda m: int(getattr(m, field)))
        for a, b in itertools.pairwise(ordered):
            if getattr(a, field) + a.size > getattr(b, field):
                text = f"{b.container_id}:{b.host_id}:{b.size}"
                raise InvalidMappings(
                    f"ID map {text} overlaps {a.container_id}:{a.host_id}:{a.size}",
                    words=f"the specified UID and/or GID mapping {text} conflicts with other "
                    f"mappings: {InvalidMappings.base_words}",
                )
