"""
Where the records of a store lie, and one view of them all.

    G/D-layers/{layers.json,volatile-layers.json,layers.lock}
    G/D-images/{images.json,images.lock}
    G/D-containers/{containers.json,volatile-containers.json,containers.lock}
    R/D-layers/{mountpoints.json,mountpoints.lock}

With `imagestore` new images, and layers made for them, lie below that root instead, with their own
locks; both are held. With `transient_store` the volatile files and containers.lock lie in the run
root. Source: spec 1, 6.2, 8.12.
"""

from __future__ import annotations

import os
from _thread import allocate_lock

from holdfs.core.errors import (
    ContainerNotKnown,
    ImageNotKnown,
    LayerNotKnown,
    NotAnId,
    NotKnown,
    StoreDamaged,
)
from holdfs.core.formats.shapes import CONTAINERS, IMAGES, LAYERS
from holdfs.core.lockfile import LockFile, LockGroup
from holdfs.core.mounts import MountTable
from holdfs.core.part import Source
from holdfs.core.reader import Reader
from holdfs.core.snapshot import Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal, TypeAlias

    from holdfs.core.config import StoreOptions
    from holdfs.core.formats.records import Container, Image, Layer
    from holdfs.core.mounts import Mounts
    from holdfs.core.reading import Records

    Kind: TypeAlias = Literal["layers", "images", "containers"]

_UNKNOWN: dict[str, type[NotKnown]] = {
    "layers": LayerNotKnown,
    "images": ImageNotKnown,
    "containers": ContainerNotKnown,
}


class Places:
    """
    The files of one store.

    Args:
        driver_name: What the directories' names begin with.
        lock_timeout_s: How long any one lock is waited for; None for ever.
    """

    def __init__(
        self, options: StoreOptions, driver_name: str, *, lock_timeout_s: float | None = None
    ) -> None:
        self._options = options
        self._driver_name = driver_name
        self._lock_timeout_s = lock_timeout_s
        graph, images = options.graph_root, options.image_store
        volatile = options.run_root if options.transient_store else graph
        self.layer_sources = (
            self._source("layers", graph),
            *([self._source("layers", images, of_images=True)] if images else ()),
            self._source("layers", volatile, volatile=True),
            *self._additional("layers"),
        )
        self.layers_lock = self._locks("layers", [graph, images])
        self.image_sources = (
            *([self._source("images", images, of_images=True)] if images else ()),
            self._source("images", graph),
            *self._additional("images"),
        )
        self.images_lock = self._locks("images", [images, graph])
        self.container_sources = (
            self._source("containers", graph),
            self._source("containers", volatile, volatile=True),
        )
        self.containers_lock = self._locks("containers", [volatile])
        self.mounts_path = os.path.join(self.dir(options.run_root, "layers"), "mountpoints.json")
        self.mounts_lock = self._lock(self.dir(options.run_root, "layers"), "mountpoints.lock")
        self.graph_lock = self._lock(graph, "storage.lock")
        self.userns_lock = self._lock(graph, "userns.lock")

    def dir(self, root: str, kind: str) -> str:
        """Return the directory of a kind below a root."""
        return os.path.join(root, f"{self._driver_name}-{kind}")

    def _lock(self, directory: str, name: str) -> LockFile:
        return LockFile(os.path.join(directory, name), timeout_s=self._lock_timeout_s)

    def _locks(self, kind: str, roots: Sequence[str]) -> LockFile | LockGroup:
        locks = [self._lock(self.dir(root, kind), f"{kind}.lock") for root in roots if root]
        return locks[0] if len(locks) == 1 else LockGroup(locks)

    def _source(self, kind: str, root: str, **what: bool) -> Source:
        name = f"volatile-{kind}.json" if what.get("volatile") else f"{kind}.json"
        # Volatile records may lie in the run root, but what belongs to them never does.
        data_root = self._options.graph_root if what.get("volatile") else root
        path = os.path.join(self.dir(root, kind), name)
        return Source(path, data_dir=self.dir(data_root, kind), **what)

    def _additional(self, kind: str) -> list[Source]:
        return [
            self._source(kind, root, read_only=True)
            for root in self._options.additional_image_stores
        ]

    @property
    def locks(self) -> Sequence[str]:
        """The paths of all lock files."""
        return (
            self.graph_lock.path,
            self.userns_lock.path,
            *self.layers_lock.paths,
            *self.images_lock.paths,
            *self.containers_lock.paths,
            self.mounts_lock.path,
        )

    @property
    def dirs(self) -> Sequence[str]:
        """The directories that an opened store has."""
        graph, run, images = (
            self._options.graph_root,
            self._options.run_root,
            self._options.image_store,
        )
        return (
            graph,
            run,
            *(self.dir(graph, kind) for kind in ("layers", "images", "containers")),
            *(self.dir(run, kind) for kind in ("layers", "containers", "locks")),
            *(self.dir(images, kind) for kind in ("layers", "images") if images),
        )


class Looking:
    """A store that is looked at: its sets, read without a lock."""

    def __init__(self, options: StoreOptions, places: Places) -> None:
        self.options = options
        self.places = places
        self.layers: Reader[Layer] = Reader(LAYERS, places.layers_lock, places.layer_sources)
        self.images: Reader[Image] = Reader(IMAGES, places.images_lock, places.image_sources)
        self.containers: Reader[Container] = Reader(
            CONTAINERS, places.containers_lock, places.container_sources
        )
        self.mount_table = MountTable(places.mounts_path, places.mounts_lock)
        self._mutex = allocate_lock()
        self._snapshot: Snapshot | None = None

    def snapshot(self) -> Snapshot:
        """
        Return the store as it is on disk now: the same object as before unless something changed.

        Takes no lock of the store. A damaged file leaves its kind empty, with `damage` set.
        """
        layers = self.layers.current()
        images = self.images.current()
        containers = self.containers.current()
        mounts: Mounts = {}
        damage: StoreDamaged | None = None
        try:
            mounts = self.mount_table.current()
        except StoreDamaged as error:
            damage = error
        with self._mutex:
            known = self._snapshot
            if (
                known is None
                or known.layers is not layers
                or known.images is not images
                or known.containers is not containers
                or (known.mounts is not mounts if damage is None else known.mounts_damage is None)
            ):
                known = Snapshot(layers, images, containers, mounts, damage)
                self._snapshot = known
            return known

    def records(self, kind: Kind) -> Records[Layer] | Records[Image] | Records[Container]:
        """Return one kind as it is on disk now."""
        if kind == "layers":
            return self.layers.current()
        return self.images.current() if kind == "images" else self.containers.current()

    @staticmethod
    def full_id(kind: Kind, records: Records[Any], ref: str) -> str:
        """
        Return the full ID of what `ref` names among `records`.

        For containers the full ID of the own layer counts too, between name and prefix.

        Raises:
            NotKnown: The subclass of the kind.
            StoreDamaged: The records could not be read, so nobody can tell.
        """
        if records.damage is not None:
            raise records.damage
        found: str | None = None
        if kind == "containers" and ref not in records and records.owner(ref) is None:
            found = next((i for i, layer in records.column("layer") if ref and layer == ref), None)
        found = found or records.resolve(ref)
        if found is None:
            if kind == "images":
                words = f'locating image with ID "{ref}": {ImageNotKnown.base_words}'
                raise ImageNotKnown(ref, words=words)
            raise _UNKNOWN[kind](ref)
        return found

    def find(self, ref: str) -> tuple[Kind, str]:
        """
        Return kind and full ID of what `ref` names, tried as layer, image, container.

        Raises:
            LayerNotKnown: It names nothing. (The words for every kind, as with the Go tools.)
        """
        kinds: tuple[Kind, ...] = ("layers", "images", "containers")
        for kind in kinds:
            try:
                return kind, self.full_id(kind, self.records(kind), ref)
            except NotKnown:
                continue
        raise LayerNotKnown(ref)

    def metadata(self, ref: str) -> str:
        """Return the metadata of a layer, image or container, tried in this order."""
        try:
            kind, record_id = self.find(ref)
        except LayerNotKnown as error:
            raise NotAnId(ref) from error
        records = self.records(kind)
        cells = records.cells(record_id, "metadata")
        return records.one(record_id).metadata if cells is None else str(cells[0])
