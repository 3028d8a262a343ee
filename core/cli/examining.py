"""
`layer`, `image`, `container`: what one object is, for each argument that names one.

    ID: 471822ef75eb…
    Parent: d9a6f23233a3…
    Name: base

What is not known is passed over, and makes the status 1.
"""

from __future__ import annotations

from holdfs.core.cli import failure, output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from holdfs.core.cli.options import Given
    from holdfs.core.formats.records import Container, IdMap, Image, Layer
    from holdfs.core.sets import Kind
    from holdfs.core.snapshot import Snapshot
    from holdfs.core.store import Store


def layer(store: Store, given: Given, arguments: list[str]) -> int:
    """Show layers: ID maps, parent and names, or the records."""
    return _examine(store, given, arguments, "layers", _layer_lines)


def image(store: Store, given: Given, arguments: list[str]) -> int:
    """Show images: names, layers, digests, data items and size, or the records."""
    return _examine(store, given, arguments, "images", _image_lines)


def container(store: Store, given: Given, arguments: list[str]) -> int:
    """Show containers: names, image, layer, data items and size, or the records."""
    return _examine(store, given, arguments, "containers", _container_lines)


def _examine(
    store: Store,
    given: Given,
    arguments: list[str],
    kind: Kind,
    lines: Callable[[Store, Snapshot, Any], Iterator[str]],
) -> int:
    from holdfs.core.errors import NotKnown

    snapshot = store.snapshot()
    records = getattr(snapshot, kind)
    found = []
    for ref in arguments:
        try:
            found.append(store.full_id(kind, records, ref))
        except NotKnown:
            continue
    if given.flag("json"):
        from holdfs.core.formats.records import to_json

        output.records([to_json(records.one(record_id)) for record_id in found], if_none=b"[]")
    else:
        for record_id in found:
            shown = _quick_lines(kind, snapshot, record_id)
            if shown is None:
                shown = lines(store, snapshot, records.one(record_id))
            output.out("".join(f"{line}\n" for line in shown))
    return 0 if len(found) == len(arguments) else 1


def _quick_lines(kind: Kind, snapshot: Snapshot, record_id: str) -> Iterable[str] | None:
    """Return what is shown of a layer or image, None if that takes the whole records."""
    if kind == "layers":
        cells = snapshot.layers.cells(record_id, "uidmap", "gidmap")
        # ID maps are rare.
        return None if cells is None or any(cells) else _plain_layer_lines(snapshot, record_id)
    if kind == "images":
        from holdfs.core.cli import imagelines

        return imagelines.lines(snapshot, record_id)
    return None


def _plain_layer_lines(snapshot: Snapshot, layer_id: str) -> Iterator[str]:
    layer = snapshot.layers.head(layer_id)
    yield f"ID: {layer.id}"
    if layer.parent:
        yield f"Parent: {layer.parent}"
    yield from (f"Name: {name}" for name in layer.names)
    if snapshot.layers.is_read_only(layer.id):
        yield "Read Only: true"


def _layer_lines(store: Store, snapshot: Snapshot, layer: Layer) -> Iterator[str]:
    first, *rest = _plain_layer_lines(snapshot, layer.id)
    yield first
    yield from (f"UID mapping: {_shown(one)}" for one in layer.uidmap)
    yield from (f"GID mapping: {_shown(one)}" for one in layer.gidmap)
    yield from rest


def _shown(one: IdMap) -> str:
    return f"(container={one.container_id}, host={one.host_id}, size={one.size})"


def _image_lines(store: Store, snapshot: Snapshot, image: Image) -> Iterator[str]:
    from holdfs.core import usage

    yield f"ID: {image.id}"
    yield from (f"Name: {name}" for name in image.names)
    yield f"Top Layer: {image.layer}"
    yield from (f"Top Layer: {layer_id}" for layer_id in image.mapped_layers)
    yield from (f"Digest: {digest}" for digest in image.digests)
    yield from (f"Data: {key}" for key in image.big_data_names)
    yield _size(lambda: usage.image_size(store, image))
    if snapshot.images.is_read_only(image.id):
        yield "Read Only: true"


def _container_lines(store: Store, snapshot: Snapshot, container: Container) -> Iterator[str]:
    from holdfs.core import usage

    yield f"ID: {container.id}"
    yield from (f"Name: {name}" for name in container.names)
    yield f"Image: {container.image}"
    if container.image in snapshot.images:
        names = snapshot.images.names_of(container.image)
        yield from (f"Image name: {name}" for name in names)
    yield _size(lambda: usage.container_size(store, container))
    yield f"Layer: {container.layer}"
    yield from (f"Data: {key}" for key in container.big_data_names)


def _size(find: Callable[[], int]) -> str:
    try:
        return f"Size: {find()}"
    except Exception as error:
        return f"Size unknown: {failure.expected_words(error)}"
