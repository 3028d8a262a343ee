"""
`big-data/`: one file per item, under its key, percent-encoded where it must be.

An item that is being made shows from its `create` on; the store has it after the first flush. Names
that savers use are scratch files, so that what they rename over an item is written once and whole.
"""

import errno
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from holdfs.core.errors import StoreDamaged
from holdfs.core.formats import bigdata
from holdfs.fusefs.scratch import Scratch, is_saver_name
from holdfs.fusefs.tree.attributes import BigData
from holdfs.fusefs.tree.encoding import BadSpelling, decode, entry_name, is_cut
from holdfs.fusefs.tree.handles import DescriptorReader, FrozenReader, Reader, Writer
from holdfs.fusefs.tree.itemwriter import ItemWriter
from holdfs.fusefs.tree.node import (
    DIRECTORY_MODE,
    READ_ONLY_MODE,
    WRITABLE_MODE,
    Directory,
    File,
    Node,
    Plan,
    Stat,
    Step,
    gone,
    refusal,
)
from holdfs.fusefs.tree.scratchfile import ScratchFile, check_scratch_name
from holdfs.fusefs.tree.view import View

if TYPE_CHECKING:
    from holdfs.fusefs.tree.objects import ObjectDir

#: Where scratch files of this directory are kept.
PLACE = "big-data/"


class BigDataDir(Directory):
    """The items of one object."""

    __slots__ = ()

    parent: "ObjectDir"

    def __init__(self, parent: "ObjectDir", row: BigData) -> None:
        super().__init__(parent, row.name)

    def attributes(self, view: View) -> Stat:
        kind, object_id = self.parent.kind, self.parent.object_id
        if object_id not in view.records(kind):
            raise gone(self.path)
        return Stat(DIRECTORY_MODE, 0, view.changed_ns(kind, object_id))

    def names(self, view: View) -> Sequence[str]:
        object_id = self.parent.object_id
        keys = dict.fromkeys((*self._keys(view), *view.tree.items.being_made(object_id)))
        shown = [entry_name(key) for key in keys]
        if view.tree.hidden:
            shown = [name for name in shown if not self._is_hidden(view, name)]
        return [*shown, *view.tree.scratch.names(object_id, PLACE)]

    def lookup(self, view: View, name: str) -> Node | None:
        scratch = view.tree.scratch.get(self.parent.object_id, PLACE, name)
        if scratch is not None:
            return ScratchFile(self, scratch)
        key = self._find(view, name)
        return None if key is None or self._is_hidden(view, name) else self._item(key)

    def _keys(self, view: View) -> Sequence[str]:
        keys: Sequence[str] = view.subject(
            self.parent.kind, self.parent.object_id
        ).record.big_data_names
        return keys

    def _find(self, view: View, name: str) -> str | None:
        """Return the key of an item that is there, hidden or not."""
        keys = (*self._keys(view), *view.tree.items.being_made(self.parent.object_id))
        if is_cut(name):
            return next((key for key in keys if entry_name(key) == name), None)
        try:
            key = decode(name)
        except BadSpelling:
            return None
        return key if key in keys and entry_name(key) == name else None

    def _is_hidden(self, view: View, name: str) -> bool:
        return view.tree.hidden.has(self.parent.object_id, PLACE + name)

    def _item(self, key: str) -> "Item":
        return (LayerItem if self.parent.kind == "layers" else Item)(self, key)

    def _new_key(self, view: View, name: str) -> str:
        """Return the key for an item to be made; raise if it can't be one."""
        known = self._find(view, name)
        if known is not None:
            return known
        if is_cut(name):
            raise refusal(errno.EINVAL, f"{name!r} is how a longer key is shown")
        key = decode(name)
        bigdata.file_name(key)
        return key

    def _is_scratch(self, view: View, name: str) -> bool:
        return is_saver_name(name) and self._find(view, name) is None

    def create(self, view: View, name: str, *, append: bool) -> tuple[File, Writer]:
        kind, object_id = self.parent.kind, self.parent.object_id
        view.check_writable(kind, object_id)
        check_scratch_name(name)
        if self._is_scratch(view, name):
            made = ScratchFile(self, view.tree.scratch.create(object_id, PLACE, name))
            return made, made.open_writer(view, truncate=False, append=append)
        item = self._item(self._new_key(view, name))
        writer = ItemWriter(
            item, b"", view.tree.items, view.tree.store, kind, object_id, item.key,
            truncate=True, append=append, is_new=True,
        )  # fmt: skip
        view.tree.hidden.show(object_id, PLACE + name)
        return item, writer

    def unlink(self, view: View, name: str) -> Plan | None:
        if view.tree.scratch.remove(self.parent.object_id, PLACE, name) is not None:
            return None
        return self.parent.hide(view, PLACE + name, always=True)

    def rename(
        self, view: View, name: str, new_parent: Directory, new_name: str, *, replace: bool
    ) -> Plan | None:
        tree, kind, object_id = view.tree, self.parent.kind, self.parent.object_id
        view.check_writable(kind, object_id)
        scratch = tree.scratch.get(object_id, PLACE, name)
        if not isinstance(new_parent, BigDataDir) or new_parent.parent.object_id != object_id:
            number = errno.EPERM if scratch is None else errno.EXDEV
            raise refusal(number, f"{name!r} can't be moved out of its object's big-data")
        if not replace and self.lookup(view, new_name) is not None:
            raise FileExistsError(errno.EEXIST, f"{new_name!r} is there already")
        to_scratch = self._is_scratch(view, new_name)
        if to_scratch:
            check_scratch_name(new_name)
        if scratch is not None and to_scratch:
            tree.scratch.rename(object_id, PLACE, name, new_name)
            return None
        if scratch is not None:
            return self._store(view, name, scratch, new_name)
        key = self._find(view, name)
        if key is None:
            raise gone(f"{self.path}/{name}")
        if to_scratch:
            return self._back_up(view, name, key, new_name)
        new_key = self._new_key(view, new_name)

        def after() -> None:
            tree.hidden.show(object_id, PLACE + new_name)
            tree.hidden.show(object_id, PLACE + name)

        def step() -> None:
            tree.items.finish(object_id, key)
            tree.store.rename_big_data(kind, object_id, key, new_key)

        return Plan(step, after)

    def _store(self, view: View, name: str, scratch: Scratch, new_name: str) -> Plan:
        """Plan the rename of a scratch file over an item, or to a new one."""
        tree, kind, object_id = view.tree, self.parent.kind, self.parent.object_id
        item = self._item(self._new_key(view, new_name))
        content = bytes(scratch.content)

        def after() -> None:
            tree.scratch.remove(object_id, PLACE, name)
            scratch.became = item
            tree.hidden.show(object_id, PLACE + new_name)

        return Plan(lambda: tree.store.set_big_data(kind, object_id, item.key, content), after)

    def _back_up(self, view: View, name: str, key: str, new_name: str) -> Plan:
        """Plan the rename of an item to a backup: it can't go, so its content is copied."""
        tree, kind, object_id = view.tree, self.parent.kind, self.parent.object_id
        copied: list[bytes] = []

        def step() -> None:
            tree.items.finish(object_id, key)
            copied.append(tree.store.read_big_data(kind, object_id, key))

        hiding = self.parent.hide(view, PLACE + name, always=True)
        return hiding._replace(step=step).then(
            lambda: tree.scratch.create(object_id, PLACE, new_name, copied[0])
        )


class Item(File):
    """One big-data item of an image or container, whose size its record tells."""

    __slots__ = ("key",)

    slow_open = True
    # As of other attributes that can be renamed: the inode is that of the old name.
    lasting_entry = False
    parent: BigDataDir

    def __init__(self, parent: BigDataDir, key: str) -> None:
        super().__init__(parent, entry_name(key))
        self.key = key

    def attributes(self, view: View) -> Stat:
        owner = self.parent.parent
        record = view.subject(owner.kind, owner.object_id).record
        changed_ns = view.changed_ns(owner.kind, owner.object_id)
        if self.key in record.big_data_names:
            return Stat(self._mode(view), self._size(view, record), changed_ns)
        if self.key in view.tree.items.being_made(owner.object_id):
            return Stat(WRITABLE_MODE, 0, changed_ns, lasting=False)
        raise gone(self.path)

    def _size(self, view: View, record: object) -> int:
        sizes: dict[str, int] = getattr(record, "big_data_sizes")  # noqa: B009 - of two kinds
        size = sizes.get(self.key)
        return size if size is not None else os.stat(self._file(view)).st_size

    def _mode(self, view: View) -> int:
        owner = self.parent.parent
        is_read_only = view.records(owner.kind).is_read_only(owner.object_id)
        return READ_ONLY_MODE if is_read_only else WRITABLE_MODE

    def _file(self, view: View) -> str:
        owner = self.parent.parent
        return view.tree.store.big_data_path(owner.kind, owner.object_id, self.key)

    def open_reader(self, view: View) -> Reader:
        owner = self.parent.parent
        record = view.subject(owner.kind, owner.object_id).record
        path = self._file(view)
        try:
            return DescriptorReader(self, path)
        except FileNotFoundError:
            written = view.tree.items.text(owner.object_id, self.key)
            if written is not None:
                return FrozenReader(self, written)
            if self.key not in record.big_data_names:
                raise
            raise StoreDamaged(path, "the file of a recorded big-data item is missing") from None

    def open_writer(self, view: View, *, truncate: bool, append: bool) -> Writer:
        owner = self.parent.parent
        view.check_writable(owner.kind, owner.object_id)
        store, items = view.tree.store, view.tree.items
        old = b""
        if not truncate:
            # Made a moment ago, its maker's release may be still to come.
            items.finish(owner.object_id, self.key)
            old = store.read_big_data(owner.kind, owner.object_id, self.key)
        return ItemWriter(
            self, old, items, store, owner.kind, owner.object_id, self.key,
            truncate=truncate, append=append,
        )  # fmt: skip

    def truncate(self, view: View, size: int) -> Step | None:
        owner = self.parent.parent
        view.check_writable(owner.kind, owner.object_id)

        def step() -> None:
            writer = self.open_writer(view, truncate=size == 0, append=False)
            try:
                writer.truncate(size)
                if (store_it := writer.at_release()) is not None:
                    store_it()
            finally:
                writer.close()

        return step


class LayerItem(Item):
    """One big-data item of a layer: no record tells its size, and no one when it is rewritten."""

    __slots__ = ()

    slow = True

    def attributes(self, view: View) -> Stat:
        stat = super().attributes(view)
        return stat._replace(lasting=False)

    def _size(self, view: View, record: object) -> int:
        return os.stat(self._file(view)).st_size
