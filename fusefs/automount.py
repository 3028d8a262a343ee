"""
Give the path that `rootfs` leads to: mounted when somebody follows the link, gone when idle.

    image, layer with a child or an image ── view: private, read-only, in the run root (rundir.py)
    container, layer that may be written ─── the store's own mount, counted once for us
    mounted already by another tool ──────── that mount, not counted by us

"Idle" is the kernel's word (umount2(2), MNT_EXPIRE): marked, and not used for `idle_s`. Any walk
through the mount takes the mark off, a stat of ours too: so what expires may not look first.
Counted mounts are marked and unmounted under the store's locks: no other tool's count is cheated.
In a user namespace each is bound once more, where those outside are sent (cover.py).
"""

import errno
import logging
import os
import threading
import time
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakValueDictionary

from holdfs.core.errors import (
    LayerMounted,
    LayerNotKnown,
    NotKnown,
    StoreError,
)
from holdfs.core.snapshot import Snapshot
from holdfs.core.store import Store
from holdfs.drivers.base import DriverError
from holdfs.fusefs.cover import Cover
from holdfs.fusefs.rundir import RunDirectory, clear_left_behind
from holdfs.native import mount
from holdfs.native.expiring import Expiry, umount_expire

log = logging.getLogger(__name__)

#: A use that falls between the mark and the removal only marks again; so may one by others.
_RELEASE_ROUNDS: Final = 5
_SHORTEST_PAUSE_S: Final = 0.02


@dataclass(slots=True, eq=False, weakref_slot=True)
class _Slot:
    """
    One layer's mount of one sort. `lock` covers a link being read and its mount, an expiry and the
    removal of the mount point: nobody is sent to a bare directory.

    Attributes:
        path: Where it is mounted; "" when it is not.
        place: Where people are sent to.
        due: When to look whether it is idle (monotonic clock).
    """

    layer_id: str
    is_view: bool
    lock: threading.Lock = field(default_factory=threading.Lock)
    path: str = ""
    place: str = ""
    due: float = 0.0


class Automount:
    """
    The mounts behind `rootfs`. What a crashed daemon has left is cleared at once.

    Safe to call from several threads, but for `close`, which comes last.

    Args:
        idle_s: After how long an unused mount is taken down; 0 for never.
        read_only: Views only, also of what may be written: nothing in the store is changed.
        cover: Of a daemon in a namespace of its own.
    """

    def __init__(
        self, store: Store, *, idle_s: float, read_only: bool = False, cover: Cover | None = None
    ) -> None:
        self._store = store
        self._idle_s = idle_s
        self._grace_s = min(1.0, idle_s / 4)
        self._read_only = read_only
        self._cover = cover
        # Into our mount namespace: the user's programs are in another one.
        self._way_in = f"/proc/{os.getpid()}/root" if cover is not None else ""
        self._mutex = threading.Lock()  # for what follows; taken last, and never while waiting
        # Those in use: whose mount is there, or that somebody is about to mount.
        self._slots: WeakValueDictionary[tuple[str, bool], _Slot] = WeakValueDictionary()
        self._mounted: dict[_Slot, None] = {}
        self._making_directory = threading.Lock()
        self._run_directory: RunDirectory | None = None
        clear_left_behind(store, timeout_s=store.lock_timeout_s)
        # Readable while something of ours is mounted that can expire.
        self._eventfd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def fileno(self) -> int:
        """Return a descriptor that is readable while `expire` has something to look after."""
        return self._eventfd

    def target(self, kind: str, object_id: str) -> str:
        """
        Return the path by which everybody gets to the object's file system, mounted now.

        Args:
            kind: "layers", "images" or "containers".

        Raises:
            NotKnown: The object is gone, or has no layer.
            StoreError, DriverError, OSError: It can't be mounted.
        """
        snapshot = self._store.snapshot()
        layer_id = self._layer_of(snapshot, kind, object_id)
        is_view = self._read_only or kind == "images" or snapshot.is_settled(layer_id)
        slot = self._slot(layer_id, is_view)
        with slot.lock:
            if slot.path and not self._visit(slot):
                self._forget_lost(slot)
            if not slot.path:
                known = snapshot.mounts.get(layer_id)
                if known is not None and self._store.driver.is_mounted(layer_id):
                    return self._way_in + known.path
                self._mount(slot)
            # Whoever is sent there needs a moment to arrive; then its mark tells of any use.
            slot.due = time.monotonic() + self._grace_s
            return self._way_in + slot.place

    def release(self, kind: str, object_id: str) -> None:
        """
        Unmount what is ours of an object that is to be deleted or to stand on another, without
        waiting until it is idle.

        Raises:
            LayerMounted: Somebody uses it.
        """
        try:
            layer_id = self._layer_of(self._store.snapshot(), kind, object_id)
        except NotKnown:
            return
        for slot in self._slots_of(layer_id):
            with slot.lock:
                if slot.path and not self._try_unmount(slot):
                    shown = self._way_in + slot.place
                    raise LayerMounted(f"{shown} is in use: leave it and close its files first")

    def expire(self) -> float:
        """
        Take down what is idle, and what belongs to layers that were deleted unless it is in use.

        What can't be taken down is tried again later. Call it after changes of the store, too.

        Returns:
            After how many seconds to call again, if `fileno` is readable then.
        """
        with self._mutex:
            slots = list(self._mounted)
        layers = self._store.snapshot().layers
        for slot in slots:
            is_deleted = layers.damage is None and slot.layer_id not in layers
            # A lock held by somebody: then the mount is being used.
            if (is_deleted or slot.due <= time.monotonic()) and slot.lock.acquire(blocking=False):
                try:
                    if slot.path:
                        self._expire(slot, is_deleted=is_deleted)
                finally:
                    slot.lock.release()
        with self._mutex:
            first = min((slot.due for slot in self._mounted), default=0.0)
        return max(_SHORTEST_PAUSE_S, min(first - time.monotonic(), self._idle_s / 4))

    def close(self) -> None:
        """Unmount all that is ours, also what is in use: its users keep what they have open."""
        if self._run_directory is not None:
            try:
                if self._give_back(self._run_directory):
                    self._run_directory.remove()
                else:
                    self._run_directory.leave()
            except OSError as error:
                log.warning("what holdfs keeps in the run root is not quite cleared: %s", error)
        os.close(self._eventfd)

    def _give_back(self, directory: RunDirectory) -> bool:
        """Unmount all that is counted; False if some of it is left to the next daemon."""
        try:
            for layer_id in self._counted():
                directory.give_back(self._store, layer_id)
        except (StoreError, DriverError, OSError) as error:
            # The others would fail too, after waiting as long for the lock.
            log.warning("mounts stay counted until the next start: %s", error)
            return False
        return True

    # -- one slot, its lock held ---------------------------------------------------------------

    def _mount(self, slot: _Slot) -> None:
        directory = self._directory()
        if slot.is_view:
            slot.path = self._mount_view(directory, slot)
        else:
            slot.path = self._store.mount(slot.layer_id)
        with self._mutex:
            if not self._mounted and self._idle_s:
                os.eventfd_write(self._eventfd, 1)
            self._mounted[slot] = None
            if not slot.is_view:
                # Noted after it is counted. The other way round, a crash in between would make
                # the next daemon give back a count that is another tool's.
                directory.write_counted(self._counted())
        slot.place = slot.path
        if self._cover is not None:
            slot.place = self._cover.bind(slot.path, slot.layer_id)

    def _mount_view(self, directory: RunDirectory, slot: _Slot) -> str:
        path = directory.make_mount_point(slot.layer_id)
        try:
            self._store.driver.mount_view(slot.layer_id, path)
        except BaseException:
            os.rmdir(path)
            raise
        return path

    def _visit(self, slot: _Slot) -> bool:
        """Use the mount, so that a mark set before is gone; False if it is not there any more."""
        try:
            os.stat(slot.place)
        except FileNotFoundError:
            return False
        if slot.is_view:
            return mount.is_mount_point(slot.path)
        return self._store.driver.is_mounted(slot.layer_id)

    def _forget_lost(self, slot: _Slot) -> None:
        """Somebody else unmounted it. Our count, if it is still there, is given back."""
        if not slot.is_view and self._store.mounted(slot.layer_id):
            self._store.unmount(slot.layer_id)
        self._discard(slot)

    def _expire(self, slot: _Slot, *, is_deleted: bool) -> None:
        now = time.monotonic()
        try:
            if is_deleted and self._try_unmount(slot):
                return
            outcome = self._unmount_if_idle(slot)
        except (StoreError, DriverError, OSError) as error:
            log.warning("%s could not be unmounted, trying again: %s", slot.path, error)
            outcome = Expiry.BUSY
        if outcome is Expiry.UNMOUNTED:
            self._discard(slot)
        elif outcome is Expiry.MARKED:
            slot.due = now - self._grace_s + self._idle_s
        else:
            slot.due = now + self._idle_s / 2

    def _try_unmount(self, slot: _Slot) -> bool:
        """Unmount it now unless somebody is in it."""
        for _ in range(_RELEASE_ROUNDS):
            outcome = self._unmount_if_idle(slot)
            if outcome is Expiry.UNMOUNTED:
                self._discard(slot)
                return True
            if outcome is Expiry.BUSY:
                return False
        return False

    def _unmount_if_idle(self, slot: _Slot) -> Expiry:
        if self._cover is None or slot.place == slot.path:
            return self._unmount_path_if_idle(slot)
        outcome = self._cover.unbind_if_idle(slot.place)
        if outcome is not Expiry.UNMOUNTED:
            return outcome
        slot.place = slot.path
        # Nobody was sent to this one: it needs no time of its own to show that it is idle.
        outcome = self._unmount_path_if_idle(slot)
        return self._unmount_path_if_idle(slot) if outcome is Expiry.MARKED else outcome

    def _unmount_path_if_idle(self, slot: _Slot) -> Expiry:
        try:
            if slot.is_view:
                return umount_expire(slot.path)
            return self._store.unmount_if_idle(slot.layer_id)
        except NotKnown:
            return Expiry.UNMOUNTED  # the layer was deleted, its mount and count with it
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOENT):
                raise
            return Expiry.UNMOUNTED  # somebody else was quicker

    def _discard(self, slot: _Slot) -> None:
        """Note that it is not mounted any more."""
        path, slot.path, slot.place = slot.path, "", ""
        if slot.is_view:
            try:
                os.rmdir(path)
            except OSError as error:
                log.warning("the mount point %s stays: %s", path, error.strerror)
        with self._mutex:
            del self._mounted[slot]
            if not slot.is_view and self._run_directory is not None:
                self._run_directory.write_counted(self._counted())
            if not self._mounted and self._idle_s:
                os.eventfd_read(self._eventfd)

    # -- slots and the run directory -----------------------------------------------------------

    def _slot(self, layer_id: str, is_view: bool) -> _Slot:
        key = (layer_id, is_view)
        with self._mutex:
            return self._slots.setdefault(key, _Slot(layer_id, is_view))

    def _slots_of(self, layer_id: str) -> list[_Slot]:
        with self._mutex:
            found = (self._slots.get((layer_id, is_view)) for is_view in (True, False))
            return [slot for slot in found if slot is not None]

    def _counted(self) -> list[str]:
        return [slot.layer_id for slot in self._mounted if not slot.is_view]

    def _directory(self) -> RunDirectory:
        """Made at the first mount: a daemon that mounts nothing leaves the run root alone."""
        with self._making_directory:
            if self._run_directory is None:
                self._run_directory = RunDirectory(
                    self._store.run_root, timeout_s=self._store.lock_timeout_s
                )
            return self._run_directory

    def _layer_of(self, snapshot: Snapshot, kind: str, object_id: str) -> str:
        if kind == "images":
            return self._store.image_layer(object_id)
        if kind == "containers":
            return self._store.layer_of(object_id)
        if object_id not in snapshot.layers:
            raise LayerNotKnown(object_id)
        return object_id
