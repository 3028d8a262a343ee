"""
Lowers shown with the owners that a container's ID maps give them, for as long as it takes to mount.

    <id>/mapped/<n>    an ID-mapped clone of one home; overlay keeps what it needs of it

The upper is not mapped: what a container writes has the host's IDs on disk.
Source: spec/store-format.md 8.7.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from holdfs.drivers.base import IdMap
from holdfs.drivers.overlay.places import Places
from holdfs.native import mount as sys
from holdfs.native.idmap import mount_mapped, opened_userns


@contextmanager
def mapped_lowers(
    places: Places,
    base: str,
    layer_id: str,
    lowers: tuple[str, ...],
    *,
    uidmap: IdMap,
    gidmap: IdMap,
) -> Iterator[tuple[str, ...]]:
    """
    Give the names of the lowers as they are to be mounted, relative to `base`.

    Args:
        base: The home of the layer that is being mounted.
        lowers: Names relative to it, or absolute.
    """
    mounted: dict[str, str] = {}
    with ExitStack() as stack:
        userns_fd = stack.enter_context(opened_userns(uidmap, gidmap))
        shown = []
        for lower in lowers:
            home, name = places.split(base, lower)
            if home not in mounted:
                point = f"{layer_id}/mapped/{len(mounted)}"
                os.makedirs(f"{base}/{point}", 0o700, exist_ok=True)
                mount_mapped(home, f"{base}/{point}", userns_fd)
                stack.callback(sys.umount, f"{base}/{point}")
                mounted[home] = point
            shown.append(f"{mounted[home]}/{name}")
        yield tuple(shown)
