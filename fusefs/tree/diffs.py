"""
Diffs that are open, or were a moment ago: one list of segments for all who read a layer's diff.tar.

    open ──► is one there, of the record as it is? ──► share it
                └─ else the store makes one; the next who opens that layer waits for it

Shared only if the content can't change behind the record's back: a layer that may still be filled
through its `rootfs` is looked at anew by each open. Safe to use from several threads.
"""

import errno
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from holdfs.core.errors import StoreDamaged
from holdfs.core.store import Store
from holdfs.drivers.base import DriverError

if TYPE_CHECKING:
    from holdfs.native.blocks import Blocks
    from holdfs.native.tarout import Segments

#: How long, and how many at most, are kept that nobody has open. Each holds a few descriptors.
KEPT_S: Final = 10.0
KEPT: Final = 4
#: The most that the kernel asks for at once, and how many such stay for the next readers.
_BLOCK: Final = 1 << 20
_BLOCKS: Final = 8
#: So many handles are read ahead for at a time: some MiB and two threads each.
_AHEAD: Final = 2


@contextmanager
def damage_of(layer_id: str) -> Iterator[None]:
    """Raise StoreDamaged where something of a layer is missing, or not what it was."""
    try:
        yield
    except (DriverError, OSError) as error:
        # A reader would take ENOENT for a layer that is gone, and it is this that is wrong.
        if error.errno not in (errno.EBADMSG, errno.ENOENT):
            raise
        raise StoreDamaged(f"the diff of layer {layer_id}", str(error)) from error


@dataclass(eq=False, slots=True)
class OpenDiff:
    """
    One list of segments.

    Attributes:
        stamp: The layer's record when it was made: another one makes it old.
        blocks: Which all that are open read into, and have together.
        users: Handles that read from it.
    """

    layer_id: str
    stamp: bytes
    segments: "Segments"
    blocks: "Blocks"
    users: int = 1

    def read(self, off: int, size: int) -> memoryview:
        """
        Return `size` bytes from `off` on, fewer only at the end.

        Raises:
            StoreDamaged: A file of the layer is not what it was, or is gone.
        """
        try:
            return self.segments.read(off, size, self.blocks)
        except OSError as error:
            if error.errno not in (errno.EBADMSG, errno.ENOENT):
                raise
            raise StoreDamaged(
                f"the diff of layer {self.layer_id}",
                "a file of the layer is not what it was",
                position=off,
            ) from error


@dataclass(eq=False, slots=True)
class _Slot:
    """What is kept of one layer: `size` with the record it was found for."""

    making: threading.Lock = field(default_factory=threading.Lock)
    applying: threading.Lock = field(default_factory=threading.Lock)
    size: tuple[bytes, int] | None = None


class Diffs:
    """
    Args:
        clock: Seconds, never going back.
    """

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self.places_ahead = threading.Semaphore(_AHEAD)
        self._store = store
        self._clock = clock
        self._mutex = threading.Lock()  # taken last, and never while waiting
        #: Of those that are open: freed with the last.
        self._blocks: Callable[[], Blocks | None] = lambda: None
        self._slots: dict[str, _Slot] = {}
        self._shared: dict[str, OpenDiff] = {}
        #: Those of `_shared` that nobody has open, oldest first, and until when they are kept.
        self._idle: OrderedDict[str, float] = OrderedDict()

    def size(self, layer_id: str, stamp: bytes) -> int | None:
        """Return the size that an earlier open has found, for this very record."""
        with self._mutex:
            slot = self._slots.get(layer_id)
            found = None if slot is None else slot.size
        return found[1] if found is not None and found[0] == stamp else None

    def open(self, layer_id: str, stamp: bytes, *, is_settled: bool) -> OpenDiff:
        """
        Return a layer's diff; may read all of the layer. To be closed with `close`.

        Args:
            stamp: The layer's record.
            is_settled: Its content does not change unless the record does.

        Raises:
            StoreDamaged: A directory of the layer is missing, or its tar-split can't be read.
            StoreError, DriverError, OSError: As `Store.open_diff`.
        """
        slot = self._slot(layer_id)
        if not is_settled:
            return self._make(slot, layer_id, stamp)
        with slot.making:
            with self._mutex:
                shared = self._shared.get(layer_id)
                if shared is not None and shared.stamp == stamp:
                    shared.users += 1
                    self._idle.pop(layer_id, None)
                    return shared
            made = self._make(slot, layer_id, stamp)
            with self._mutex:
                old = self._take_out(layer_id)
                self._shared[layer_id] = made
        _free(old)
        return made

    def close(self, diff: OpenDiff) -> None:
        """Count one user less; after the last it is kept for a while, if it is a shared one."""
        with self._mutex:
            diff.users -= 1
            if diff.users:
                return
            free = [diff]
            if self._shared.get(diff.layer_id) is diff:
                self._idle[diff.layer_id] = self._clock() + KEPT_S
                excess = list(self._idle)[: max(0, len(self._idle) - KEPT)]
                free = [old for i in excess if (old := self._take_out(i)) is not None]
        _free(*free)

    @contextmanager
    def applying(self, layer_id: str) -> Iterator[None]:
        """Let one after the other fill the layer, as the second finds what the first has put."""
        with self._slot(layer_id).applying:
            yield

    def forget(self, layer_id: str) -> None:
        """Let go what is kept of a layer that changed or was deleted; who has it open keeps it."""
        with self._mutex:
            slot = self._slots.get(layer_id)
            if slot is not None and not slot.making.locked() and not slot.applying.locked():
                del self._slots[layer_id]
            old = self._take_out(layer_id)
        _free(old)

    def expire(self) -> None:
        """Let go what nobody has opened again."""
        now = self._clock()
        with self._mutex:
            late = [layer_id for layer_id, deadline in self._idle.items() if deadline <= now]
            free = [self._take_out(layer_id) for layer_id in late]
        _free(*free)

    def next_deadline(self) -> float | None:
        """Return when `expire` has something to do."""
        with self._mutex:
            return min(self._idle.values(), default=None)

    def _slot(self, layer_id: str) -> _Slot:
        with self._mutex:
            return self._slots.setdefault(layer_id, _Slot())

    def _make(self, slot: _Slot, layer_id: str, stamp: bytes) -> OpenDiff:
        with damage_of(layer_id):
            segments = self._store.open_diff(layer_id)
        slot.size = (stamp, segments.size)
        from holdfs.native.blocks import Blocks  # with the engine, which is loaded by now

        with self._mutex:
            blocks = self._blocks()
            if blocks is None:
                blocks = Blocks(_BLOCK, _BLOCKS)
                self._blocks = weakref.ref(blocks)
        return OpenDiff(layer_id, stamp, segments, blocks)

    def _take_out(self, layer_id: str) -> OpenDiff | None:
        """Stop sharing it; return it if nobody has it open, to be freed. With the mutex held."""
        self._idle.pop(layer_id, None)
        old = self._shared.pop(layer_id, None)
        return old if old is not None and not old.users else None


def _free(*diffs: OpenDiff | None) -> None:
    for diff in diffs:
        if diff is not None:
            diff.segments.close()
