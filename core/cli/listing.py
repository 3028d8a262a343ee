"""
`layers`, `images`, `containers` …: what is in the store.

    ID
    TABname: NAME
    TABimage: IMAGEID           of layers: what uses them, and
    TABTABname: NAME            its names
"""

from __future__ import annotations

from holdfs.core.cli import output
from holdfs.core.cli.imagelines import digests_of
from holdfs.core.column import entries
from holdfs.core.formats.shapes import SEPARATOR
from holdfs.native import scan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from holdfs.core.cli.options import Given
    from holdfs.core.column import Cell
    from holdfs.core.errors import StoreError
    from holdfs.core.formats.generic import R
    from holdfs.core.formats.records import Image
    from holdfs.core.reading import Records
    from holdfs.core.snapshot import Snapshot
    from holdfs.core.store import Store

_USER_NAME = "\n\t\tname: "
#: The keys of an image that are shown.
_SHOWN = ("id", "names", "digest", "big-data-names", "big-data-digests")


def layers(store: Store, given: Given, arguments: list[str]) -> int:
    """List layers: IDs, names and users, or a tree of them, or their records."""
    if given.flag("json") or given.flag("quick"):
        records = store.layers.current()
        if given.flag("json"):
            return _records(records, list(records), if_none=b"null")
        return _lines(iter(records), records)
    if not given.flag("tree") and (text := _quick_layers(store)) is not None:
        output.out_bytes(text)
        return 0
    snapshot = store.snapshot()
    lines = _layer_tree(snapshot) if given.flag("tree") else _layer_lines(snapshot)
    return _lines(lines, snapshot.layers, snapshot.images, snapshot.containers)


def _quick_layers(store: Store) -> memoryview | None:
    """Return all lines of `layers` at once; None where it takes a look at each."""
    layers = store.layers.only(("id", "names"))
    images = store.images.only(("id", "layer", "names", "mapped-layers"))
    containers = store.containers.only(("id", "layer", "names"))
    if layers is None or images is None or containers is None:
        return None
    return scan.layer_lines(layers, images, containers)


def storage_layers(store: Store, given: Given, arguments: list[str]) -> int:
    """List the layers that the driver has, whether the store has a record of them or not."""
    found = store.driver.list_layers()
    if given.flag("json"):
        output.json(list(found))
    else:
        output.out("".join(f"{layer_id}\n" for layer_id in found))
    return 0


def images(store: Store, given: Given, arguments: list[str]) -> int:
    """List images: IDs, names, digests and data items, or their records."""
    if not (given.flag("json") or given.flag("quiet")):
        found = store.images.only(_SHOWN)
        text = scan.image_lines(*found) if found is not None else None
        if text is not None:
            output.out_bytes(text)
            return 0
    records = store.images.current()
    return _images(records, list(records), given, if_none=b"null")


def images_by_digest(store: Store, given: Given, arguments: list[str]) -> int:
    """List the images that have the digest, as `images` does."""
    from holdfs.core.formats.digests import check_digest

    snapshot = store.snapshot()
    found = snapshot.images_by_digest.get(check_digest(arguments[0]), ())
    return _images(snapshot.images, found, given, if_none=b"[]")


def _images(
    records: Records[Image], image_ids: Sequence[str], given: Given, *, if_none: bytes
) -> int:
    if given.flag("json"):
        return _records(records, image_ids, if_none=if_none)
    if given.flag("quiet"):
        return _lines(iter(image_ids), records)

    cells = records.columns(*_SHOWN[1:])
    if cells is not None:
        wanted = frozenset(image_ids)
        return _lines(
            (line for i, found in cells if i in wanted for line in _image_lines(i, *found)), records
        )

    def lines() -> Iterator[str]:
        for image_id in image_ids:
            yield image_id
            if image := records.get(image_id):
                yield from (f"\tname: {name}" for name in image.names)
                yield from (f"\tdigest: {digest}" for digest in image.digests)
                yield from (f"\tdata: {key}" for key in image.big_data_names)

    return _lines(lines(), records)


def _image_lines(image_id: str, names: Cell, digest: Cell, keys: Cell, digests: Cell) -> list[str]:
    lines = [image_id, *[f"\tname: {name}" for name in entries(names)]]
    items = entries(keys)
    lines += [f"\tdigest: {found}" for found in digests_of(digest, items, digests)]
    return [*lines, *[f"\tdata: {key}" for key in items]]


def containers(store: Store, given: Given, arguments: list[str]) -> int:
    """List containers: IDs, names and data items, or their records."""
    records = store.containers.current()
    if given.flag("json"):
        return _records(records, list(records), if_none=b"[]")
    cells = records.columns("names", "big-data-names")

    def lines() -> Iterator[str]:
        if cells is not None:
            for container_id, (names, keys) in cells:
                yield container_id
                yield from (f"\tname: {name}" for name in entries(names))
                yield from (f"\tdata: {key}" for key in entries(keys))
            return
        for container_id in records:
            yield container_id
            if container := records.get(container_id):
                yield from (f"\tname: {name}" for name in container.names)
                yield from (f"\tdata: {key}" for key in container.big_data_names)

    return _lines(lines(), records)


def _layer_lines(snapshot: Snapshot) -> Iterator[str]:
    images = _image_users(snapshot)
    # Of several containers the last is shown.
    containers = dict(_users(snapshot.containers, "container"))
    for layer_id, names in snapshot.layers.column("names"):
        users = images.get(layer_id, "") + containers.get(layer_id, "")
        yield layer_id + _each("\n\tname: ", names) + users


def _image_users(snapshot: Snapshot) -> dict[Cell, str]:
    images = snapshot.images
    if any(images.cells_of("mapped-layers")):
        # Then the order is that of the images, on whichever of their layers.
        texts = dict(zip(images.ids, (text for _, text in _users(images, "image")), strict=True))
        return {
            layer_id: "".join(texts[image_id] for image_id in snapshot.images_on(layer_id))
            for layer_id in snapshot.layers
        }
    users: dict[Cell, str] = {}
    for layer_id, text in _users(images, "image"):
        users[layer_id] = users.get(layer_id, "") + text
    return users


def _users(records: Records[Any], kind: str) -> Iterator[tuple[Cell, str]]:
    """Yield the layer of each image or container, and what is shown of it below that."""
    cells = zip(records.ids, records.cells_of("layer"), records.cells_of("names"), strict=True)
    return (
        (layer_id, f"\n\t{kind}: {record_id}{_each(_USER_NAME, names)}")
        for record_id, layer_id, names in cells
    )


def _each(lead: str, cell: Cell) -> str:
    """Return each entry of a list behind this lead."""
    if isinstance(cell, str):
        # Each has a separator behind it; replacing those is quicker than taking the list apart.
        return lead + cell[:-1].replace(SEPARATOR, lead) if cell else ""
    return "".join(lead + entry for entry in cell)


def _layer_tree(snapshot: Snapshot) -> Iterator[str]:
    from holdfs.core.cli import tree

    layers, mounts = snapshot.layers, snapshot.mounts
    images = _noted(snapshot.images, "image")
    containers = _noted(snapshot.containers, "container")
    notes = {
        layer_id: [
            *[f"name: {name}" for name in entries(names)],
            *([f"mount: {mounts[layer_id].path}"] if layer_id in mounts else ()),
            *[note for image_id in snapshot.images_on(layer_id) for note in images[image_id]],
            # Of several containers the last is shown.
            *[note for i in snapshot.containers_on(layer_id)[-1:] for note in containers[i]],
        ]
        for layer_id, names in layers.column("names")
    }
    return tree.lines({i: str(parent) for i, parent in layers.column("parent")}, notes)


def _noted(records: Records[Any], kind: str) -> dict[str, list[str]]:
    """Return what is told below its layer of each image or container."""
    return {
        record_id: [f"{kind}: {record_id}", *[f"{kind} name: {name}" for name in entries(names)]]
        for record_id, names in records.column("names")
    }


def _records(records: Records[R], ids: Sequence[str], *, if_none: bytes) -> int:
    from holdfs.core.formats.records import to_json

    damage = _damage(records)
    if damage is not None:
        raise damage
    found = (records.get(record_id) for record_id in ids)
    output.records((to_json(record) for record in found if record), if_none=if_none)
    return 0


def _lines(lines: Iterator[str], *sources: Records[Any]) -> int:
    """Print what can be read; what can't is an error that comes last."""
    output.out("".join(f"{line}\n" for line in lines))
    damages = [damage for damage in map(_damage, sources) if damage]
    for damage in damages:
        output.err(f"{damage.words}\n")
    return 1 if damages else 0


def _damage(records: Records[Any]) -> StoreError | None:
    if records.damage is not None:
        return records.damage
    return next((damage for part in records.parts for damage in part.broken.values()), None)
