"""
One mounted tree: the store it shows, and what lives in the mount alone.

    Tree ── view ──► the store at one moment, replaced whole when it changes
         ├─ refusals                the lines of `errors`
         ├─ events                  the lines of `events`
         ├─ hidden                  unlinked entries, ten seconds long
         ├─ made                    by-name directories with no name in them
         ├─ held                    links that `ln -f` makes to rename them over others
         ├─ scratch                 files of editors and savers
         ├─ items                   big-data items that are open for writing
         ├─ diffs                   diffs that are being read, shared by their readers
         ├─ layouts                 images as OCI layouts
         ├─ open_trees              content that is being read through `files`
         └─ usages                  what layers were found to hold

All of it is touched on the loop only, but for `load`, `events`, `items`, `diffs`,
`layouts`, `open_trees` and `usages`, which are for threads.
"""

import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from holdfs.core.store import Store
from holdfs.core.usage import Usages
from holdfs.fusefs.events import EventLog
from holdfs.fusefs.opentrees import OpenTrees
from holdfs.fusefs.scratch import ScratchFiles
from holdfs.fusefs.settings import Settings
from holdfs.fusefs.tree.diffs import Diffs
from holdfs.fusefs.tree.held import HeldLinks
from holdfs.fusefs.tree.hidden import Hidden
from holdfs.fusefs.tree.itemwriter import OpenItems
from holdfs.fusefs.tree.madedirs import MadeDirectories
from holdfs.fusefs.tree.node import KINDS
from holdfs.fusefs.tree.ocilayout import Layouts
from holdfs.fusefs.tree.refusals import Refusals
from holdfs.fusefs.tree.view import News, View


class Automount(Protocol):
    """What `rootfs` needs: see fusefs/automount.py."""

    def target(self, kind: str, object_id: str) -> str:
        """Mount if needed and return the path of the object's file system."""

    def release(self, kind: str, object_id: str) -> None:
        """Take down our own idle mount of an object that is to change; LayerMounted if in use."""


class Tree:
    """
    Args:
        clock: Seconds, never going back.
    """

    def __init__(
        self,
        store: Store,
        automount: Automount,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store = store
        self.automount = automount
        self.settings = settings
        self.clock = clock
        self.started_ns = time.time_ns()
        self.refusals = Refusals()
        self.hidden = Hidden(self.refusals, clock)
        self.made = MadeDirectories(clock)
        self.held = HeldLinks(clock)
        self.scratch = ScratchFiles(clock)
        self.items = OpenItems()
        self.diffs = Diffs(store, clock)
        self.layouts = Layouts(store)
        self.open_trees = OpenTrees(store, idle_s=settings.idle_s, clock=clock)
        self.usages = Usages(store)
        self._loading = threading.Lock()
        self._untold: deque[News] = deque()
        snapshot = store.snapshot()
        self.events = EventLog(snapshot)
        self.view = View.first(self, snapshot)

    def load(self) -> None:
        """
        Take what the store holds now as the view. For a thread.

        Views are published in the order they were read, whichever thread ends first; what they
        bring is there for `take_news`.
        """
        with self._loading:
            old = self.view
            snapshot = self.store.snapshot()
            if snapshot is not old.snapshot:
                self.view, news = old.follow(snapshot)
                self.events.note(old.snapshot, snapshot, news.changes)
                self._untold.append(news)

    def take_news(self) -> News | None:
        """Return what the kernel was not told yet, the oldest first and each once; None if all."""
        return self._untold.popleft() if self._untold else None

    def note(self, news: News) -> None:
        """Let go what was kept of objects that are gone."""
        for kind in KINDS:
            for object_id in getattr(news.changes, kind).removed:
                self.hidden.forget(object_id)
                self.scratch.forget(object_id)
        # Also those that somebody has come to stand on, or was mounted to be filled.
        for object_id in news.touched:
            self.diffs.forget(object_id)
        self.usages.forget(news.touched)
        self.open_trees.forget(news.touched)

    def check_writable(self) -> None:
        """Raise EROFS if nothing can be changed through this mount."""
        if self.settings.read_only:
            raise OSError(errno.EROFS, f"{self.settings.mount_point} is mounted read-only")

    def expire(self) -> None:
        """Let go what is over: hidden entries, scratch files, empty by-name directories."""
        self.hidden.expire()
        self.made.expire()
        self.scratch.expire()
        self.diffs.expire()
        self.open_trees.expire()

    def next_deadline(self) -> float | None:
        """Return when `expire` or a held link has something to do; None for never."""
        deadlines = (
            self.hidden.next_deadline(),
            self.made.next_deadline(),
            self.scratch.next_deadline(),
            self.held.next_deadline(),
            self.diffs.next_deadline(),
            self.open_trees.next_deadline(),
        )
        return min((d for d in deadlines if d is not None), default=None)

    def owner(self) -> tuple[int, int]:
        """Return uid and gid of everything."""
        return self.settings.uid, self.settings.gid

    def statfs(self) -> os.statvfs_result:
        """Return what the graph root's file system says of itself."""
        return os.statvfs(self.store.graph_root)
