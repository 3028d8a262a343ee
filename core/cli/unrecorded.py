"""`create-storage-layer`: a layer of the driver that the store has no record of."""

from __future__ import annotations

from holdfs.core import unrecorded
from holdfs.core.cli import idmaps, output
from holdfs.core.idmapping import INHERITED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfs.core.cli.options import Given
    from holdfs.core.store import Store


def create_storage_layer(store: Store, given: Given, arguments: list[str]) -> int:
    """Make a layer's directory alone, on the argument if there is one."""
    layer_id = unrecorded.create(
        store,
        given.text("id"),
        parent=arguments[0] if arguments else "",
        label=given.text("label"),
        maps=idmaps.asked(given) or INHERITED,
        read_only=given.flag("readonly"),
    )
    if given.flag("json"):
        output.json(layer_id)
    else:
        output.out(f"{layer_id}\n")
    return 0
