"""
The sets of records of one store, to be changed as well as looked at (looking.py).

    G/storage.lock  G/userns.lock
"""

from __future__ import annotations

import errno
import os

from holdfs.core.changing import Changing
from holdfs.core.config import StoreOptions
from holdfs.core.formats.shapes import CONTAINERS, IMAGES
from holdfs.core.layers import Layers
from holdfs.core.lockfile import make_private_dir
from holdfs.core.looking import Places
from holdfs.core.recordset import RecordSet
from holdfs.drivers.base import Driver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from holdfs.core.formats.records import Container, Image
    from holdfs.core.looking import Kind as Kind
else:
    Kind = str


class Sets(Changing):
    """
    What every operation stands on.

    Args:
        lock_timeout_s: How long any one lock is waited for; None for ever.
    """

    def __init__(
        self, options: StoreOptions, driver: Driver, *, lock_timeout_s: float | None = None
    ) -> None:
        places = Places(options, driver.name, lock_timeout_s=lock_timeout_s)
        super().__init__(options, places)
        self.driver = driver
        self.graph_root = options.graph_root
        self.run_root = options.run_root
        self.lock_timeout_s = lock_timeout_s
        self.layers: Layers = Layers(
            driver,
            places.dir(self.graph_root, "layers"),
            places.layers_lock,
            places.layer_sources,
        )
        self.images: RecordSet[Image] = RecordSet(IMAGES, places.images_lock, places.image_sources)
        self.containers: RecordSet[Container] = RecordSet(
            CONTAINERS, places.containers_lock, places.container_sources
        )
        self.graph_lock = places.graph_lock
        self.userns_lock = places.userns_lock

    def set_of(self, kind: Kind) -> RecordSet[Any]:
        """Return the set of a kind."""
        found: RecordSet[Any] = getattr(self, kind)
        return found

    def new_data_dir(self, kind: Kind) -> str:
        """Return the directory that holds the big data of new records of a kind."""
        root = self.options.image_store if kind == "images" else ""
        return self.places.dir(root or self.graph_root, kind)

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
            for directory in self.places.dirs:
                make_private_dir(directory)
            for lock in self.places.locks:
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
            *(
                self.places.dir(self.graph_root, kind)
                for kind in ("layers", "images", "containers")
            ),
            *(self.places.dir(self.run_root, kind) for kind in ("layers", "containers")),
            *self._image_store_dirs(),
            *(
                self.places.dir(root, kind)
                for root in self.options.additional_image_stores
                for kind in ("layers", "images")
            ),
        )

    def _image_store_dirs(self) -> list[str]:
        root = self.options.image_store
        return [self.places.dir(root, kind) for kind in ("layers", "images")] if root else []
