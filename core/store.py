"""
The store: operations on more than one set of records, and the order of their locks.

    storage.lock → layers.lock → images.lock → containers.lock → mountpoints.lock

Whoever needs several takes them in this order. Holding layers.lock for writing is enough to know
that no image or container comes to use a layer, or goes: whoever makes or deletes one takes that
lock first. So images and containers are read without theirs when they are only looked at.
storage.lock is taken around mounting and shutdown only. Source: spec 6.

A `ref` is a full ID, a name, or an unambiguous prefix; every check then works on the full ID. (The
Go tools' DeleteLayer compares what it was given, and so misses its checks: spec 10.6.)
"""

from typing import Any

from holdfs.core import bigdata
from holdfs.core.changing import SINGULAR
from holdfs.core.config import StoreOptions
from holdfs.core.deleting import Deleting
from holdfs.core.errors import (
    BigDataNotKnown,
)
from holdfs.core.lockfile import make_private_dir
from holdfs.core.mounting import Mounting
from holdfs.core.recordset import Edit
from holdfs.core.relating import Relating
from holdfs.core.sets import Kind
from holdfs.drivers import open_driver


class Store(Relating, Deleting, Mounting):
    """One store, safe to use from several threads, beside any number of other programs."""

    @classmethod
    def open(cls, options: StoreOptions, *, lock_timeout_s: float | None = None) -> "Store":
        """
        Open the store, made if it is not there yet.

        Raises:
            DriverError: No driver can be used, or an option is wrong.
            ConfigError: The options name a store that we can't open.
            OSError: A directory could not be made.
        """
        # Before the driver makes its home below: the roots and their parents are private.
        for root in (options.run_root, options.graph_root):
            make_private_dir(root)
        driver = open_driver(
            options.driver,
            graph_root=options.graph_root,
            run_root=options.run_root,
            options=options.driver_options,
            priority=options.driver_priority,
            image_store=options.image_store,
        )
        store = cls(options, driver, lock_timeout_s=lock_timeout_s)
        store.make_dirs()
        return store

    def status(self) -> list[tuple[str, str]]:
        """Return what `status` shows, in order: roots, driver, and what the driver says."""
        return [
            ("Root", self.graph_root),
            ("Run Root", self.run_root),
            ("Driver Name", self.driver.name),
            ("Driver Options", f"[{' '.join(self.options.driver_options)}]"),
            *self.driver.status(),
        ]

    # -- one record: names, metadata, big data ---------------------------------------------------

    def pull_up(self, ref: str) -> None:
        """
        Copy an image that only an additional store has into ours, data items and all.

        It shadows the other one then, and can be changed. An image of ours stays as it is.

        Raises:
            ImageNotKnown: There is no such image.
            BigDataNotKnown: One of its items is gone.
        """
        with self.images.edit() as edit:
            image_id = self.full_id("images", edit.records, ref)
            if not edit.records.is_read_only(image_id):
                return
            image = edit.records.one(image_id)
            source, target = edit.records.data_dir(image_id), self.new_data_dir("images")
            # Files before the record, as when one is made.
            try:
                for key in image.big_data_names:
                    data = bigdata.read_item(source, "image", image, key)
                    bigdata.write_item(target, "image", image, key, data)
                edit.add(image)
                edit.save()
            except BaseException:
                bigdata.remove_items(target, image_id)
                raise

    def big_data_path(self, kind: Kind, record_id: str, key: str) -> str:
        """Return where an item's file is, or would be; KeyError for an ID that is not there."""
        return bigdata.item_path(self.set_of(kind).current().data_dir(record_id), record_id, key)

    def read_big_data(self, kind: Kind, ref: str, key: str) -> bytes:
        """
        Return an item's content.

        Raises:
            BigDataNotKnown: There is no such item.
        """
        records = self.set_of(kind).current()
        record = records.one(self.full_id(kind, records, ref))
        return bigdata.read_item(records.data_dir(record.id), SINGULAR[kind], record, key)

    def set_big_data(self, kind: Kind, ref: str, key: str, data: bytes) -> None:
        """Replace an item, or add it; size and digest are recorded where the kind has them."""

        def change(edit: Edit[Any], record_id: str) -> None:
            record = edit.records.one(record_id)
            directory = edit.records.data_dir(record_id)
            with bigdata.writing_item(directory, SINGULAR[kind], record, key, data) as changed:
                if changed != record:
                    edit.replace(changed)
                    edit.save()

        self._change(kind, ref, change)

    def rename_big_data(self, kind: Kind, ref: str, old: str, new: str) -> None:
        """
        Move an item to another key, in the place of what is there.

        Raises:
            BigDataNotKnown: There is no item `old`.
        """

        def change(edit: Edit[Any], record_id: str) -> None:
            record = edit.records.one(record_id)
            if old not in record.big_data_names:
                raise BigDataNotKnown(SINGULAR[kind], record_id, old)
            if old == new:
                return
            directory = edit.records.data_dir(record_id)
            data = bigdata.read_item(directory, SINGULAR[kind], record, old)
            with bigdata.writing_item(directory, SINGULAR[kind], record, new, data) as changed:
                edit.replace(bigdata.without_item(changed, old))
                edit.save()
            # Last: a crash before this leaves a file that no record names, and loses nothing.
            bigdata.remove_item(directory, record_id, old)

        self._change(kind, ref, change)
