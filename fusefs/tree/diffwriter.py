"""
A diff.tar that is being written: kept in a file without a name, applied when it is closed.

    write(2) ──► spool, on the graph root's file system ──► flush ──► store.apply_diff

A close may be one of several, in the middle of the stream: `{ head -c 512; cat; } > diff.tar`. What
is no whole tar then is refused and changes nothing; the spool stays, for the next close.
"""

import os
import tempfile
import threading
from typing import TYPE_CHECKING, BinaryIO

from holdfs.core.errors import StoreReadOnly
from holdfs.fusefs.tree.node import File, Step

if TYPE_CHECKING:
    from holdfs.fusefs.tree.tree import Tree
    from holdfs.fusefs.tree.view import View


def check_fillable(view: "View", layer_id: str) -> None:
    """
    Raise unless a diff can be applied to the layer.

    Raises:
        OSError: EROFS where nothing can be written.
        StoreReadOnly: Others stand on the layer.
    """
    view.check_writable("layers", layer_id)
    snapshot = view.snapshot
    users = (*snapshot.children(layer_id), *snapshot.images_on(layer_id))
    if users:
        raise StoreReadOnly(
            f"layer {layer_id} can't be changed: {users[0]} stands on it; "
            "make a child with mkdir in its children/"
        )


def apply(tree: "Tree", layer_id: str, source_fd: int) -> None:
    """Apply a whole file to a layer, whose idle mount of ours goes. Takes as long as it takes."""
    with tree.diffs.applying(layer_id):
        # First, as what is mounted can't be replaced; and its user should not see it change.
        tree.automount.release("layers", layer_id)
        os.lseek(source_fd, 0, os.SEEK_SET)
        tree.store.apply_diff(layer_id, source_fd, unused=True, whole=True)


class DiffWriter:
    """Writes a layer's diff.tar; reads back what was written."""

    slow_read = True
    slow_write = True

    def __init__(
        self, node: File, tree: "Tree", layer_id: str, *, truncate: bool, append: bool
    ) -> None:
        self.node = node
        self._tree = tree
        self._layer_id = layer_id
        self._is_cut = truncate
        self._append = append
        #: Held while something is written, and while all of it is applied.
        self._lock = threading.Lock()
        self._spool: BinaryIO | None = None
        self._size = 0
        self._is_dirty = False
        self._failure: OSError | None = None

    @property
    def shown_size(self) -> int | None:
        return self._size if self._is_dirty or self._is_cut else None

    def read(self, view: "View", off: int, size: int) -> bytes:
        with self._lock:
            return b"" if self._spool is None else os.pread(self._spool.fileno(), size, off)

    def write(self, off: int, data: bytes) -> None:
        with self._lock:
            off = self._size if self._append else off
            try:
                _write_all(self._spool_fd(), off, data)
            except OSError as error:
                self._failure = error
                raise
            self._size = max(self._size, off + len(data))
            self._is_dirty = True

    def truncate(self, size: int) -> None:
        with self._lock:
            os.ftruncate(self._spool_fd(), size)
            self._size = size
            self._is_cut = True
            if not size:
                self._is_dirty = False
                self._failure = None

    def _spool_fd(self) -> int:
        if self._spool is None:
            # Not in memory, and where there has to be room for the content anyway.
            top = self._tree.store.graph_root
            self._spool = tempfile.TemporaryFile(dir=top, buffering=0)  # noqa: SIM115 - close() does
        return self._spool.fileno()

    def after_write(self) -> Step | None:
        return None

    def at_flush(self) -> Step | None:
        return self._apply if self._is_dirty else None

    def at_sync(self) -> Step | None:
        # In the middle of the stream it would be an error; close(2) brings all to the disk.
        return None

    def at_release(self) -> Step | None:
        return None

    def _apply(self) -> None:
        with self._lock:
            if not self._is_dirty or self._spool is None:
                return  # somebody else's close was quicker
            if self._failure is not None:
                raise self._failure
            self._is_dirty = False
            apply(self._tree, self._layer_id, self._spool.fileno())
            self._is_cut = False

    def close(self) -> None:
        if self._spool is not None:
            self._spool.close()


def _write_all(fd: int, off: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, off)
        view, off = view[written:], off + written
