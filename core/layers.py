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

from __future__ import annotations

import os

from holdfs.core import bigdata
from holdfs.core.formats.records import Image, Layer
from holdfs.core.formats.shapes import LAYERS
from holdfs.core.idmapping import MapPair, maps_of
from holdfs.core.ids import names_directory
from holdfs.core.lockfile import LockFile, LockGroup
from holdfs.core.part import Source, text_since
from holdfs.core.reading import Records
from holdfs.core.recordset import Edit, RecordSet
from holdfs.drivers.base import Driver, DriverError
from holdfs.native.light import contextmanager, logger_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

_log = logger_of(__name__)

INCOMPLETE = "incomplete"
_RECREATED = "holdfs-recreated"


class Layers(RecordSet[Layer]):
    """
    The layers of a store.

    Args:
        directory: `G/D-layers`.
    """

    def __init__(
        self, driver: Driver, directory: str, lock: LockFile | LockGroup, sources: Sequence[Source]
    ) -> None:
        super().__init__(LAYERS, lock, sources)
        self.driver = driver
        self.directory = directory
        # By file the mark of the part in which no layer was half made or half gone.
        self._settled: dict[str, object] = {}

    @contextmanager
    def edit(self) -> Iterator[Edit[Layer]]:
        """As for every set; layers that a crash left half made or half gone are deleted first."""
        with super().edit() as edit:
            for layer_id in self._suspects(edit.records):
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

    def _suspects(self, layers: Records[Layer]) -> Sequence[str]:
        """Return the layers of files in which some may be half made or half gone."""
        suspects: list[str] = []
        for part in layers.parts:
            path = part.source.path
            # Looked for in the bytes, as hardly any record has the words; and in those that have
            # come since none had.
            text = text_since(part, self._settled.pop(path, None))
            if part.source.read_only:
                continue
            if b'"incomplete"' in text or b'"holdfs-recreated"' in text:
                suspects += dict.fromkeys(part.ids)
            else:
                self._settled[path] = part.mark
        return suspects

    @contextmanager
    def making(
        self,
        edit: Edit[Layer],
        layer: Layer,
        *,
        maps: MapPair | None = None,
        template: Layer | None = None,
        read_only: bool = False,
        storage_options: Sequence[str] = (),
        staged: str = "",
        volatile: bool = False,
    ) -> Iterator[None]:
        """
        Add a record, flagged, and make its directory, to be filled in the `with`.

        There the caller puts the record in its final form, without the flag, by `edit.replace`.
        On failure neither record nor directory stays.

        Args:
            layer: Its parent is a full ID or empty; its maps are what the files are stored with.
            read_only: It is an image's layer.
            volatile: Its record need not survive a crash.
            maps: The maps whose root owns the directory; None for the layer's.
            template: The layer to copy instead of the parent.
            staged: A directory that the driver made for the parent's child: it is filled already.
        """
        flagged = {**layer.flags, INCOMPLETE: True}
        edit.add(layer.replaced(flags=flagged), volatile=volatile, of_images=read_only)
        edit.save()
        try:
            base = template or (edit.records.one(layer.parent) if layer.parent else None)
            uidmap, gidmap = (maps or maps_of(layer)).for_driver
            self.driver.create(
                layer.id,
                base.id if base is not None else "",
                label=layer.mount_label,
                uidmap=uidmap,
                gidmap=gidmap,
                read_only=read_only,
                storage_options=storage_options,
                staged=staged,
            )
            if base is not None and maps_of(base) != maps_of(layer):
                old, new = maps_of(base).for_driver, maps_of(layer).for_driver
                self.driver.change_owner(
                    layer.id,
                    old_uidmap=old[0],
                    old_gidmap=old[1],
                    new_uidmap=new[0],
                    new_gidmap=new[1],
                    label=layer.mount_label,
                )
            yield
            edit.save()
        except BaseException:
            self._remove_files(layer.id)
            edit.remove(layer.id)
            edit.save()
            raise

    def tar_split_path(self, layer_id: str) -> str:
        """Return where the layer's tar-split is, if it has one."""
        layers = self.current()
        directory = layers.data_dir(layer_id) if layer_id in layers else self.directory
        return os.path.join(directory, f"{layer_id}.tar-split.gz")

    def recreate(self, edit: Edit[Layer], layer: Layer) -> None:
        """
        Make the directory of an empty layer anew, on the parent that `layer` now has.

        On failure the layer is as before, or if not even that can be done, as it was to be for
        whoever next holds the lock for writing.
        """
        old = edit.records.one(layer.id)
        edit.replace(layer.replaced(flags={**layer.flags, _RECREATED: True}))
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
        edit.replace(layer.replaced(flags=flags))

    def delete(self, edit: Edit[Layer], layer_id: str) -> None:
        """Delete a layer that nobody needs: flag, directory, files, record."""
        layer = edit.records.one(layer_id)
        if layer.flags.get(INCOMPLETE) is not True:
            edit.replace(layer.replaced(flags={**layer.flags, INCOMPLETE: True}))
            edit.save()
        self._remove_files(layer_id)
        edit.remove(layer_id)
        edit.save()

    def _remove_files(self, layer_id: str) -> None:
        self.driver.remove(layer_id)
        if not names_directory(layer_id):
            return
        path = self.tar_split_path(layer_id)
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        bigdata.remove_items(os.path.dirname(path), layer_id)


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
