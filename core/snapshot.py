"""
One immutable view of the whole store: every set at one reading, and how the objects relate.

Relations are computed when first asked for and then kept, as nothing here can change.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from holdfs.core.errors import StoreDamaged
from holdfs.core.formats.records import Container, Image, Layer, MountEntry
from holdfs.core.reading import Records

Index = Mapping[str, Sequence[str]]


class Snapshot:
    """
    Args:
        mounts: The mount table, by layer ID.
        mounts_damage: Set if the mount table can't be read; `mounts` is empty then.
    """

    def __init__(
        self,
        layers: Records[Layer],
        images: Records[Image],
        containers: Records[Container],
        mounts: Mapping[str, MountEntry],
        mounts_damage: StoreDamaged | None = None,
    ) -> None:
        self.layers = layers
        self.images = images
        self.containers = containers
        self.mounts = mounts
        self.mounts_damage = mounts_damage

    @cached_property
    def _children(self) -> Index:
        return _index((head.parent, head.id) for head in self.layers.heads())

    @cached_property
    def _images_on(self) -> Index:
        return _index(
            (layer, head.id)
            for head in self.images.heads()
            for layer in dict.fromkeys((head.layer, *head.mapped_layers))
        )

    @cached_property
    def _containers_on(self) -> Index:
        return _index((head.layer, head.id) for head in self.containers.heads())

    @cached_property
    def _containers_of(self) -> Index:
        return _index((head.image, head.id) for head in self.containers.heads())

    def children(self, layer_id: str) -> Sequence[str]:
        """Return the layers whose parent this is."""
        return self._children.get(layer_id, ())

    def images_on(self, layer_id: str) -> Sequence[str]:
        """Return the images whose top layer, or a mapped copy of it, this is."""
        return self._images_on.get(layer_id, ())

    def containers_on(self, layer_id: str) -> Sequence[str]:
        """Return the containers whose own layer this is (one, unless the store is damaged)."""
        return self._containers_on.get(layer_id, ())

    def containers_of(self, image_id: str) -> Sequence[str]:
        """Return the containers made from this image."""
        return self._containers_of.get(image_id, ())

    def chain(self, layer_id: str) -> tuple[str, ...]:
        """Return the layer and its ancestors, base first; it ends early at a missing parent."""
        found: dict[str, None] = {}
        while layer_id in self.layers and layer_id not in found:
            found[layer_id] = None
            layer_id = self.layers.head(layer_id).parent
        return tuple(reversed(found))

    def is_dangling_layer(self, layer_id: str) -> bool:
        """Whether no child, image or container has this layer."""
        return not (
            self.children(layer_id) or self.images_on(layer_id) or self.containers_on(layer_id)
        )

    def is_dangling_image(self, image_id: str) -> bool:
        """Whether the image has neither a name nor a container."""
        return not (self.images.names_of(image_id) or self.containers_of(image_id))

    @cached_property
    def layers_by_digest(self) -> Index:
        """Layers by the digest of their diff, compressed or not."""
        return _index(
            (digest, layer.id)
            for layer in _readable(self.layers)
            for digest in dict.fromkeys((layer.compressed_diff_digest, layer.diff_digest))
        )

    @cached_property
    def images_by_digest(self) -> Index:
        """Images by each of their digests."""
        return _index(
            (digest, image.id) for image in _readable(self.images) for digest in image.digests
        )


def _readable(records: Records[Any]) -> Iterable[Any]:
    """Yield the records that can be decoded."""
    for record_id in records:
        try:
            yield records.get(record_id)
        except StoreDamaged:
            continue  # its own health says so


def _index(pairs: Iterable[tuple[str, str]]) -> Index:
    result: dict[str, list[str]] = {}
    for key, value in pairs:
        if key:
            result.setdefault(key, []).append(value)
    return result


@dataclass(frozen=True, slots=True)
class SetChanges:
    """What became of one kind between two snapshots; full IDs."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    renamed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True)
class Changes:
    """
    What differs between two snapshots.

    `changed` are records whose bytes differ; `renamed` those of them whose names do; `mounts` are
    layers whose mount point or count differs.
    """

    layers: SetChanges
    images: SetChanges
    containers: SetChanges
    mounts: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.layers or self.images or self.containers or self.mounts)


def compare(old: Snapshot, new: Snapshot) -> Changes:
    """Return what became of the store from `old` to `new`."""
    mounts: tuple[str, ...] = ()
    if old.mounts is not new.mounts:
        mounts = tuple(
            layer_id
            for layer_id in dict.fromkeys((*old.mounts, *new.mounts))
            if old.mounts.get(layer_id) != new.mounts.get(layer_id)
        )
    return Changes(
        layers=_compare_set(old.layers, new.layers),
        images=_compare_set(old.images, new.images),
        containers=_compare_set(old.containers, new.containers),
        mounts=mounts,
    )


def _compare_set(old: Records[Any], new: Records[Any]) -> SetChanges:
    if old is new:
        return SetChanges()
    changed = new.changed_since(old)
    return SetChanges(
        added=tuple(i for i in new if i not in old),
        removed=tuple(i for i in old if i not in new),
        changed=changed,
        renamed=tuple(i for i in changed if old.names_of(i) != new.names_of(i)),
    )
