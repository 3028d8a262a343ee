"""
One immutable view of the whole store: every set at one reading, and how the objects relate.

Relations are computed when first asked for and then kept, as nothing here can change.
"""

from __future__ import annotations

from holdfs.core.column import entries
from holdfs.core.errors import StoreDamaged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, TypeAlias

    from holdfs.core.formats.records import Container, Image, Layer
    from holdfs.core.mounts import Mounts
    from holdfs.core.reading import Records

    Index: TypeAlias = Mapping[str, Sequence[str]]


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
        mounts: Mounts,
        mounts_damage: StoreDamaged | None = None,
    ) -> None:
        self.layers = layers
        self.images = images
        self.containers = containers
        self.mounts = mounts
        self.mounts_damage = mounts_damage
        self._indexes: dict[str, Index] = {}

    def _once(self, name: str, make: Callable[[], Iterable[tuple[str, str]]]) -> Index:
        """Return the index of this name, made when it is first asked for."""
        index = self._indexes.get(name)
        if index is None:
            index = self._indexes[name] = _index(make())
        return index

    def _images_by_layer(self) -> Iterable[tuple[str, str]]:
        mapped = self.images.column("mapped-layers")
        for (image_id, layer), (_, others) in zip(self.images.column("layer"), mapped, strict=True):
            yield str(layer), image_id
            if others:
                yield from ((o, image_id) for o in dict.fromkeys(entries(others)) if o != layer)

    def children(self, layer_id: str) -> Sequence[str]:
        """Return the layers whose parent this is."""
        return self._once("children", lambda: _turned(self.layers, "parent")).get(layer_id, ())

    def images_on(self, layer_id: str) -> Sequence[str]:
        """Return the images whose top layer, or a mapped copy of it, this is."""
        return self._once("images on", self._images_by_layer).get(layer_id, ())

    def containers_on(self, layer_id: str) -> Sequence[str]:
        """Return the containers whose own layer this is (one, unless the store is damaged)."""
        return self._once("containers on", lambda: _turned(self.containers, "layer")).get(
            layer_id, ()
        )

    def containers_of(self, image_id: str) -> Sequence[str]:
        """Return the containers made from this image."""
        return self._once("containers of", lambda: _turned(self.containers, "image")).get(
            image_id, ()
        )

    def chain(self, layer_id: str) -> tuple[str, ...]:
        """Return the layer and its ancestors, base first; it ends early at a missing parent."""
        found: dict[str, None] = {}
        while layer_id in self.layers and layer_id not in found:
            found[layer_id] = None
            layer_id = str(self.layers.cell(layer_id, "parent"))
        return tuple(reversed(found))

    def is_settled(self, layer_id: str) -> bool:
        """Whether the layer's content can't change: something is built on it, or it is foreign."""
        return bool(
            self.children(layer_id)
            or self.images_on(layer_id)
            or self.layers.is_read_only(layer_id)
        )

    def is_dangling_layer(self, layer_id: str) -> bool:
        """Whether no child, image or container has this layer."""
        return not (
            self.children(layer_id) or self.images_on(layer_id) or self.containers_on(layer_id)
        )

    def is_dangling_image(self, image_id: str) -> bool:
        """Whether the image has neither a name nor a container."""
        return not (self.images.names_of(image_id) or self.containers_of(image_id))

    @property
    def layers_by_digest(self) -> Index:
        """Layers by the digest of their diff, compressed or not."""
        return self._once(
            "layers by digest",
            lambda: (
                (digest, layer.id)
                for layer in _readable(self.layers)
                for digest in dict.fromkeys((layer.compressed_diff_digest, layer.diff_digest))
            ),
        )

    @property
    def images_by_digest(self) -> Index:
        """Images by each of their digests."""
        return self._once(
            "images by digest",
            lambda: (
                (digest, image.id) for image in _readable(self.images) for digest in image.digests
            ),
        )


def _readable(records: Records[Any]) -> Iterable[Any]:
    """Yield the records that can be decoded."""
    for record_id in records:
        try:
            yield records.get(record_id)
        except StoreDamaged:
            continue  # its own health says so


def _turned(records: Records[Any], key: str) -> Iterable[tuple[str, str]]:
    """Yield what each record has of a column, and its ID."""
    return ((str(cell), record_id) for record_id, cell in records.column(key))


def _index(pairs: Iterable[tuple[str, str]]) -> Index:
    result: dict[str, list[str]] = {}
    for key, value in pairs:
        if key:
            result.setdefault(key, []).append(value)
    return result
