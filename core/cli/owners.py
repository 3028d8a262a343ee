"""
`layer-parent-owners`, `container-parent-owners`: who owns the directories above a mount point.

    ID: 471822ef75eb…
    UIDs: [0 1000]          of those, the IDs that the layer's maps do not cover
    GIDs: [0]
"""

from __future__ import annotations

import os

from holdfs.core.cli import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from holdfs.core.cli.options import Given
    from holdfs.core.formats.records import IdMap
    from holdfs.core.sets import Kind
    from holdfs.core.store import Store


def parent_owners_of_layer(store: Store, given: Given, arguments: list[str]) -> int:
    """Print them for layers; an empty list is left out."""
    return _all(store, given, arguments, "layers")


def parent_owners_of_container(store: Store, given: Given, arguments: list[str]) -> int:
    """Print them for containers' layers."""
    return _all(store, given, arguments, "containers")


def _all(store: Store, given: Given, arguments: list[str], kind: Kind) -> int:
    from holdfs.core.errors import NotKnown

    snapshot = store.snapshot()
    records = getattr(snapshot, kind)
    found = 0
    for ref in arguments:
        try:
            record_id = store.full_id(kind, records, ref)
        except NotKnown:
            continue
        found += 1
        layer_id = record_id if kind == "layers" else records.head(record_id).layer
        uids, gids = _unmapped(store, layer_id)
        if given.flag("json"):
            lists = [output.json_text([*ids]) if ids else "null" for ids in (uids, gids)]
            shown_id = output.json_text(record_id)
            output.out(f'{{"ID":{shown_id},"UIDs":{lists[0]},"GIDs":{lists[1]}}}\n')
            continue
        output.out(f"ID: {record_id}\n")
        for label, ids in (("UIDs", uids), ("GIDs", gids)):
            if ids or kind == "containers":
                output.out(f"{label}: [{' '.join(map(str, ids))}]\n")
    return 0 if found == len(arguments) else 1


def _unmapped(store: Store, layer_id: str) -> tuple[list[int], list[int]]:
    from holdfs.core.errors import LayerNotKnown, LayerNotMounted

    snapshot = store.snapshot()
    layer = snapshot.layers.get(layer_id)
    if layer is None:
        raise LayerNotKnown(layer_id)
    if not layer.uidmap and not layer.gidmap:
        return [], []
    mounted = snapshot.mounts.get(layer_id)
    if mounted is None:
        raise LayerNotMounted(f"layer {layer_id} is not mounted; mount it first")
    above = list(_above(mounted.path))
    return (
        _outside(layer.uidmap, (status.st_uid for status in above)),
        _outside(layer.gidmap, (status.st_gid for status in above)),
    )


def _above(path: str) -> Iterable[os.stat_result]:
    """Yield the status of each directory above `path` but the root, and that of a link in it."""
    while (path := os.path.dirname(path)) not in ("", "/"):
        yield os.stat(path)
        yield os.lstat(path)


def _outside(maps: Sequence[IdMap], ids: Iterable[int]) -> list[int]:
    return sorted(
        {i for i in ids if not any(m.host_id <= i < m.host_id + m.size for m in maps)}
        if maps
        else ()
    )
