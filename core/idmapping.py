"""
Which ID maps a new layer or container gets.

    asked for host IDs → none    given → those    else the parent's
    a base layer, nothing asked  → those of the configuration, else none

UIDs and GIDs are decided apart. On a driver that shifts owners at mount (overlay on a kernel that
can), layers carry no maps: only the container's record does. Source: spec 10.2, 10.4; cli 6.9.
"""

from __future__ import annotations

from holdfs.core.config import StoreOptions
from holdfs.core.errors import InvalidValue
from holdfs.core.formats import idmap
from holdfs.core.formats.idmap import Maps
from holdfs.core.formats.records import Container, Layer
from holdfs.drivers.base import Driver
from holdfs.drivers.base import IdMap as DriverMap
from holdfs.native.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


class MapRequest(Value):
    """
    What a caller asks for.

    Attributes:
        host_uid, host_gid: The host's own IDs, whatever the parent has.
        uidmap, gidmap: These, checked for overlaps; each by itself.
    """

    host_uid: bool = False
    host_gid: bool = False
    uidmap: Maps = ()
    gidmap: Maps = ()

    def __init__(
        self,
        *,
        host_uid: bool = False,
        host_gid: bool = False,
        uidmap: Maps = (),
        gidmap: Maps = (),
    ) -> None:
        idmap.check_disjoint(uidmap)
        idmap.check_disjoint(gidmap)
        super().__init__(host_uid=host_uid, host_gid=host_gid, uidmap=uidmap, gidmap=gidmap)


#: Nothing asked for: a layer takes what its parent has.
INHERITED: Final = MapRequest()


class MapPair(Value):
    """The two maps of one object."""

    uidmap: Maps = ()
    gidmap: Maps = ()

    @property
    def for_driver(self) -> tuple[DriverMap, DriverMap]:
        """The maps as the drivers take them."""
        return _plain(self.uidmap), _plain(self.gidmap)


def _plain(maps: Maps) -> DriverMap:
    return tuple((m.container_id, m.host_id, m.size) for m in maps)


NO_MAPS: Final = MapPair()


def maps_of(record: Layer | Container | None) -> MapPair:
    """Return the maps that a record holds; none for no record."""
    return NO_MAPS if record is None else MapPair(record.uidmap, record.gidmap)


def wanted(request: MapRequest, parent: Layer | None, usual: MapPair = NO_MAPS) -> MapPair:
    """
    Return the maps that a new layer on `parent` has in the end.

    Args:
        usual: What a base layer has for which nothing is asked.
    """
    inherited = usual if parent is None else maps_of(parent)
    uidmap = () if request.host_uid else request.uidmap or inherited.uidmap
    gidmap = () if request.host_gid else request.gidmap or inherited.gidmap
    return MapPair(uidmap, gidmap)


def configured(options: StoreOptions) -> MapPair:
    """
    Return the maps that the configuration gives to base layers.

    Raises:
        InvalidValue: They are no maps; the user or group has no sub-IDs.
    """
    return MapPair(*(_configured(options, i) for i in (0, 1)))


def _configured(options: StoreOptions, which: int) -> Maps:
    text, owner = options.remap_maps[which], options.remap_owners[which]
    if text:
        return idmap.parse_maps([text], ("remap-uids", "remap-gids")[which])
    return sub_ids(owner, *(("subuid", "user"), ("subgid", "group"))[which]) if owner else ()


def sub_ids(owner: str, name: str, kind: str) -> Maps:
    """
    Return the ranges that /etc/NAME gives to an owner, put end to end.

    Args:
        name: subuid or subgid.
        kind: What the owner is, user or group, for the message.

    Raises:
        InvalidValue: There are none.
    """
    path = f"/etc/{name}"
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            found = idmap.parse_sub_ids(file.read(), owner)
    except FileNotFoundError:
        found = ()
    if not found:
        raise InvalidValue(
            f"{path} has no line {owner}:START:COUNT",
            words=f'no {name} ranges found for {kind} "{owner}" in {path}',
        )
    return found


def stored(maps: MapPair, driver: Driver) -> MapPair:
    """Return the maps that the layer's files are stored with: none if the driver shifts these."""
    if (maps.uidmap or maps.gidmap) and driver.supports_shifting(*maps.for_driver):
        return NO_MAPS
    return maps


def fits(candidate: Layer, request: MapRequest, *, shifts: bool) -> bool:
    """
    Whether a container with these wishes can stand on this (mapped) top layer as it is.

    Source: containers/storage, store.go imageTopLayerForMapping.
    """
    if shifts and not (candidate.uidmap or candidate.gidmap):
        return True
    if (request.host_uid and candidate.uidmap) or (request.host_gid and candidate.gidmap):
        return False
    return request.uidmap == candidate.uidmap and request.gidmap == candidate.gidmap
