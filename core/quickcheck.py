"""
What can be told to be wrong with one object at once: no content is read, nothing is mounted.

    layer       data items there · parent there · the driver's directory there
    image       layers there · data items there, of the recorded size · no problem of its layers
    container   image and layer there · data items likewise · no problem of these

A problem is a line in the words of the Go tools. `check` says these too, and more.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

from holdfs.core.bigdata import item_path
from holdfs.core.errors import InvalidBigDataName, StoreDamaged
from holdfs.core.formats.records import Container, Image, Layer
from holdfs.core.reading import Records
from holdfs.core.sets import Kind
from holdfs.core.snapshot import Snapshot
from holdfs.core.store import Store


def problems(store: Store, snapshot: Snapshot, kind: Kind, object_id: str) -> list[str]:
    """
    Return what is wrong with an object that is there; each line once.

    Raises:
        StoreDamaged: Its own record can't be decoded.
    """
    match kind:
        case "layers":
            found = _layer_problems(store, snapshot, object_id)
        case "images":
            found = _image_problems(store, snapshot, object_id)
        case "containers":
            found = _container_problems(store, snapshot, object_id)
    return list(dict.fromkeys(found))


def _layer_problems(store: Store, snapshot: Snapshot, layer_id: str) -> Iterator[str]:
    layer = snapshot.layers.one(layer_id)
    yield from missing_items(snapshot.layers, layer)
    yield from missing_parent(snapshot, layer)
    if not store.driver.exists(layer_id):
        yield f"{prefix(snapshot.layers, layer_id)}: the driver has no directory for it"


def _image_problems(store: Store, snapshot: Snapshot, image_id: str) -> Iterator[str]:
    image = snapshot.images.one(image_id)
    yield from missing_layers(snapshot, image)
    yield from wrong_items(snapshot.images, image)
    for layer_id in filter(None, (image.layer, *image.mapped_layers)):
        for below in reversed(snapshot.chain(layer_id)):
            yield from _or_damage(_layer_problems, store, snapshot, below)


def _container_problems(store: Store, snapshot: Snapshot, container_id: str) -> Iterator[str]:
    container = snapshot.containers.one(container_id)
    yield from missing_image(snapshot, container)
    yield from wrong_items(snapshot.containers, container)
    if container.layer not in snapshot.layers:
        yield f"container {container.id}: layer {container.layer}: layer is missing"
    for layer_id in reversed(snapshot.chain(container.layer)):
        yield from _or_damage(_layer_problems, store, snapshot, layer_id)
    if container.image in snapshot.images:
        yield from _or_damage(_image_problems, store, snapshot, container.image)


def _or_damage(
    find: Callable[[Store, Snapshot, str], Iterator[str]],
    store: Store,
    snapshot: Snapshot,
    object_id: str,
) -> Iterator[str]:
    """Yield what `find` does, or what is wrong with the record that it needs."""
    try:
        yield from find(store, snapshot, object_id)
    except StoreDamaged as damage:
        yield str(damage)


def prefix(records: Records[Any], record_id: str) -> str:
    """Return how a problem begins: the object's kind and ID."""
    kind = records.shape.name.lower()
    return f"{'read-only ' if records.is_read_only(record_id) else ''}{kind} {record_id}"


def missing_items(layers: Records[Layer], layer: Layer) -> Iterator[str]:
    """Yield a line for each data item of a layer that is not there."""
    for key, path in _items(layers.data_dir(layer.id), layer):
        if not os.path.isfile(path):
            begin = prefix(layers, layer.id)
            yield f'{begin}: data item "{key}": layer data item is missing'


def missing_parent(snapshot: Snapshot, layer: Layer) -> Iterator[str]:
    """Yield a line if the layer's parent is not there."""
    if layer.parent and layer.parent not in snapshot.layers:
        read_only = "read-only " if snapshot.layers.is_read_only(layer.id) else ""
        yield f"{read_only}layer {layer.parent}: layer is missing"


def missing_layers(snapshot: Snapshot, image: Image) -> Iterator[str]:
    """Yield a line for each top layer of an image that is not there."""
    for layer_id in filter(None, (image.layer, *image.mapped_layers)):
        if layer_id not in snapshot.layers:
            begin = prefix(snapshot.images, image.id)
            yield f"{begin}: layer {layer_id}: image layer is missing"


def missing_image(snapshot: Snapshot, container: Container) -> Iterator[str]:
    """Yield a line if the container's image is not there."""
    if container.image and container.image not in snapshot.images:
        yield f"image {container.image}: image missing"


def wrong_items(records: Records[Any], record: Image | Container) -> Iterator[str]:
    """Yield a line for each data item that is not there, or not of the recorded size."""
    kind = records.shape.name.lower()
    for key, path in _items(records.data_dir(record.id), record):
        item = f'{prefix(records, record.id)}: data item "{key}": {kind} data item'
        try:
            size = os.stat(path).st_size
        except FileNotFoundError:
            yield f"{item} is missing"
            continue
        if size != record.big_data_sizes.get(key, size):
            yield f"{item} has incorrect size"


def _items(directory: str, record: Layer | Image | Container) -> Iterator[tuple[str, str]]:
    """Yield key and path of each data item."""
    for key in record.big_data_names:
        try:
            yield key, item_path(directory, record.id, key)
        except InvalidBigDataName:
            yield key, ""
