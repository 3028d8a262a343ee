"""
Relating pristine objects: layer to parent, image to top layer, container to image.

*Pristine*: nothing was put in the object's layer, and nothing refers to it.
"""

from holdfs.core import bigdata
from holdfs.core.containing import Containing
from holdfs.core.describing import Describing
from holdfs.core.errors import InvalidValue, NotPristine, StoreReadOnly
from holdfs.core.formats.records import Container, Image, Layer


class Relating(Containing, Describing):
    """The operations that set a relation which an object was made without."""

    def set_parent(self, layer: str, parent: str) -> Layer:
        """
        Put a pristine base layer on a parent.

        Raises:
            NotPristine: It has a parent, content, children, an image or a container.
            InvalidValue: It is to be its own parent.
        """
        with self.layers.edit() as edit:
            layer_id = self.full_id("layers", edit.records, layer)
            parent_id = self._parent(edit.records, parent)
            record = edit.records.one(layer_id)
            if edit.records.is_read_only(layer_id):
                raise StoreReadOnly(f"layer {layer_id} belongs to an additional store")
            if parent_id == layer_id:
                raise InvalidValue(f"layer {layer_id} can't be its own parent")
            if record.parent or not self.is_pristine_layer(layer_id):
                raise NotPristine(
                    f"layer {layer_id} can't be put on a parent any more: "
                    "make a new one with mkdir in the parent's children/"
                )
            changed = record.replaced(parent=parent_id)
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
        images = self.images.current()
        if bigdata.DESCRIBED in images.one(self.full_id("images", images, image)).flags:
            self.seal_chain(layer)
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
                changed = record.replaced(layer=layer_id)
                if bigdata.DESCRIBED in record.flags:
                    directory = edit.records.data_dir(image_id)
                    for key, data in self.description(changed.layer, changed.created):
                        changed = bigdata.write_item(directory, "image", changed, key, data)
                    flags = {**changed.flags, bigdata.DESCRIBED: True}
                    changed = changed.replaced(flags=flags)
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
                layer = self.read_write_layer(layers, top)
                changed = record.replaced(image=image_id, layer=layer.id)
                edit.replace(changed)
                edit.save()
                if record.layer in layers.records:
                    self.layers.delete(layers, record.layer)
        return changed
