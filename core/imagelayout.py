"""An image of the store as an OCI image layout: its own config, its layers as plain tars."""

from collections.abc import Sequence

import msgspec

from holdfs.core import oci
from holdfs.core.errors import InvalidValue, StoreDamaged, StoreError
from holdfs.core.formats.records import Image, Layer
from holdfs.core.formats.typed import UNDECODABLE
from holdfs.core.store import Store


def image_layout(store: Store, image_id: str) -> oci.ImageLayout:
    """
    Return the layout of an image that is there.

    Layers that were never given a digest are given one first: they are read once, whole.

    Raises:
        StoreDamaged: One of its layers is missing.
        InvalidValue: Its config tells of other layers than it has; or one has no digest, and
            belongs to a read-only store.
    """
    chain = _chain(store, image_id)
    if not all(layer.diff_digest for layer in chain):
        store.seal_chain(chain[-1].id)
        chain = _chain(store, image_id)
    for layer in chain:
        if not layer.diff_digest:
            raise InvalidValue(f"layer {layer.id}, of a read-only store, has no digest")
    image = store.images.current().one(image_id)
    return oci.layout(_config(store, image, chain), chain, image.names)


def _chain(store: Store, image_id: str) -> list[Layer]:
    snapshot = store.snapshot()
    image = snapshot.images.one(image_id)
    chain = [snapshot.layers.one(i) for i in snapshot.chain(image.layer)]
    if image.layer and (not chain or chain[0].parent):
        missing = chain[0].parent if chain else image.layer
        raise StoreDamaged(f"image {image_id}", f"layer {missing} is missing")
    return chain


def _config(store: Store, image: Image, chain: Sequence[Layer]) -> bytes:
    """Return the image's config; one of ours if it has none."""
    try:
        named = msgspec.json.decode(store.read_big_data("images", image.id, oci.MANIFEST))
        config = store.read_big_data("images", image.id, named["config"]["digest"])
        diff_digests = list(msgspec.json.decode(config)["rootfs"]["diff_ids"] or ())
    except (StoreError, *UNDECODABLE, KeyError, TypeError):
        return oci.documents(chain, image.created)[0][1]
    if diff_digests != [layer.diff_digest for layer in chain]:
        raise InvalidValue(
            f"the config of image {image.id} tells of other layers than the image has",
            words=f'image "{image.id}": config and layers do not fit',
        )
    return config
