"""
Deleting, with the checks that keep what is in use. Source: spec 10.6.

    layer       no child, no image's top (or mapped) layer, no container's layer
    image       no container; its layers go with it as far as nobody else needs them
    container   with its layer and its directories
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from holdfs.core import bigdata
from holdfs.core.errors import (
    ImageUsedByContainer,
    LayerHasChildren,
    LayerMounted,
    LayerNotKnown,
    LayerUsedByContainer,
    LayerUsedByImage,
    NotAContainer,
    NotALayer,
    NotAnImage,
    NotKnown,
)
from holdfs.core.formats.records import Container, Image, Layer
from holdfs.core.layers import removable
from holdfs.core.recordset import Edit
from holdfs.core.sets import Kind, Sets
from holdfs.core.snapshot import Snapshot


class Deleting(Sets):
    """The operations that take objects away."""

    def check_delete(self, kind: Kind, ref: str, *, refuse_mounted: bool = False) -> str:
        """
        Raise what deleting would, from one snapshot and without a lock; return the full ID.

        Args:
            refuse_mounted: A mounted layer is a reason too (through the tree it is; the Go tools
                unmount).

        Raises:
            NotKnown, LayerHasChildren, LayerUsedByImage, LayerUsedByContainer,
            ImageUsedByContainer, LayerMounted, StoreReadOnly.
        """
        snapshot = self.snapshot()
        match kind:
            case "layers":
                found = self._writable("layers", snapshot, ref)
                _check_layer(snapshot, found)
                layer_id = found
            case "images":
                found = self._writable("images", snapshot, ref)
                _check_image(snapshot, found)
                return found
            case "containers":
                found = self._writable("containers", snapshot, ref)
                layer_id = snapshot.containers.head(found).layer
        if refuse_mounted and layer_id in snapshot.mounts and self.driver.is_mounted(layer_id):
            raise LayerMounted(
                f"layer {layer_id} is mounted at {snapshot.mounts[layer_id].path}; unmount it first"
            )
        return found

    def _writable(self, kind: Kind, snapshot: Snapshot, ref: str) -> str:
        """Return the full ID; what is unknown, or only in an additional store, is none of ours."""
        records = getattr(snapshot, kind)
        unknown: dict[str, type[NotKnown]] = {
            "layers": NotALayer,
            "images": NotAnImage,
            "containers": NotAContainer,
        }
        try:
            found = self.full_id(kind, records, ref)
        except NotKnown as error:
            raise unknown[kind](ref) from error
        if records.is_read_only(found):
            raise unknown[kind](ref)
        return found

    @contextmanager
    def _everything(
        self,
    ) -> Iterator[tuple[Edit[Layer], Edit[Image], Edit[Container]]]:
        """Hold all three locks, in their order."""
        with (
            self.layers.edit() as layers,
            self.images.edit() as images,
            self.containers.edit() as containers,
        ):
            yield layers, images, containers

    def delete_layer(self, ref: str, *, refuse_mounted: bool = False) -> None:
        """Delete a layer that nobody uses; raises as `check_delete`."""
        with self._everything() as (layers, images, _):
            layer_id = self.check_delete("layers", ref, refuse_mounted=refuse_mounted)
            for image in _having_mapped(images, layer_id):
                kept = tuple(m for m in image.mapped_layers if m != layer_id)
                images.replace(image.replaced(mapped_layers=kept))
            images.save()
            self._unmount_and_delete(layers, layer_id)

    def delete_image(self, ref: str, *, commit: bool = True) -> list[str]:
        """
        Delete an image, and its layers as far as nobody else needs them.

        Args:
            commit: False only tells which layers would go.

        Returns:
            Full IDs of the layers, in the order they go.

        Raises:
            NotAnImage, ImageUsedByContainer.
            LayerNotKnown: The image's top layer has no record. The image is gone all the same.
        """
        with self._everything() as (layers, images, containers):
            image_id = self.check_delete("images", ref)
            image = images.records.one(image_id)
            in_use = {head.layer for head in containers.records.heads()}
            for head in images.records.heads():
                if head.id != image_id:
                    in_use.update((head.layer, *head.mapped_layers))
            going = removable(layers.records, image, in_use)
            if not commit:
                return going
            data_dir = images.records.data_dir(image_id)
            images.remove(image_id)
            images.save()
            bigdata.remove_items(data_dir, image_id)
            for layer_id in going:
                self._unmount_and_delete(layers, layer_id)
            if image.layer and image.layer not in layers.records and image.layer not in going:
                raise LayerNotKnown(image.layer)
        return going

    def delete_container(self, ref: str, *, refuse_mounted: bool = False) -> None:
        """Delete a container with its layer and both its directories; raises as `check_delete`."""
        with self._everything() as (layers, _, containers):
            container_id = self.check_delete("containers", ref, refuse_mounted=refuse_mounted)
            self._delete_container(layers, containers, container_id)

    def _delete_container(
        self, layers: Edit[Layer], containers: Edit[Container], container_id: str
    ) -> None:
        layer_id = containers.records.head(container_id).layer
        # The layer first: if we are killed after it, the container is still listed and can be
        # deleted again; the other way round its layer would stay for good.
        if layer_id in layers.records and not layers.records.is_read_only(layer_id):
            self._unmount_and_delete(layers, layer_id)
        for root in (self.graph_root, self.run_root):
            bigdata.remove_items(os.path.join(root, f"{self.driver.name}-containers"), container_id)
        containers.remove(container_id)
        containers.save()

    def _unmount_and_delete(self, layers: Edit[Layer], layer_id: str) -> None:
        with self.mount_table.edit() as table:
            if table.pop(layer_id, None) is not None:
                self.driver.unmount(layer_id)
        self.layers.delete(layers, layer_id)

    def delete(self, ref: str) -> None:
        """
        Delete a container with its layer, else an image's record alone, else a layer: unchecked.

        Raises:
            LayerNotKnown: It is none of them.
            NotALayer: The container's layer is gone; nothing was done.
        """
        with self._everything() as (layers, images, containers):
            snapshot = self.snapshot()
            if (found := _known(self, "containers", snapshot, ref)) is not None:
                if containers.records.head(found).layer not in layers.records:
                    raise NotALayer(containers.records.head(found).layer)
                self._delete_container(layers, containers, found)
            elif (found := _known(self, "images", snapshot, ref)) is not None:
                data_dir = images.records.data_dir(found)
                images.remove(found)
                images.save()
                bigdata.remove_items(data_dir, found)
            elif (found := _known(self, "layers", snapshot, ref)) is not None:
                self._unmount_and_delete(layers, found)
            else:
                raise LayerNotKnown(ref)

    def wipe(self) -> None:
        """Delete all containers, all images, all layers newest first, then what the driver has."""
        with self._everything() as (layers, images, containers):
            for container_id in containers.records.ids:
                bigdata.remove_items(containers.records.data_dir(container_id), container_id)
                containers.remove(container_id)
            containers.save()
            for image_id in images.records.ids:
                if not images.records.is_read_only(image_id):
                    bigdata.remove_items(images.records.data_dir(image_id), image_id)
                    images.remove(image_id)
            images.save()
            ours = [i for i in layers.records.ids if not layers.records.is_read_only(i)]
            for layer_id in sorted(ours, key=layers.records.created_ns, reverse=True):
                self._unmount_and_delete(layers, layer_id)
            for layer_id in self.driver.list_layers():
                self.driver.remove(layer_id)


def _known(sets: Deleting, kind: Kind, snapshot: Snapshot, ref: str) -> str | None:
    try:
        return sets._writable(kind, snapshot, ref)
    except NotKnown:
        return None


def _check_layer(snapshot: Snapshot, layer_id: str) -> None:
    for damage in (snapshot.images.damage, snapshot.containers.damage):
        if damage is not None:
            raise damage
    if children := snapshot.children(layer_id):
        raise LayerHasChildren(
            f"layer {layer_id} has the child {children[0]}; delete that first",
            words=f"used by layer {children[0]}: {LayerHasChildren.base_words}",
        )
    for image_id in snapshot.images_on(layer_id):
        # A mapped copy may go: its image forgets it, and another can be made.
        if snapshot.images.head(image_id).layer == layer_id:
            raise LayerUsedByImage(
                f"layer {layer_id} is the top layer of image {image_id}; delete the image instead",
                words=f"layer {layer_id} used by image {image_id}: {LayerUsedByImage.base_words}",
            )
    if containers := snapshot.containers_on(layer_id):
        raise LayerUsedByContainer(
            f"layer {layer_id} is that of container {containers[0]}; delete the container instead",
            words=f"layer {layer_id} used by container {containers[0]}: "
            f"{LayerUsedByContainer.base_words}",
        )


def _check_image(snapshot: Snapshot, image_id: str) -> None:
    if snapshot.containers.damage is not None:
        raise snapshot.containers.damage
    if containers := snapshot.containers_of(image_id):
        raise ImageUsedByContainer(
            f"image {image_id} is used by container {containers[-1]}; delete that first",
            words=f"image used by {containers[-1]}: {ImageUsedByContainer.base_words}",
        )


def _having_mapped(images: Edit[Image], layer_id: str) -> list[Image]:
    having = [h.id for h in images.records.heads() if layer_id in h.mapped_layers]
    found = (images.records.get(i) for i in having if not images.records.is_read_only(i))
    return [image for image in found if image is not None]
