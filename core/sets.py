"""
The sets of records of one store, where they lie, and one view of them all.

    G/storage.lock  G/userns.lock
    G/D-layers/{layers.json,volatile-layers.json,layers.lock}
    G/D-images/{images.json,images.lock}
    G/D-containers/{containers.json,volatile-containers.json,containers.lock}
    R/D-layers/{mountpoints.json,mountpoints.lock}

With `imagestore` new images, and layers made for them, lie below that root instead, with their own
locks; both are held. With `transient_store` the volatile files and containers.lock lie in the run
root. Source: spec 1, 6.2, 8.12.
"""

import errno
import os
import threading
from collections.abc import Sequence
from typing import Any, Literal

from holdfs.core.config import StoreOptions
from holdfs.core.errors import (
    ContainerNotKnown,
    ImageNotKnown,
    LayerNotKnown,
    NotKnown,
    StoreDamaged,
)
from holdfs.core.formats.records import Container, Image, Layer
from holdfs.core.layers import Layers
from holdfs.core.lockfile import LockFile, LockGroup, make_private_dir
from holdfs.core.mounts import Mounts, MountTable
from holdfs.core.reading import Records, Source
from holdfs.core.recordset import RecordSet
from holdfs.core.snapshot import Snapshot
from holdfs.drivers.base import Driver

Kind = Literal["layers", "images", "containers"]

_UNKNOWN: dict[str, type[NotKnown]] = {
    "layers": LayerNotKnown,
    "images": ImageNotKnown,
    "containers": ContainerNotKnown,
}


class Sets:
    """
    What every operation stands on.

    Args:
        lock_timeout_s: How long any one lock is waited for; None for ever.
    """

    def __init__(
        self, options: StoreOptions, driver: Driver, *, lock_timeout_s: float | None = None
    ) -> None:
        self.options = options
        self.driver = driver
        self.graph_root = options.graph_root
        self.run_root = options.run_root
        self.lock_timeout_s = lock_timeout_s
        volatile_root = self.run_root if options.transient_store else self.graph_root

        layers_dir = self._dir(self.graph_root, "layers")
        self.layers = Layers(
            driver,
            layers_dir,
            self._locks("layers", [self.graph_root, options.image_store]),
            [
                self._source("layers", self.graph_root),
                *self._image_store_sources("layers"),
                self._source("layers", volatile_root, volatile=True),
                *self._additional_sources("layers"),
            ],
        )
        self.images = RecordSet(
            Image,
            self._locks("images", [options.image_store, self.graph_root]),
            [
                *self._image_store_sources("images"),
                self._source("images", self.graph_root),
                *self._additional_sources("images"),
            ],
        )
        self.containers = RecordSet(
            Container,
            self._locks("containers", [volatile_root]),
            [
                self._source("containers", self.graph_root),
                self._source("containers", volatile_root, volatile=True),
            ],
        )
        run_layers_dir = self._dir(self.run_root, "layers")
        self.mount_table = MountTable(
            os.path.join(run_layers_dir, "mountpoints.json"),
            self._lock(run_layers_dir, "mountpoints.lock"),
        )
        self.graph_lock = self._lock(self.graph_root, "storage.lock")
        self.userns_lock = self._lock(self.graph_root, "userns.lock")
        self._mutex = threading.Lock()
        self._snapshot: Snapshot | None = None

    def _dir(self, root: str, kind: str) -> str:
        return os.path.join(root, f"{self.driver.name}-{kind}")

    def _lock(self, directory: str, name: str) -> LockFile:
        return LockFile(os.path.join(directory, name), timeout_s=self.lock_timeout_s)

    def _locks(self, kind: str, roots: Sequence[str]) -> LockFile | LockGroup:
        locks = [self._lock(self._dir(root, kind), f"{kind}.lock") for root in roots if root]
        return locks[0] if len(locks) == 1 else LockGroup(locks)

    def _source(self, kind: str, root: str, **what: bool) -> Source:
        name = f"volatile-{kind}.json" if what.get("volatile") else f"{kind}.json"
        # Volatile records may lie in the run root, but what belongs to them never does.
        data_root = self.graph_root if what.get("volatile") else root
        return Source(
            os.path.join(self._dir(root, kind), name), data_dir=self._dir(data_root, kind), **what
        )

    def _image_store_sources(self, kind: str) -> list[Source]:
        root = self.options.image_store
        return [self._source(kind, root, of_images=True)] if root else []

    def _additional_sources(self, kind: str) -> list[Source]:
        return [
            self._source(kind, root, read_only=True)
            for root in self.options.additional_image_stores
        ]

    def new_data_dir(self, kind: Kind) -> str:
        """Return the directory that holds the big data of new records of a kind."""
        root = self.options.image_store if kind == "images" else ""
        return self._dir(root or self.graph_root, kind)

    def data_dirs(self, kind: Kind) -> list[str]:
        """Return the directories of ours that hold the big data of a kind."""
        sources = {
            "layers": self.layers.sources,
            "images": self.images.sources,
            "containers": self.containers.sources,
        }[kind]
        return list(dict.fromkeys(s.data_dir for s in sources if not s.read_only))

    def make_dirs(self) -> None:
        """
        Make the directories and empty lock files that an opened store has.

        A store on a read-only medium, or one that we may only read, is taken as it is.
        """
        try:
            for directory in (
                self.graph_root,
                self.run_root,
                *(self._dir(self.graph_root, kind) for kind in ("layers", "images", "containers")),
                *(self._dir(self.run_root, kind) for kind in ("layers", "containers", "locks")),
                *self._image_store_dirs(),
            ):
                make_private_dir(directory)
            for lock in (
                self.graph_lock.path,
                self.userns_lock.path,
                *self.layers.lock.paths,
                *self.images.lock.paths,
                *self.containers.lock.paths,
                self.mount_table.lock.path,
            ):
                if not os.path.exists(lock):
                    os.close(os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644))
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
                raise
            if not os.path.isdir(self.graph_root):
                raise

    def watch_paths(self) -> tuple[str, ...]:
        """Return the directories in which a change of the store shows: JSON files and locks."""
        return (
            *(self._dir(self.graph_root, kind) for kind in ("layers", "images", "containers")),
            *(self._dir(self.run_root, kind) for kind in ("layers", "containers")),
            *self._image_store_dirs(),
            *(
                self._dir(root, kind)
                for root in self.options.additional_image_stores
                for kind in ("layers", "images")
            ),
        )

    def _image_store_dirs(self) -> list[str]:
        root = self.options.image_store
        return [self._dir(root, kind) for kind in ("layers", "images")] if root else []

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
        match kind:
            case "layers":
                return self.layers.current()
            case "images":
                return self.images.current()
            case "containers":
                return self.containers.current()

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
        if kind == "containers" and ref not in records and ref not in records.by_name:
            found = next((head.id for head in records.heads() if ref and head.layer == ref), None)
        found = found or records.resolve(ref)
        if found is None:
            if kind == "images":
                words = f'locating image with ID "{ref}": {ImageNotKnown.base_words}'
                raise ImageNotKnown(ref, words=words)
            raise _UNKNOWN[kind](ref)
        return found
