"""
`diff.tar` of a layer: its changes as a tar, read at any offset; what is written is applied.

Nothing is computed for a stat: the size is the recorded one where the store can give back the very
bytes that were applied, else 0 until somebody has opened the file. (spec/tree.md, diff.tar)
"""

import errno
import os
from typing import TYPE_CHECKING, ClassVar

from holdfs.core.errors import InvalidValue, StoreDamaged
from holdfs.core.formats.records import Layer
from holdfs.fusefs.tree.ahead import Ahead, Piece
from holdfs.fusefs.tree.attributes import DiffTar
from holdfs.fusefs.tree.diffs import OpenDiff
from holdfs.fusefs.tree.diffwriter import DiffWriter, apply, check_fillable
from holdfs.fusefs.tree.handles import Reader, Writer
from holdfs.fusefs.tree.node import READ_ONLY_MODE, WRITABLE_MODE, Directory, File, Stat, Step, gone
from holdfs.fusefs.tree.view import View

if TYPE_CHECKING:
    from holdfs.fusefs.tree.objects import ObjectDir


class LayerTar(File):
    """A layer's diff, to be read."""

    __slots__ = ("_kept_digest", "layer_id")

    slow: ClassVar[bool] = True
    slow_open: ClassVar[bool] = True
    is_long = True

    def __init__(self, parent: Directory, name: str, layer_id: str) -> None:
        super().__init__(parent, name)
        self.layer_id = layer_id
        #: Of the diff that the kernel may have pages of; "" if that is not known.
        self._kept_digest = ""

    def attributes(self, view: View) -> Stat:
        layer_id = self.layer_id
        layer: Layer = view.subject("layers", layer_id).record
        mode = READ_ONLY_MODE if view.snapshot.is_settled(layer_id) else WRITABLE_MODE
        changed_ns = view.changed_ns("layers", layer_id)
        if (size := _recorded_size(view, layer)) is not None:
            return Stat(mode, size, changed_ns)
        size = view.tree.diffs.size(layer_id, _stamp(view, layer_id))
        return Stat(mode, size or 0, changed_ns, lasting=False)

    def open_reader(self, view: View) -> Reader:
        layer_id = self.layer_id
        layer: Layer = view.subject("layers", layer_id).record
        # Else it may be filled through its rootfs at any moment, and no record would tell.
        is_settled = bool(layer.diff_digest) or view.snapshot.is_settled(layer_id)
        stamp = _stamp(view, layer_id)
        diff = view.tree.diffs.open(layer_id, stamp, is_settled=is_settled)
        is_lasting = diff.segments.size == _recorded_size(view, layer)
        digest = layer.diff_digest if is_lasting else ""
        is_known = bool(digest) and digest == self._kept_digest
        self._kept_digest = digest
        return DiffReader(self, diff, view, layer if is_lasting else None, is_known=is_known)


class DiffTarFile(LayerTar):
    """The file `diff.tar`."""

    __slots__ = ()

    def __init__(self, parent: "ObjectDir", row: DiffTar) -> None:
        super().__init__(parent, row.name, parent.object_id)

    def open_writer(self, view: View, *, truncate: bool, append: bool) -> Writer:
        check_fillable(view, self.layer_id)
        return DiffWriter(self, view.tree, self.layer_id, truncate=truncate, append=append)

    def truncate(self, view: View, size: int) -> Step | None:
        # Cutting alone changes nothing, as for `names`: what is applied can't be taken back.
        check_fillable(view, self.layer_id)
        if size:
            raise InvalidValue("a diff can't be cut; what is written is applied as a whole")
        return None

    def replace_step(self, view: View, content: bytes) -> Step:
        """Return what applies `content`, as a saver's rename does."""
        tree, layer_id = view.tree, self.layer_id
        check_fillable(view, layer_id)

        def step() -> None:
            with open(os.memfd_create("diff.tar"), "wb", buffering=0) as memory:
                memory.write(content)
                apply(tree, layer_id, memory.fileno())

        return step


class DiffReader:
    """
    Reads the diff as it was when it was opened.

    Args:
        layer: Its record, where that says what the diff is: the kernel may then keep what is read.
        is_known: What the kernel has of the file by now is of the same diff.
    """

    slow_read = True

    def __init__(
        self, node: File, diff: OpenDiff, view: View, layer: Layer | None, *, is_known: bool
    ) -> None:
        self.is_known = is_known
        self.node = node
        self._diff = diff
        self._tree = view.tree
        self._layer = layer
        self._ahead = Ahead(diff.read, diff.segments.size, view.tree.diffs.places_ahead)

    @property
    def is_lasting(self) -> bool:
        """Whether what is read, and the size, stay as they are until the kernel hears of it."""
        return self._layer is not None

    @property
    def reads_ahead(self) -> bool:
        """Whether threads of its own are to be ended by `stop`."""
        return self._ahead.has_threads

    def expect(self, off: int, size: int) -> Piece | None:
        """Return what was read ahead, or still is, if it is what this request asks for."""
        return self._ahead.expect(off, size)

    def read(
        self, view: View, off: int, size: int, piece: Piece | None = None
    ) -> bytes | memoryview:
        """Return what is asked for; reads no disk with a piece that is done."""
        if self._layer is not None:
            # What the kernel keeps is for all handles: none may bring in what is old.
            now = view.snapshot.layers.get(self._layer.id)
            if now is not None and now.diff_digest != self._layer.diff_digest:
                raise OSError(errno.ESTALE, "the layer was filled anew while its diff was read")
        try:
            return self._diff.read(off, size) if piece is None else piece.result()[:size]
        except StoreDamaged:
            if self._tree.view.snapshot.layers.get(self._diff.layer_id) is None:
                raise gone(self.node.path) from None
            raise

    def stop(self) -> None:
        """Read no further ahead; waits for what is being read, so it is for a thread."""
        self._ahead.stop()

    def close(self) -> None:
        # Does something only where `stop` was not come to, as when the mount ends meanwhile: no
        # thread may read from what is freed now.
        self._ahead.stop()
        self._tree.diffs.close(self._diff)


def _recorded_size(view: View, layer: Layer) -> int | None:
    """Return the size of the diff where the store can give back what was applied. Looks there."""
    if not layer.diff_digest or layer.diff_size < 0:
        return None
    has_split = os.path.exists(view.tree.store.layers.tar_split_path(layer.id))
    return layer.diff_size if has_split else None


def _stamp(view: View, layer_id: str) -> bytes:
    return view.snapshot.layers.raw(layer_id)
