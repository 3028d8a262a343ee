"""
Big-data items that are open for writing: stored whole, at flush.

The kernel tells of a last close when it is over: `: > x; echo text > x` opens x again, and has
stored the text, before the first handle's release comes. What a handle has made or cut and never
written is stored at its release only if nobody has stored the item meanwhile.
"""

import errno
import threading
from dataclasses import dataclass, field

from holdfs.core.store import Store
from holdfs.fusefs.tree.handles import Buffered
from holdfs.fusefs.tree.node import File, Kind, Step, refusal

#: The longest item that can be written through the tree: it is held in memory.
ITEM_LIMIT = 256 << 20


class ItemWriter(Buffered):
    """
    Writes one item. To be entered in `OpenItems`, which `close` undoes.

    Args:
        is_new: The item is made by this handle, even if nothing is written.
    """

    limit = ITEM_LIMIT

    def __init__(
        self, node: File, old: bytes, items: "OpenItems", store: Store,
        kind: Kind, object_id: str, key: str,
        *, truncate: bool, append: bool, is_new: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(node, old, truncate=truncate, append=append)
        self.kind: Kind = kind
        self.object_id = object_id
        self.key = key
        self.is_new = is_new
        self._store = store
        self._items = items
        self._open_item = items.enter(self)

    def _check(self, off: int, data: bytes) -> None:
        self._fill(off)

    def truncate(self, size: int) -> None:
        if size > self.limit:
            raise refusal(errno.EFBIG, f"over {self.limit >> 20} MiB can't be written here")
        self._fill(size)
        super().truncate(size)

    def _fill(self, size: int) -> None:
        """Let a hole hold zeros, as files do."""
        if size > len(self.buffer):
            self.buffer.extend(bytes(size - len(self.buffer)))

    def at_flush(self) -> Step | None:
        if not self.is_dirty:
            return None
        content = bytes(self.buffer)
        return lambda: self._store_now(content, if_cut=False)

    def at_release(self) -> Step | None:
        # What could not be stored at flush was refused then: it must not come in after that.
        if not self.is_cut or self.is_dirty:
            return None
        content = bytes(self.buffer)
        return lambda: self._store_now(content, if_cut=True)

    def _store_now(self, content: bytes, *, if_cut: bool) -> None:
        # One at a time for an item, in the order they came.
        with self._open_item.lock:
            if if_cut and not self.is_cut:
                return
            self._store.set_big_data(self.kind, self.object_id, self.key, content)
            self.is_dirty = False
            for writer in self._open_item.writers:
                writer.is_cut = False

    def close(self) -> None:
        self._items.leave(self)


@dataclass(slots=True, eq=False)
class _OpenItem:
    lock: threading.Lock = field(default_factory=threading.Lock)
    writers: list[ItemWriter] = field(default_factory=list)


class OpenItems:
    """All items open for writing. Safe to use from several threads."""

    def __init__(self) -> None:
        self._items: dict[tuple[str, str], _OpenItem] = {}
        self._mutex = threading.Lock()

    def enter(self, writer: ItemWriter) -> _OpenItem:
        """Add a writer, and return what it shares with others of the item."""
        with self._mutex:
            item = self._items.setdefault((writer.object_id, writer.key), _OpenItem())
            item.writers.append(writer)
            return item

    def leave(self, writer: ItemWriter) -> None:
        """Take a writer out again."""
        with self._mutex:
            item = self._items[writer.object_id, writer.key]
            item.writers.remove(writer)
            if not item.writers:
                del self._items[writer.object_id, writer.key]

    def being_made(self, object_id: str) -> list[str]:
        """Return the keys of items of this object that the store may not have yet."""
        if not self._items:
            return []
        with self._mutex:
            return [
                key
                for (owner, key), item in self._items.items()
                if owner == object_id and any(writer.is_new for writer in item.writers)
            ]

    def text(self, object_id: str, key: str) -> bytes | None:
        """Return what was written so far of an item that is being made."""
        maker = self._maker(object_id, key)
        return None if maker is None else bytes(maker.buffer)

    def finish(self, object_id: str, key: str) -> None:
        """Store an item that is being made now, not only at its release. For a thread."""
        maker = self._maker(object_id, key)
        if maker is not None and (step := maker.at_release()) is not None:
            step()

    def _maker(self, object_id: str, key: str) -> ItemWriter | None:
        with self._mutex:
            item = self._items.get((object_id, key), _OpenItem())
            return next((writer for writer in item.writers if writer.is_new), None)
