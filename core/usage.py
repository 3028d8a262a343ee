"""
How much layers, images and containers hold, in bytes. Source: spec 10.9, cli 6.5.

    layer       what its files add to the parent: each inode once, directories nothing
    image       its layers and all their ancestors, each once, and the image's data items
    container   its layer, its data items, and what lies in its two directories

`Usages` says besides what of that an object shares with others, and how many inodes it has.
"""

import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

from holdfs.core.errors import BigDataNotKnown, LayerNotKnown, SizeNotKnown, StoreError
from holdfs.core.formats.records import Container, Image
from holdfs.core.layers import removable
from holdfs.core.sets import Kind
from holdfs.core.snapshot import Snapshot
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


def _own(store: Store, layer_id: str, parent_id: str) -> Iterator[os.stat_result]:
    """Yield the status of all that a layer adds to its parent."""
    own = store.driver.diff_path(layer_id)
    if own:
        return (status for _, status in _below(own))
    parent = store.driver.mount_point(parent_id) if parent_id else ""
    return _difference(parent, store.driver.mount_point(layer_id))


def tree_size(top: str) -> int:
    """Return the sizes of all below `top` but directories, each inode once."""
    return _sum(entry for _, entry in _below(top))


def _sum(found: Iterator[os.stat_result]) -> int:
    return sum(s.st_size for s in _inodes(found) if not stat.S_ISDIR(s.st_mode))


def _inodes(found: Iterator[os.stat_result]) -> Iterator[os.stat_result]:
    """Yield each inode once."""
    seen: set[tuple[int, int]] = set()
    for status in found:
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            inode = (status.st_dev, status.st_ino)
            if inode in seen:
                continue
            seen.add(inode)
        yield status


def _difference(parent: str, top: str) -> Iterator[os.stat_result]:
    for path, status in _below(top):
        try:
            before = os.lstat(f"{parent}/{path}") if parent else None
        except (FileNotFoundError, NotADirectoryError):
            before = None
        if before is None or _is_changed(before, status):
            yield status


def _is_changed(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_mode, before.st_uid, before.st_gid, before.st_rdev) != (
        *(after.st_mode, after.st_uid, after.st_gid),
        after.st_rdev,
    ) or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)


def _below(top: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield path, relative to `top`, and status of everything below; follows no link."""
    waiting = [""]
    while waiting:
        directory = waiting.pop()
        try:
            listing = os.scandir(f"{top}/{directory}")
        except FileNotFoundError:
            if not directory:
                raise
            continue  # a container is running in there
        with listing as entries:
            for entry in entries:
                path = f"{directory}/{entry.name}"
                try:
                    yield path, entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)


class Usage(NamedTuple):
    """
    What an object takes, in bytes.

    Attributes:
        total: Itself and all that it stands on.
        exclusive: What of that goes with it when it is deleted.
    """

    total: int
    exclusive: int

    @property
    def shared(self) -> int:
        """What others need too, or what is there without it."""
        return self.total - self.exclusive


class Usages:
    """
    What the objects of a store take. Safe to use from several threads.

    What others stand on is looked at once; a layer that may still be written, each time. Layers
    with a recorded size count with that, as in `image_size`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sizes: dict[str, int] = {}
        self._inodes: dict[str, int] = {}
        self._forgotten = 0

    def forget(self, object_ids: Iterable[str]) -> None:
        """Let go what is known of layers that changed, or who stands on them."""
        self._forgotten += 1
        for object_id in object_ids:
            self._sizes.pop(object_id, None)
            self._inodes.pop(object_id, None)

    def usage(self, snapshot: Snapshot, kind: Kind, object_id: str) -> Usage:
        """
        Return what an object of the snapshot takes.

        Raises:
            LayerNotKnown: A layer that it stands on has no record.
            SizeNotKnown: A data item is neither recorded nor there.
            OSError: A directory can't be read.
        """
        layers, going, rest = self._parts(snapshot, kind, object_id)
        sizes = {layer_id: self._size(snapshot, layer_id) for layer_id in layers}
        own = rest + self._directories(kind, object_id, _sum)
        exclusive = own + sum(size for layer_id, size in sizes.items() if layer_id in going)
        return Usage(own + sum(sizes.values()), exclusive)

    def inodes(self, snapshot: Snapshot, kind: Kind, object_id: str) -> int:
        """Return how many inodes make up the total. Raises as `usage`."""
        layers, _, _ = self._parts(snapshot, kind, object_id)
        own = self._directories(kind, object_id, _count)
        return own + sum(self._count(snapshot, layer_id) for layer_id in layers)

    def _parts(
        self, snapshot: Snapshot, kind: Kind, object_id: str
    ) -> tuple[Collection[str], Collection[str], int]:
        """Return all layers an object stands on, those that go with it, the size of its items."""
        if kind == "layers":
            return _chains(snapshot, (object_id,)), (object_id,), 0
        if kind == "images":
            image = snapshot.images.one(object_id)
            in_use = {head.layer for head in snapshot.containers.heads()}
            for head in snapshot.images.heads():
                if head.id != object_id:
                    in_use.update((head.layer, *head.mapped_layers))
            layers = _chains(snapshot, (image.layer, *image.mapped_layers))
            going = removable(snapshot.layers, image, in_use)
            return layers, going, _items_size(self._store, image, "image")
        container = snapshot.containers.one(object_id)
        layers = _chains(snapshot, (container.layer,))
        return layers, (container.layer,), _items_size(self._store, container, "container")

    def _directories(
        self, kind: Kind, object_id: str, measure: Callable[[Iterator[os.stat_result]], int]
    ) -> int:
        if kind != "containers":
            return 0
        found = 0
        for root in (self._store.graph_root, self._store.run_root):
            name = f"{self._store.driver.name}-containers"
            path = os.path.join(root, name, object_id, "userdata")
            # Not made for being looked at.
            if os.path.isdir(path):
                found += measure(status for _, status in _below(path))
        return found

    def _size(self, snapshot: Snapshot, layer_id: str) -> int:
        layer = snapshot.layers.one(layer_id)
        if layer.diff_digest and layer.diff_size >= 0:
            return layer.diff_size
        return self._once(snapshot, layer_id, self._sizes, _sum)

    def _count(self, snapshot: Snapshot, layer_id: str) -> int:
        return self._once(snapshot, layer_id, self._inodes, _count)

    def _once(
        self,
        snapshot: Snapshot,
        layer_id: str,
        known: dict[str, int],
        measure: Callable[[Iterator[os.stat_result]], int],
    ) -> int:
        found = known.get(layer_id)
        if found is not None:
            return found
        before = self._forgotten
        parent_id = snapshot.layers.head(layer_id).parent
        found = measure(_own(self._store, layer_id, parent_id))
        is_settled = (
            snapshot.children(layer_id)
            or snapshot.images_on(layer_id)
            or snapshot.layers.is_read_only(layer_id)
        )
        if is_settled and before == self._forgotten:
            known[layer_id] = found
        return found


def _count(found: Iterator[os.stat_result]) -> int:
    return sum(1 for _ in _inodes(found))


def _chains(snapshot: Snapshot, layer_ids: Iterable[str]) -> Collection[str]:
    """Return these layers and all their ancestors, each once."""
    found: dict[str, None] = {}
    for layer_id in layer_ids:
        while layer_id and layer_id not in found:
            if layer_id not in snapshot.layers:
                raise LayerNotKnown(layer_id)
            found[layer_id] = None
            layer_id = snapshot.layers.head(layer_id).parent
    return found
