"""
Which ID maps a new layer or container gets.

    asked for host IDs → none    given → those    else the parent's    else none

UIDs and GIDs are decided apart. On a driver that shifts owners at mount (overlay on a kernel that
can), layers carry no maps: only the container's record does. Source: spec 10.2, 10.4; cli 6.9.
"""

from dataclasses import dataclass, field
from typing import Final

from holdfs.core.formats import idmap
from holdfs.core.formats.idmap import Maps
from holdfs.core.formats.records import Container, Layer
from holdfs.drivers.base import Driver
from holdfs.drivers.base import IdMap as DriverMap


@dataclass(frozen=True, slots=True, kw_only=True)
class MapRequest:
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

    def __post_init__(self) -> None:
        idmap.check_disjoint(self.uidmap)
        idmap.check_disjoint(self.gidmap)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked for."""
        return not (self.host_uid or self.host_gid or self.uidmap or self.gidmap)


#: Nothing asked for: a layer takes what its parent has.
INHERITED: Final = MapRequest()


@dataclass(frozen=True, slots=True)
class MapPair:
    """The two maps of one object."""

    uidmap: Maps = ()
    gidmap: Maps = ()
    #: As the drivers take them.
    for_driver: tuple[DriverMap, DriverMap] = field(init=False)

    def __post_init__(self) -> None:
        pair = (_plain(self.uidmap), _plain(self.gidmap))
        object.__setattr__(self, "for_driver", pair)


def _plain(maps: Maps) -> DriverMap:
    return tuple((m.container_id, m.host_id, m.size) for m in maps)


NO_MAPS: Final = MapPair()


def maps_of(record: Layer | Container | None) -> MapPair:
    """Return the maps that a record holds; none for no record."""
    return NO_MAPS if record is None else MapPair(record.uidmap, record.gidmap)


def wanted(request: MapRequest, parent: Layer | None) -> MapPair:
    """Return the maps that a new layer on `parent` has in the end."""
    inherited = maps_of(parent)
    uidmap = () if request.host_uid else request.uidmap or inherited.uidmap
    gidmap = () if request.host_gid else request.gidmap or inherited.gidmap
    return MapPair(uidmap, gidmap)


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
