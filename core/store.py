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

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from holdfs.core import bigdata, naming
from holdfs.core.config import StoreOptions
from holdfs.core.deleting import Deleting
from holdfs.core.errors import (
    BigDataNotKnown,
    LayerNotKnown,
    NotAnId,
    NotKnown,
    StoreReadOnly,
)
from holdfs.core.lockfile import make_private_dir
from holdfs.core.mounting import Mounting
from holdfs.core.recordset import Edit, RecordSet
from holdfs.core.relating import Relating
from holdfs.core.sets import Kind
from holdfs.drivers import open_driver

T = TypeVar("T")

_SINGULAR = {"layers": "layer", "images": "image", "containers": "container"}


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

    def find(self, ref: str) -> tuple[Kind, str]:
        """
        Return kind and full ID of what `ref` names, tried as layer, image, container.

        Raises:
            LayerNotKnown: It names nothing. (The words for every kind, as with the Go tools.)
        """
        snapshot = self.snapshot()
        kinds: tuple[Kind, ...] = ("layers", "images", "containers")
        for kind in kinds:
            try:
                return kind, self.full_id(kind, getattr(snapshot, kind), ref)
            except NotKnown:
                continue
        raise LayerNotKnown(ref)

    # -- one record: names, metadata, big data ---------------------------------------------------

    def _set(self, kind: Kind) -> RecordSet[Any]:
        found: RecordSet[Any] = getattr(self, kind)
        return found

    def _change(self, kind: Kind, ref: str, change: Callable[[Edit[Any], str], T]) -> T:
        """Run `change(edit, full ID)` under the lock of the kind."""
        with self._set(kind).edit() as edit:
            record_id = self.full_id(kind, edit.records, ref)
            if edit.records.is_read_only(record_id):
                raise StoreReadOnly(
                    f"{_SINGULAR[kind]} {record_id} belongs to an additional store, "
                    "which is read-only here"
                )
            return change(edit, record_id)

    def set_names(self, kind: Kind, ref: str, wanted: Sequence[str]) -> tuple[str, ...]:
        """Give the object exactly these names, taken from whoever has them; return them."""
        return self._change(
            kind, ref, lambda edit, record_id: naming.set_names(edit, record_id, wanted)
        )

    def add_names(self, kind: Kind, ref: str, added: Sequence[str]) -> tuple[str, ...]:
        """Give the object these names before its own; return all of them."""
        return self._change(
            kind, ref, lambda edit, record_id: naming.add_names(edit, record_id, added)
        )

    def append_names(self, kind: Kind, ref: str, added: Sequence[str]) -> tuple[str, ...]:
        """Give the object these names after its own; return all of them."""
        return self._change(
            kind, ref, lambda edit, record_id: naming.append_names(edit, record_id, added)
        )

    def remove_names(self, kind: Kind, ref: str, dropped: Sequence[str]) -> tuple[str, ...]:
        """Take these names from the object, which need not have them; return what is left."""
        return self._change(
            kind, ref, lambda edit, record_id: naming.remove_names(edit, record_id, dropped)
        )

    def rename(self, kind: Kind, old: str, new: str, *, replace: bool = True) -> str:
        """
        Put the name `new` in the place of `old`, on the object that has `old`; return its full ID.

        Args:
            replace: Take `new` from another object that has it.

        Raises:
            NotKnown: Nobody has the name `old`.
            DuplicateName: Somebody has `new`, and `replace` is False.
        """
        with self._set(kind).edit() as edit:
            return naming.rename(edit, _SINGULAR[kind], old, new, replace=replace)

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

    def metadata(self, ref: str) -> str:
        """Return the metadata of a layer, image or container, tried in this order."""
        try:
            kind, record_id = self.find(ref)
        except LayerNotKnown as error:
            raise NotAnId(ref) from error
        text: str = self._set(kind).current().one(record_id).metadata
        return text

    def set_metadata(self, kind: Kind, ref: str, text: str) -> None:
        """Replace the object's metadata."""
        naming.check_text(text)

        def change(edit: Edit[Any], record_id: str) -> None:
            record = edit.records.one(record_id)
            if record.metadata != text:
                edit.replace(msgspec.structs.replace(record, metadata=text))

        self._change(kind, ref, change)

    def big_data_path(self, kind: Kind, record_id: str, key: str) -> str:
        """Return where an item's file is, or would be; KeyError for an ID that is not there."""
        return bigdata.item_path(self._set(kind).current().data_dir(record_id), record_id, key)

    def read_big_data(self, kind: Kind, ref: str, key: str) -> bytes:
        """
        Return an item's content.

        Raises:
            BigDataNotKnown: There is no such item.
        """
        records = self._set(kind).current()
        record = records.one(self.full_id(kind, records, ref))
        return bigdata.read_item(records.data_dir(record.id), _SINGULAR[kind], record, key)

    def set_big_data(self, kind: Kind, ref: str, key: str, data: bytes) -> None:
        """Replace an item, or add it; size and digest are recorded where the kind has them."""

        def change(edit: Edit[Any], record_id: str) -> None:
            record = edit.records.one(record_id)
            directory = edit.records.data_dir(record_id)
            with bigdata.writing_item(directory, _SINGULAR[kind], record, key, data) as changed:
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
                raise BigDataNotKnown(_SINGULAR[kind], record_id, old)
            if old == new:
                return
            directory = edit.records.data_dir(record_id)
            data = bigdata.read_item(directory, _SINGULAR[kind], record, old)
            with bigdata.writing_item(directory, _SINGULAR[kind], record, new, data) as changed:
                edit.replace(bigdata.without_item(changed, old))
                edit.save()
            # Last: a crash before this leaves a file that no record names, and loses nothing.
            bigdata.remove_item(directory, record_id, old)

        self._change(kind, ref, change)
