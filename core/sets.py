"""
The sets of records of one store, where they lie, and one view of them all.

    G/storage.lock  G/userns.lock
    G/D-layers/{layers.json,volatile-layers.json,layers.lock}
    G/D-images/{images.json,images.lock}
    G/D-containers/{containers.json,volatile-containers.json,containers.lock}
    R/D-layers/{mountpoints.json,mountpoints.lock}

With `transient_store` the volatile files and containers.lock lie in the run root. Source: spec 1.
"""

import errno
import os
import threading
from typing import Any, Literal

from holdfs.core.config import StoreOptions
from holdfs.core.errors import (
    ConfigError,
    ContainerNotKnown,
    ImageNotKnown,
    LayerNotKnown,
    NotKnown,
    StoreDamaged,
)
from holdfs.core.formats.records import Container, Image, Layer
from holdfs.core.layers import Layers
from holdfs.core.lockfile import LockFile, make_private_dir
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
        if options.image_store:
            raise ConfigError(
                f"the store keeps its images apart, in {options.image_store}: "
                "such a split store can't be opened yet"
            )
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
            self._lock(layers_dir, "layers.lock"),
            self._sources("layers", volatile_root),
        )
        self.images = RecordSet(
            Image,
            self._lock(self._dir(self.graph_root, "images"), "images.lock"),
            self._sources("images", ""),
        )
        self.containers = RecordSet(
            Container,
            self._lock(self._dir(volatile_root, "containers"), "containers.lock"),
            self._sources("containers", volatile_root),
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

    def _sources(self, kind: str, volatile_root: str) -> list[Source]:
        found = [Source(os.path.join(self._dir(self.graph_root, kind), f"{kind}.json"))]
        if volatile_root:
            path = os.path.join(self._dir(volatile_root, kind), f"volatile-{kind}.json")
            found.append(Source(path, volatile=True))
        return found + [
            Source(os.path.join(self._dir(root, kind), f"{kind}.json"), read_only=True)
            for root in self.options.additional_image_stores
            if kind != "containers"
        ]

    def set_dir(self, kind: Kind) -> str:
        """Return the directory that holds the records and big data of a kind."""
        return self._dir(self.graph_root, kind)

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
            ):
                make_private_dir(directory)
            for lock in (
                self.graph_lock.path,
                self.userns_lock.path,
                self.layers.lock.path,
                self.images.lock.path,
                self.containers.lock.path,
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
        )

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
