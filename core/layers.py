"""
Layers: records and the driver's directories, kept in step.

    G/D-layers/layers.json               the records
    G/D-layers/<id>.tar-split.gz         how the layer's tar was put together, if it came from one
    G/D-layers/<id>/                     big data
    G/D/…                                the driver's

A record is saved with the flag `incomplete` before the driver starts, and again without it when all
is there; deleting goes the same way back. So a layer with the flag is half made or half gone, and
whoever next holds the lock for writing deletes it. Source: spec 7.1 to 7.3.

While an empty layer's directory is made anew on another parent, its record has a flag of our own
instead, which the Go tools keep and pass over: nobody may delete the layer, with its names and
data, because we were killed.
"""

import logging
import os
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from holdfs.core import bigdata
from holdfs.core.formats.records import Image, Layer
from holdfs.core.lockfile import LockFile
from holdfs.core.reading import Records, Source
from holdfs.core.recordset import Edit, RecordSet
from holdfs.drivers.base import Driver, DriverError

_log = logging.getLogger(__name__)

INCOMPLETE = "incomplete"
_RECREATED = "holdfs-recreated"


class Layers(RecordSet[Layer]):
    """
    The layers of a store.

    Args:
        directory: `G/D-layers`.
    """

    def __init__(
        self, driver: Driver, directory: str, lock: LockFile, sources: Sequence[Source]
    ) -> None:
        super().__init__(Layer, lock, sources)
        self.driver = driver
        self.directory = directory

    @contextmanager
    def edit(self) -> Iterator[Edit[Layer]]:
        """As for every set; layers that a crash left half made or half gone are deleted first."""
        with super().edit() as edit:
            for layer_id in edit.records.ids:
                if edit.records.is_read_only(layer_id):
                    continue
                # The words are looked for in the bytes first: hardly any record has them.
                raw = edit.records.raw(layer_id)
                if b'"incomplete"' not in raw and b'"holdfs-recreated"' not in raw:
                    continue
                layer = edit.records.one(layer_id)
                if layer.flags.get(INCOMPLETE) is True:
                    _log.warning("found incomplete layer %s, deleting it", layer_id)
                    self._remove_files(layer_id)
                    edit.remove(layer_id)
                elif layer.flags.get(_RECREATED) is True:
                    _log.warning("making the directory of layer %s anew", layer_id)
                    self._finish_recreating(edit, layer)
            edit.save()
            yield edit

    def create(self, edit: Edit[Layer], layer: Layer) -> Layer:
        """
        Add the record and make its directory; on failure neither stays.

        Args:
            layer: The record as it is to be; its parent is full ID or empty.
        """
        flagged = {**layer.flags, INCOMPLETE: True}
        edit.add(msgspec.structs.replace(layer, flags=flagged))
        edit.save()
        try:
            self.driver.create(layer.id, layer.parent, label=layer.mount_label)
            edit.replace(layer)
            edit.save()
        except BaseException:
            self._remove_files(layer.id)
            edit.remove(layer.id)
            edit.save()
            raise
        return layer

    def recreate(self, edit: Edit[Layer], layer: Layer) -> None:
        """
        Make the directory of an empty layer anew, on the parent that `layer` now has.

        On failure the layer is as before, or if not even that can be done, as it was to be for
        whoever next holds the lock for writing.
        """
        old = edit.records.one(layer.id)
        edit.replace(msgspec.structs.replace(layer, flags={**layer.flags, _RECREATED: True}))
        edit.save()
        try:
            self._make_anew(layer)
        except BaseException:
            self._make_anew(old)
            edit.replace(old)
            edit.save()
            raise
        edit.replace(layer)
        edit.save()

    def _make_anew(self, layer: Layer) -> None:
        # Ours to remove: a directory that the driver finds there before a layer is worth a warning.
        self.driver.remove(layer.id)
        self.driver.create(layer.id, layer.parent, label=layer.mount_label)

    def _finish_recreating(self, edit: Edit[Layer], layer: Layer) -> None:
        diff = self.driver.diff_path(layer.id)
        # Other programs know nothing of the flag: what one of them has put there stays. (A driver
        # without a directory of changes can't tell that from a part of the parent's copy.)
        if not (diff and os.path.isdir(diff) and self.driver.has_content(layer.id, layer.parent)):
            try:
                self._make_anew(layer)
            except (OSError, DriverError) as error:
                # Not the affair of whoever wants to write now; the next one tries again.
                _log.warning("the directory of layer %s can't be made: %s", layer.id, error)
                return
        flags = {key: value for key, value in layer.flags.items() if key != _RECREATED}
        edit.replace(msgspec.structs.replace(layer, flags=flags))

    def delete(self, edit: Edit[Layer], layer_id: str) -> None:
        """Delete a layer that nobody needs: flag, directory, files, record."""
        layer = edit.records.one(layer_id)
        if layer.flags.get(INCOMPLETE) is not True:
            edit.replace(msgspec.structs.replace(layer, flags={**layer.flags, INCOMPLETE: True}))
            edit.save()
        self._remove_files(layer_id)
        edit.remove(layer_id)
        edit.save()

    def _remove_files(self, layer_id: str) -> None:
        self.driver.remove(layer_id)
        try:
            os.unlink(os.path.join(self.directory, f"{layer_id}.tar-split.gz"))
        except FileNotFoundError:
            pass
        bigdata.remove_items(self.directory, layer_id)


def removable(layers: Records[Layer], image: Image, in_use: Container[str]) -> list[str]:
    """
    Return the layers that go with an image, in the order to delete them.

    Its mapped top layers first, then its top layer and the ancestors of that, until one that is in
    use elsewhere or has a child that stays.

    Args:
        in_use: Layers of containers, top and mapped layers of other images.
    """
    children: dict[str, list[str]] = {}
    for head in layers.heads():
        children.setdefault(head.parent, []).append(head.id)
    going: dict[str, None] = {}

    def is_free(layer_id: str) -> bool:
        return (
            layer_id in layers
            and not layers.is_read_only(layer_id)
            and layer_id not in in_use
            and all(child in going for child in children.get(layer_id, ()))
        )

    for layer_id in image.mapped_layers:
        if is_free(layer_id):
            going[layer_id] = None
    layer_id = image.layer
    while is_free(layer_id) and layer_id not in going:
        going[layer_id] = None
        layer_id = layers.head(layer_id).parent
    return list(going)
