"""
Making containers: the layer they stand on, with the ID maps they want. Source: spec 10.4.

    image's top layer, or a mapped copy of it ── fits the maps? ──► parent of the container's layer
                    │ none fits
                    ╰──► a copy with these maps is made, and noted in the image for others
"""

from __future__ import annotations

from holdfs.core import idmapping, naming
from holdfs.core.creating import Creating, now
from holdfs.core.errors import InvalidValue, LayerNotKnown
from holdfs.core.formats.records import Container, Image, Layer
from holdfs.core.idmapping import MapPair, MapRequest
from holdfs.core.ids import new_id
from holdfs.core.reading import Records
from holdfs.core.recordset import Edit
from holdfs.native.light import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Final

    from holdfs.core.autouserns import AutoMaps

#: What a caller who names no maps wants: the host's own IDs.
HOST_IDS: Final = MapRequest(host_uid=True, host_gid=True)


class Containing(Creating):
    """The operation that adds a container."""

    def create_container(
        self,
        *,
        image: str = "",
        names: Sequence[str] = (),
        container_id: str = "",
        metadata: str = "",
        volatile: bool = False,
        maps: MapRequest = HOST_IDS,
        auto_maps: AutoMaps | None = None,
        labels: tuple[str, str] = ("", ""),
        mount_options: Sequence[str] | None = None,
        storage_options: Sequence[str] = (),
    ) -> Container:
        """
        Make a container: a writable layer on the image's top layer, and the record.

        Args:
            image: What names the image; "" for none: the layer is a base layer then.
            volatile: The content need not survive a crash: mounted without syncs.
            auto_maps: Choose free IDs, instead of `maps`.
            labels: SELinux labels for processes and for the mount, both or none.
            mount_options: Instead of the driver's configured ones.

        Raises:
            ImageNotKnown, LayerNotKnown (the image's layer is gone), DuplicateId, DuplicateName,
            InvalidMappings, NoFreeIds.
        """
        wanted = naming.distinct(names)
        naming.check_text(metadata)
        if bool(labels[0]) != bool(labels[1]):
            raise InvalidValue(
                "ProcessLabel and Mountlabel must either not be specified or both specified"
            )
        flags: dict[str, Any] = {"MountLabel": labels[1], "ProcessLabel": labels[0]}
        if mount_options is not None:
            flags["MountOpts"] = list(mount_options)
        if volatile or self.options.transient_store:
            flags["Volatile"] = True
        chooses_ids = auto_maps is not None or bool(maps.uidmap or maps.gidmap)
        with self._choosing_ids(is_needed=chooses_ids), self.layers.edit() as layers:
            # Under layers.lock no image can go: deleting one takes that lock first.
            image_id, top = self._image_and_top(layers.records, image)
            if auto_maps is not None:
                from holdfs.core.autouserns import choose_maps

                maps = choose_maps(self, auto_maps, top)
            base, pair = self._base(layers, image_id, maps)
            stored = idmapping.stored(pair, self.driver)
            with self.containers.edit() as edit:
                naming.check_free(edit.records, "container", container_id, wanted)
                layer = Layer(
                    id=new_id(layers.records),
                    parent=base.id if base is not None else "",
                    mount_label=labels[1],
                    created=now(),
                    uidmap=stored.uidmap,
                    gidmap=stored.gidmap,
                )
                container = Container(
                    id=container_id or new_id(edit.records),
                    names=wanted,
                    image=image_id,
                    layer=layer.id,
                    metadata=metadata,
                    created=now(),
                    uidmap=pair.uidmap,
                    gidmap=pair.gidmap,
                    flags=flags,
                )
                with self.layers.making(
                    layers,
                    layer,
                    maps=pair,
                    storage_options=storage_options,
                    volatile=self.options.transient_store,
                ):
                    layers.replace(layer)
                    layers.save()
                    edit.add(container, volatile=self.options.transient_store)
                    edit.save()
        return container

    @contextmanager
    def _choosing_ids(self, *, is_needed: bool) -> Iterator[None]:
        """Let whoever chooses IDs see those that all others have chosen."""
        if not is_needed:
            yield
            return
        with self.userns_lock.writing():
            yield

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

    def _base(
        self, layers: Edit[Layer], image_id: str, maps: MapRequest
    ) -> tuple[Layer | None, MapPair]:
        """Return the layer to stand on, made if need be, and the maps the container has then."""
        if not image_id:
            return None, idmapping.wanted(maps, None)
        image = self.images.current().one(image_id)
        shifts = self.driver.supports_shifting(*MapPair(maps.uidmap, maps.gidmap).for_driver)
        found = [
            layers.records.one(layer_id)
            for layer_id in (image.layer, *image.mapped_layers)
            if layer_id in layers.records
        ]
        if not found:
            return None, idmapping.wanted(maps, None)
        base = next((c for c in found if idmapping.fits(c, maps, shifts=shifts)), None)
        if base is None:
            base = found[0]
            # A copy is noted in an image of ours; else the container's own layer is mapped.
            if not (
                layers.records.is_read_only(base.id) or self.images.current().is_read_only(image_id)
            ):
                base = self._mapped_copy(layers, image, base, maps)
        return base, idmapping.wanted(maps, base)

    def _mapped_copy(
        self, layers: Edit[Layer], image: Image, template: Layer, maps: MapRequest
    ) -> Layer:
        pair = MapPair(maps.uidmap, maps.gidmap)
        copy = template.replaced(
            id=new_id(layers.records),
            names=(),
            created=now(),
            uidmap=pair.uidmap,
            gidmap=pair.gidmap,
            big_data_names=(),
            flags={},
        )
        with (
            self.images.edit() as images,
            self.layers.making(layers, copy, template=template, read_only=True),
        ):
            import shutil

            try:
                shutil.copyfile(
                    self.layers.tar_split_path(template.id), self.layers.tar_split_path(copy.id)
                )
            except FileNotFoundError:
                pass  # the template was not made from a tar
            layers.replace(copy)
            layers.save()
            fresh = images.records.one(image.id)
            mapped = (*fresh.mapped_layers, copy.id)
            images.replace(fresh.replaced(mapped_layers=mapped))
            images.save()
        return copy

    def read_write_layer(self, edit: Edit[Layer], parent_id: str) -> Layer:
        """Make the layer of a container that is there already."""
        layer = Layer(id=new_id(edit.records), parent=parent_id, created=now())
        with self.layers.making(edit, layer):
            edit.replace(layer)
        return layer
