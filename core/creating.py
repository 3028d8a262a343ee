"""
Making layers, images and containers, and relating them while they are pristine.

*Pristine*: nothing was put in the object's layer, and nothing refers to it.
Source: spec 10.2 to 10.4.
"""

import time
from collections.abc import Sequence
from typing import Final

import msgspec

from holdfs.core import bigdata, naming
from holdfs.core.errors import (
    InvalidDigest,
    LayerNotKnown,
    NotPristine,
    ParentIsContainer,
    StoreReadOnly,
)
from holdfs.core.formats import digests, times
from holdfs.core.formats.records import Container, Image, Layer
from holdfs.core.ids import new_id
from holdfs.core.reading import Records
from holdfs.core.recordset import Edit
from holdfs.core.sets import Sets

# Always there in what CreateContainer makes; empty without SELinux.
_NO_LABELS: Final = {"MountLabel": "", "ProcessLabel": ""}


def _now() -> str:
    return times.format_time(time.time_ns())


def _check_image_digest(digest: str) -> None:
    try:
        digests.check_digest(digest)
    except InvalidDigest as error:
        raise InvalidDigest(
            str(error),
            words="validating digests for new image: "
            f'validating image digest "{digest}": {error.words}',
        ) from error


class Creating(Sets):
    """The operations that add objects or their relations."""

    def create_layer(
        self,
        *,
        parent: str = "",
        names: Sequence[str] = (),
        layer_id: str = "",
        label: str = "",
    ) -> Layer:
        """
        Make a writable layer, empty but for what its parent shows.

        Args:
            parent: What names the parent; "" for a base layer.
            label: SELinux mount label.

        Raises:
            LayerNotKnown: No such parent.
            ParentIsContainer: The parent is a container's own layer.
            DuplicateId, DuplicateName: Taken by another layer.
        """
        wanted = naming.distinct(names)
        with self.layers.edit() as edit:
            parent_id = self._parent(edit.records, parent)
            naming.check_free(edit.records, "layer", layer_id, wanted)
            return self.layers.create(
                edit,
                Layer(
                    id=layer_id or new_id(edit.records),
                    names=wanted,
                    parent=parent_id,
                    mount_label=label,
                    created=_now(),
                ),
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
    ) -> Image:
        """
        Make an image record, with all its big data in one hold of the lock.

        (podman's listing fails as a whole while an image without manifest is there.)

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
                image = Image(
                    id=image_id or new_id(edit.records),
                    digest=digest,
                    names=wanted,
                    layer=layer_id,
                    metadata=metadata,
                    created=created or _now(),
                )
                # Files before the record: a crash in between leaves a directory that nobody
                # lists, not an image without its manifest.
                try:
                    for key, data in big_data:
                        image = bigdata.write_item(
                            self.set_dir("images"), "image", image, key, data
                        )
                    edit.add(image)
                    edit.save()
                except BaseException:
                    bigdata.remove_items(self.set_dir("images"), image.id)
                    raise
        return image

    def create_container(
        self,
        *,
        image: str = "",
        names: Sequence[str] = (),
        container_id: str = "",
        metadata: str = "",
        volatile: bool = False,
    ) -> Container:
        """
        Make a container: a writable layer on the image's top layer, and the record.

        Args:
            image: What names the image; "" for none: the layer is a base layer then.
            volatile: The content need not survive a crash: mounted without syncs.

        Raises:
            ImageNotKnown, LayerNotKnown (the image's layer is gone), DuplicateId, DuplicateName.
        """
        wanted = naming.distinct(names)
        naming.check_text(metadata)
        with self.layers.edit() as layers:
            # Under layers.lock no image can go: deleting one takes that lock first.
            image_id, top = self._image_and_top(layers.records, image)
            with self.containers.edit() as edit:
                naming.check_free(edit.records, "container", container_id, wanted)
                layer = self._read_write_layer(layers, top)
                container = Container(
                    id=container_id or new_id(edit.records),
                    names=wanted,
                    image=image_id,
                    layer=layer.id,
                    metadata=metadata,
                    created=_now(),
                    flags={**_NO_LABELS, "Volatile": True} if volatile else dict(_NO_LABELS),
                )
                try:
                    edit.add(container, volatile=self.options.transient_store)
                    edit.save()
                except BaseException:
                    self.layers.delete(layers, layer.id)
                    raise
        return container

    def _image_and_top(self, layers: Records[Layer], ref: str) -> tuple[str, str]:
        """Return full ID and top layer of the image that `ref` names; two "" for no image."""
        if not ref:
            return "", ""
        images = self.images.current()
        image_id = self.full_id("images", images, ref)
        top = images.one(image_id).layer
        if top and top not in layers:
            raise LayerNotKnown(top)
        return image_id, top

    def _read_write_layer(self, edit: Edit[Layer], parent_id: str) -> Layer:
        layer = Layer(id=new_id(edit.records), parent=parent_id, created=_now())
        return self.layers.create(edit, layer)

    # -- relations of pristine objects ---------------------------------------------------------

    def set_parent(self, layer: str, parent: str) -> Layer:
        """
        Put a pristine base layer on a parent.

        Raises:
            NotPristine: It has a parent, content, children, an image or a container.
        """
        with self.layers.edit() as edit:
            layer_id = self.full_id("layers", edit.records, layer)
            parent_id = self._parent(edit.records, parent)
            record = edit.records.one(layer_id)
            if edit.records.is_read_only(layer_id):
                raise StoreReadOnly(f"layer {layer_id} belongs to an additional store")
            if record.parent or parent_id == layer_id or not self.is_pristine_layer(layer_id):
                raise NotPristine(
                    f"layer {layer_id} can't be put on a parent any more: "
                    "make a new one with mkdir in the parent's children/"
                )
            changed = msgspec.structs.replace(record, parent=parent_id)
            self.layers.recreate(edit, changed)
        return changed

    def is_pristine_layer(self, layer_id: str) -> bool:
        """Whether nothing was put in the layer and nothing refers to it. Looks at the disk."""
        snapshot = self.snapshot()
        layer = snapshot.layers.get(layer_id)
        return (
            layer is not None
            and snapshot.is_dangling_layer(layer_id)
            and layer_id not in snapshot.mounts
            and not layer.diff_digest
            and not self.driver.has_content(layer_id, layer.parent)
        )

    def set_top_layer(self, image: str, layer: str) -> Image:
        """
        Give an image that has none its top layer.

        Raises:
            NotPristine: It has a top layer, or a container was made from it.
        """
        with self.layers.lock.writing():
            layer_id = self.full_id("layers", self.layers.current(), layer)
            with self.images.edit() as edit:
                image_id = self.full_id("images", edit.records, image)
                record = edit.records.one(image_id)
                if record.layer or self.snapshot().containers_of(image_id):
                    raise NotPristine(
                        f"image {image_id} has its top layer or a container already: "
                        "make a new image with mkdir in the layer's images/"
                    )
                changed = msgspec.structs.replace(record, layer=layer_id)
                edit.replace(changed)
        return changed

    def set_image(self, container: str, image: str) -> Container:
        """
        Put a pristine container that has no image on one.

        Its empty layer is replaced by one on the image's top layer.

        Raises:
            NotPristine: It has an image, or something is in its layer, or that is mounted.
        """
        with self.layers.edit() as layers:
            image_id, top = self._image_and_top(layers.records, image)
            with self.containers.edit() as edit:
                container_id = self.full_id("containers", edit.records, container)
                record = edit.records.one(container_id)
                own = layers.records.get(record.layer)
                if (
                    record.image
                    or record.layer in self.mount_table.current()
                    or (own is not None and self.driver.has_content(own.id, own.parent))
                ):
                    raise NotPristine(
                        f"container {container_id} can't get another image: make a new one with "
                        "mkdir in the image's containers/"
                    )
                # The new layer first: a crash leaves at worst a layer that nobody has.
                layer = self._read_write_layer(layers, top)
                changed = msgspec.structs.replace(record, image=image_id, layer=layer.id)
                edit.replace(changed)
                edit.save()
                if record.layer in layers.records:
                    self.layers.delete(layers, record.layer)
        return changed
