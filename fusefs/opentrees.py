"""
The trees of layers that `files` is served from, each by a descriptor of its top.

    content that is fixed    a private read-only view, in no tree of mounts, kept until it is idle
    what may change still    the same, or where the store has it mounted a copy of that mount: for
                             a second, as what others change shows in the next one for certain

Looking counts no mount in the store's table and keeps none busy, so nothing waits for it to end: a
layer can be deleted, a container unmounted. What is open keeps its own tree alive.
"""

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from holdfs.core.snapshot import Snapshot
from holdfs.core.store import Store
from holdfs.core.viewing import open_view
from holdfs.native.inside import clone_mount

log = logging.getLogger(__name__)

#: How long a tree that may change is looked at before it is opened anew.
BRIEF_S: Final = 1.0
#: So many are kept though nobody reads in them: each is a mount and a descriptor.
_KEPT: Final = 64


@dataclass(slots=True, eq=False)
class _OpenTree:
    """
    Attributes:
        fd: Its top; -1 until it is open, which happens under `opening`.
        users: How many read in it now; with the mutex.
        is_kept: It is in the table; who is the last to leave one that is not, closes it.
        until: When to look for something else in its place, on the clock.
    """

    layer_id: str
    until: float
    fd: int = -1
    users: int = 0
    is_kept: bool = True
    opening: threading.Lock = field(default_factory=threading.Lock)


class OpenTrees:
    """
    For any thread.

    Args:
        idle_s: After how long an unused tree is let go; 0 for never.
        clock: Seconds, never going back.
    """

    def __init__(self, store: Store, *, idle_s: float, clock: Callable[[], float]) -> None:
        self._store = store
        self._idle_s = idle_s
        self._clock = clock
        self._mutex = threading.Lock()  # taken last, and never while waiting
        #: By layer ID, the one that was used last at the end.
        self._kept: OrderedDict[str, _OpenTree] = OrderedDict()
        #: How many were opened so far: one more means that `next_deadline` is another.
        self.opened = 0
        self._layers: dict[tuple[str, str], str] = {}
        self._layers_of: Snapshot | None = None

    @contextmanager
    def top(self, layer_id: str, *, is_fixed: bool) -> Iterator[int]:
        """
        Give a descriptor of the top directory of what the layer shows; mounts it if need be.

        Args:
            is_fixed: Its content can't change.

        Raises:
            StoreError, DriverError, OSError: It can't be mounted.
        """
        tree = self._enter(layer_id, is_fixed=is_fixed)
        try:
            if tree.fd < 0:
                with tree.opening:
                    if tree.fd < 0:
                        tree.fd = self._open(layer_id, is_fixed=is_fixed)
                        self.opened += 1
            yield tree.fd
        finally:
            self._leave(tree)

    def layer_of(self, snapshot: Snapshot, kind: str, object_id: str) -> str:
        """
        Return the layer that shows the content of an object, remembered for this snapshot.

        Raises:
            NotKnown: The object is gone, or has no layer.
        """
        if kind == "layers":
            return object_id
        with self._mutex:
            if self._layers_of is not snapshot:
                self._layers, self._layers_of = {}, snapshot
            found = self._layers.get((kind, object_id))
        if found is None:
            store = self._store
            # By what the store holds now: at worst it is newer than the snapshot.
            found = (store.image_layer if kind == "images" else store.layer_of)(object_id)
            with self._mutex:
                if self._layers_of is snapshot:
                    self._layers[kind, object_id] = found
        return found

    def forget(self, layer_ids: Iterable[str]) -> None:
        """Let go the trees of layers that changed or were deleted, as soon as nobody reads them."""
        with self._mutex:
            late = [self._kept[i] for i in layer_ids if i in self._kept]
            free = self._take_out(late)
        _close(free)

    def expire(self) -> None:
        """Let go what nobody has used lately."""
        now = self._clock()
        with self._mutex:
            idle = [t for t in self._kept.values() if t.until <= now and not t.users]
            free = self._take_out(idle)
        _close(free)

    def next_deadline(self) -> float | None:
        """Return when `expire` has something to do."""
        # One that is being read is looked at again later: nobody tells when its reader is done.
        later = self._clock() + BRIEF_S
        with self._mutex:
            trees = self._kept.values()
            ends = [max(tree.until, later) if tree.users else tree.until for tree in trees]
        first = min(ends, default=float("inf"))
        return None if first == float("inf") else first

    # -- with the mutex ------------------------------------------------------------------------

    def _enter(self, layer_id: str, *, is_fixed: bool) -> _OpenTree:
        now = self._clock()
        free: list[_OpenTree] = []
        with self._mutex:
            tree = self._kept.get(layer_id)
            if tree is not None and not is_fixed and tree.until <= now:
                free = self._take_out([tree])
                tree = None
            if tree is None:
                tree = self._kept[layer_id] = _OpenTree(layer_id, now + BRIEF_S)
            if is_fixed:
                tree.until = now + self._idle_s if self._idle_s else float("inf")
            tree.users += 1
            self._kept.move_to_end(layer_id)
            excess = len(self._kept) - _KEPT
            if excess > 0:
                unused = [t for t in self._kept.values() if not t.users]
                free += self._take_out(unused[:excess])
        _close(free)
        return tree

    def _leave(self, tree: _OpenTree) -> None:
        with self._mutex:
            tree.users -= 1
            if tree.fd < 0 and tree.is_kept and not tree.users:
                self._take_out([tree])  # it could not be opened
            is_last = not tree.users and not tree.is_kept
        if is_last:
            _close([tree])

    def _take_out(self, trees: Iterable[_OpenTree]) -> list[_OpenTree]:
        """Drop these from the table, and return those that are to be closed now."""
        free = []
        for tree in trees:
            del self._kept[tree.layer_id]
            tree.is_kept = False
            if not tree.users:
                free.append(tree)
        return free

    # -- without ---------------------------------------------------------------------------------

    def _open(self, layer_id: str, *, is_fixed: bool) -> int:
        store = self._store
        if not is_fixed:
            known = store.snapshot().mounts.get(layer_id)
            if known is not None and store.driver.is_mounted(layer_id):
                return clone_mount(known.path)
        return open_view(store.driver, store.run_root, layer_id)


def _close(trees: Iterable[_OpenTree]) -> None:
    for tree in trees:
        if tree.fd >= 0:
            os.close(tree.fd)
            tree.fd = -1
