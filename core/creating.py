"""
Making layers and images. Source: spec 10.2, 10.3.
"""

from __future__ import annotations

import time

from holdfs.core import bigdata, idmapping, naming
from holdfs.core.errors import (
    InvalidDigest,
    ParentIsContainer,
)
from holdfs.core.formats import times
from holdfs.core.formats.records import Image, Layer
from holdfs.core.idmapping import INHERITED, MapRequest
from holdfs.core.ids import new_id
from holdfs.core.reading import Records
from holdfs.core.sets import Sets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


def now() -> str:
    """Return the time as records hold it."""
    return times.format_time(time.time_ns())


def _check_image_digest(digest: str) -> None:
    from holdfs.core.formats import digests

    try:
        digests.check_digest(digest)
    except InvalidDigest as error:
        raise InvalidDigest(
            str(error),
            words="validating digests for new image: "
            f'validating image digest "{digest}": {error.words}',
        ) from error


class Creating(Sets):
    """The operations that add layers and images."""

    def create_layer(
        self,
        *,
        parent: str = "",
        names: Sequence[str] = (),
        layer_id: str = "",
        label: str = "",
        maps: MapRequest = INHERITED,
        read_only: bool = False,
        storage_options: Sequence[str] = (),
    ) -> Layer:
        """
        Make a layer, empty but for what its parent shows.

        Args:
            parent: What names the parent; "" for a base layer.
            label: SELinux mount label.
            read_only: It is to be an image's: no limits apply to it.
            storage_options: "size=10G", …: limits of this layer, where the driver can.

        Raises:
            LayerNotKnown: No such parent.
            ParentIsContainer: The parent is a container's own layer.
            DuplicateId, DuplicateName: Taken by another layer.
        """
        with self.layers.edit() as edit:
            layer = self.new_layer(edit.records, parent, names, layer_id, label, maps)
            with self.layers.making(
                edit, layer, read_only=read_only, storage_options=storage_options
            ):
                edit.replace(layer)
        return layer

    def new_layer(
        self,
        layers: Records[Layer],
        parent: str,
        names: Sequence[str],
        layer_id: str,
        label: str,
        maps: MapRequest,
    ) -> Layer:
        """
        Return the record of a layer to be made, checked.

        Its maps are what its files are stored with: none if the driver shifts owners at mount.
        """
        distinct = naming.distinct(names)
        parent_id = self._parent(layers, parent)
        naming.check_free(layers, "layer", layer_id, distinct)
        if layer_id:
            self.driver.check_id(layer_id)
        parent_layer = layers.get(parent_id) if parent_id else None
        pair = idmapping.wanted(maps, parent_layer, idmapping.configured(self.options))
        stored = idmapping.stored(pair, self.driver)
        return Layer(
            id=layer_id or new_id(layers),
            names=distinct,
            parent=parent_id,
            mount_label=label,
            created=now(),
            uidmap=stored.uidmap,
            gidmap=stored.gidmap,
        )

    def _parent(self, layers: Records[Layer], ref: str) -> str:
        if not ref:
            return ""
        parent_id = self.full_id("layers", layers, ref)
        containers = self.containers.current()
        containers.check()
        for head in containers.heads():
            if head.layer == parent_id:
                raise ParentIsContainer(
                    f"layer {parent_id} is the writable layer of container {head.id}; "
                    "commit it to an image first"
                )
        return parent_id

    def create_image(
        self,
        *,
        layer: str = "",
        names: Sequence[str] = (),
        image_id: str = "",
        metadata: str = "",
        digest: str = "",
        created: str = "",
        big_data: Sequence[tuple[str, bytes]] = (),
        flags: Mapping[str, Any] | None = None,
    ) -> Image:
        """
        Make an image record, with all its big data in one hold of the lock.

        (podman's listing fails as a whole while an image without manifest is there.) An image of
        an additional store that has this ID gives the new one what is not given here, its names
        and its data items.

        Args:
            layer: What names the top layer; "" for none.
            digest: "" to take that of the first manifest item.
            created: RFC 3339; "" for now.

        Raises:
            LayerNotKnown, DuplicateId, DuplicateName, InvalidDigest, InvalidBigDataName.
        """
        wanted = naming.distinct(names)
        if digest:
            _check_image_digest(digest)
        naming.check_text(metadata)
        if created:
            times.parse_time(created)
        with self.layers.lock.writing():
            layers = self.layers.current()
            # The record, not just its ID: one that can't be read is no layer to build on.
            layer_id = layers.one(self.full_id("layers", layers, layer)).id if layer else ""
            with self.images.edit() as edit:
                naming.check_free(edit.records, "image", image_id, wanted)
                theirs, items = self._of_additional_store(edit.records, image_id)
                image = Image(
                    id=image_id or new_id(edit.records),
                    digest=digest or theirs.digest,
                    names=naming.distinct((*wanted, *theirs.names)),
                    names_history=theirs.names_history,
                    layer=layer_id or theirs.layer,
                    metadata=metadata or theirs.metadata,
                    created=created or theirs.created,
                )
                # Files before the record: a crash in between leaves a directory that nobody
                # lists, not an image without its manifest.
                try:
                    for key, data in (*items, *big_data):
                        image = bigdata.write_item(
                            self.new_data_dir("images"), "image", image, key, data
                        )
                    image = image.replaced(flags=dict(flags or {}))
                    edit.add(image, of_images=True)
                    edit.save()
                except BaseException:
                    bigdata.remove_items(self.new_data_dir("images"), image.id)
                    raise
        return image

    def _of_additional_store(
        self, images: Records[Image], image_id: str
    ) -> tuple[Image, list[tuple[str, bytes]]]:
        """Return the image that has this ID, and its items; an empty one if there is none."""
        if not image_id or image_id not in images:
            return Image(id="", created=now()), []
        image, directory = images.one(image_id), images.data_dir(image_id)
        keys = image.big_data_names
        return image, [(key, bigdata.read_item(directory, "image", image, key)) for key in keys]
