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
    from holdfs.core.formats.records import IdMap, Layer
    from holdfs.core.reading import Records
    from holdfs.core.sets import Kind
    from holdfs.core.snapshot import Snapshot
    from holdfs.core.store import Store


def layer(store: Store, given: Given, arguments: list[str]) -> int:
    """Show layers: ID maps, parent and names, or the records."""
    # Only these: images.json takes longer to read than all the rest.
    layers = store.layers.current()
    return _examine(store, given, arguments, "layers", layers, lambda i: _layer_lines(layers, i))


def image(store: Store, given: Given, arguments: list[str]) -> int:
    """Show images: names, layers, digests, data items and size, or the records."""
    from holdfs.core.cli import imagelines

    snapshot = store.snapshot()

    def lines(image_id: str) -> Iterable[str]:
        quick = imagelines.lines(snapshot, image_id)
        return _image_lines(store, snapshot, image_id) if quick is None else quick

    return _examine(store, given, arguments, "images", snapshot.images, lines)


def container(store: Store, given: Given, arguments: list[str]) -> int:
    """Show containers: names, image, layer, data items and size, or the records."""
    snapshot = store.snapshot()

    def lines(container_id: str) -> Iterator[str]:
        return _container_lines(store, snapshot, container_id)

    return _examine(store, given, arguments, "containers", snapshot.containers, lines)


def _examine(
    store: Store,
    given: Given,
    arguments: list[str],
    kind: Kind,
    records: Records[Any],
    lines: Callable[[str], Iterable[str]],
) -> int:
    from holdfs.core.errors import NotKnown

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
            output.out("".join(f"{line}\n" for line in lines(record_id)))
    return 0 if len(found) == len(arguments) else 1


def _layer_lines(layers: Records[Layer], layer_id: str) -> Iterator[str]:
    head = layers.head(layer_id)
    yield f"ID: {head.id}"
    cells = layers.cells(layer_id, "uidmap", "gidmap")
    # ID maps are rare.
    if cells is None or any(cells):
        record = layers.one(layer_id)
        yield from (f"UID mapping: {_shown(one)}" for one in record.uidmap)
        yield from (f"GID mapping: {_shown(one)}" for one in record.gidmap)
    if head.parent:
        yield f"Parent: {head.parent}"
    yield from (f"Name: {name}" for name in head.names)
    if layers.is_read_only(layer_id):
        yield "Read Only: true"


def _shown(one: IdMap) -> str:
    return f"(container={one.container_id}, host={one.host_id}, size={one.size})"


def _image_lines(store: Store, snapshot: Snapshot, image_id: str) -> Iterator[str]:
    from holdfs.core import usage

    image = snapshot.images.one(image_id)
    yield f"ID: {image.id}"
    yield from (f"Name: {name}" for name in image.names)
    yield f"Top Layer: {image.layer}"
    yield from (f"Top Layer: {layer_id}" for layer_id in image.mapped_layers)
    yield from (f"Digest: {digest}" for digest in image.digests)
    yield from (f"Data: {key}" for key in image.big_data_names)
    yield _size(lambda: usage.image_size(store, image))
    if snapshot.images.is_read_only(image.id):
        yield "Read Only: true"


def _container_lines(store: Store, snapshot: Snapshot, container_id: str) -> Iterator[str]:
    from holdfs.core import usage

    container = snapshot.containers.one(container_id)
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
