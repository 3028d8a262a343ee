"""
How much layers, images and containers hold, in bytes. Source: spec 10.9, cli 6.5.

    layer       what its files add to the parent: each inode once, directories nothing
    image       its layers and all their ancestors, each once, and the image's data items
    container   its layer, its data items, and what lies in its two directories
"""

import os
import stat
from collections.abc import Iterator

from holdfs.core.errors import BigDataNotKnown, LayerNotKnown, SizeNotKnown, StoreError
from holdfs.core.formats.records import Container, Image
from holdfs.core.store import Store


def image_size(store: Store, image: Image) -> int:
    """
    Return the size of an image: layers with a recorded size count with that.

    Raises:
        LayerNotKnown: A layer of the chain has no record.
        SizeNotKnown: A data item is neither recorded nor there.
    """
    layers = store.snapshot().layers
    waiting = [layer_id for layer_id in (image.layer, *image.mapped_layers) if layer_id]
    counted: set[str] = set()
    size = 0
    while waiting:
        layer_id = waiting.pop(0)
        if layer_id in counted:
            continue
        counted.add(layer_id)
        layer = layers.get(layer_id)
        if layer is None:
            words = f'locating layer with ID "{layer_id}": {LayerNotKnown.base_words}'
            raise LayerNotKnown(layer_id, words=words)
        size += layer.diff_size if layer.diff_digest else store.diff_size(layer_id)
        if layer.parent:
            waiting.append(layer.parent)
    return size + _items_size(store, image, "image")


def container_size(store: Store, container: Container) -> int:
    """
    Return the size of a container; its two directories are made if they are not there.

    Raises:
        LayerNotKnown: Its layer has no record.
        SizeNotKnown: A data item is neither recorded nor there.
    """
    layer = store.snapshot().layers.get(container.layer)
    if layer is None:
        raise LayerNotKnown(container.layer)
    size = store.diff_size(layer.id) + _items_size(store, container, "container")
    for find in (store.container_dir, store.container_run_dir):
        size += tree_size(find(container.id))
    return size


def _items_size(store: Store, record: Image | Container, kind: str) -> int:
    size = 0
    for key in record.big_data_names:
        try:
            size += item_size(store, record, key)
        except StoreError as error:
            raise SizeNotKnown(
                f"{kind} {record.id} records no size for its data item {key!r}",
                words=f'reading size of big data item "{key}" for {kind} "{record.id}": '
                f"{error.words}",
            ) from error
    return size


def item_size(store: Store, record: Image | Container, key: str) -> int:
    """
    Return the size of a data item: the recorded one, or else that of its file.

    Raises:
        SizeNotKnown: There is neither.
    """
    if key in record.big_data_sizes:
        return record.big_data_sizes[key]
    try:
        kind = "images" if isinstance(record, Image) else "containers"
        return len(store.read_big_data(kind, record.id, key))  # type: ignore[arg-type]
    except (BigDataNotKnown, StoreError, IsADirectoryError) as error:
        raise SizeNotKnown(f"{record.id} has no data item {key!r}") from error


def tree_size(top: str) -> int:
    """Return the sizes of all below `top` but directories, each inode once."""
    return _sum(entry for _, entry in _below(top))


def _sum(found: Iterator[os.stat_result]) -> int:
    size = 0
    seen: set[tuple[int, int]] = set()
    for status in found:
        if stat.S_ISDIR(status.st_mode):
            continue
        if status.st_nlink > 1:
            inode = (status.st_dev, status.st_ino)
            if inode in seen:
                continue
            seen.add(inode)
        size += status.st_size
    return size


def _below(top: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield path, relative to `top`, and status of everything below; follows no link."""
    waiting = [""]
    while waiting:
        directory = waiting.pop()
        with os.scandir(f"{top}/{directory}") as entries:
            for entry in entries:
                path = f"{directory}/{entry.name}"
                yield path, entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
