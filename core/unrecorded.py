"""
Layers that the driver has and the store has no record of: made on purpose, or left by a crash.

    G/overlay/<id>/     a layer of the driver        layers.json     no word of it
"""

import os

from holdfs.core import idmapping, naming
from holdfs.core.errors import DuplicateId, LayerNotKnown, NotKnown
from holdfs.core.formats.records import Layer
from holdfs.core.idmapping import INHERITED, MapRequest
from holdfs.core.ids import new_id
from holdfs.core.reading import Records
from holdfs.core.store import Store


def create(
    store: Store,
    layer_id: str,
    *,
    parent: str = "",
    label: str = "",
    maps: MapRequest = INHERITED,
    read_only: bool = False,
) -> str:
    """
    Make a layer of the driver alone, and return its ID.

    Args:
        layer_id: "" for a generated one.
        parent: What names a layer, or the ID of one that has no record either; "" for none.

    Raises:
        LayerNotKnown: Neither the store nor the driver has the parent.
        DuplicateId: There is such a layer, recorded or not.
    """
    with store.layers.edit() as edit:
        parent_id = _parent(store, edit.records, parent)
        naming.check_free(edit.records, "layer", layer_id, ())
        if layer_id and store.driver.exists(layer_id):
            raise DuplicateId(f"the {store.driver.name} driver has a layer {layer_id} already")
        layer_id = layer_id or new_id(edit.records)
        pair = idmapping.wanted(maps, edit.records.get(parent_id))
        uidmap, gidmap = pair.for_driver
        store.driver.create(
            layer_id, parent_id, label=label, uidmap=uidmap, gidmap=gidmap, read_only=read_only
        )
    return layer_id


def _parent(store: Store, layers: Records[Layer], ref: str) -> str:
    if not ref:
        return ""
    try:
        return store.full_id("layers", layers, ref)
    except NotKnown:
        if os.path.basename(ref) != ref or not store.driver.exists(ref):
            raise LayerNotKnown(ref) from None
        return ref


def found(store: Store, layers: Records[Layer]) -> list[str]:
    """Return the IDs of the driver's layers that `layers` lacks."""
    return [layer_id for layer_id in store.driver.list_layers() if layer_id not in layers]
