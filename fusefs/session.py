"""
One mount being served: the view that is current, what the kernel knows, and where work runs.

    change of ours    step in a thread ► load ► publish ► kernel told of all published ► reply
    change of others  refresh          ► load ► publish ► kernel told

Handlers (operations.py) translate requests; here is what they share. All of it runs on the loop.
"""

import errno
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final, TypeVar

import trio

from holdfs.core.errors import StoreDamaged, StoreError
from holdfs.core.store import Store
from holdfs.drivers.base import DriverError
from holdfs.fusefs import invalidate
from holdfs.fusefs.attrs import Attributes, Reply
from holdfs.fusefs.deadlines import Deadlines
from holdfs.fusefs.errnos import errno_of, is_foreseen, is_refusal, reason_of
from holdfs.fusefs.handles import Handles, OpenDirectory
from holdfs.fusefs.inodes import Inodes
from holdfs.fusefs.mountpoint import widen_read_ahead
from holdfs.fusefs.replies import Kept, Listings
from holdfs.fusefs.settings import Settings
from holdfs.fusefs.tree.content import ContentDir
from holdfs.fusefs.tree.difftar import DiffReader
from holdfs.fusefs.tree.handles import Reader, Writer
from holdfs.fusefs.tree.node import (
    READ_ONLY_MODE,
    Directory,
    File,
    Node,
    Plan,
    Stat,
    gone,
    refusal,
)
from holdfs.fusefs.tree.root import Root
from holdfs.fusefs.tree.tree import Automount, Tree
from holdfs.fusefs.tree.view import News, View

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Attributes of an entry that is listed although it can't be read.
UNREADABLE: Final = Stat(READ_ONLY_MODE, 0, 0, lasting=False)
#: How many entries of content are read together: what the kernel takes at once is half of that.
_AHEAD: Final = 64
#: How long the changes of others may wait to be shown until one of ours is done.
_OWN_CHANGE_S: Final = 0.05
#: Requests whose first argument is a file handle.
_BY_HANDLE: Final = frozenset({"read", "write", "flush", "fsync", "release"})


class Session:
    """
    Args:
        store: Open; all that is read comes from its snapshots.
        automount: Gives `rootfs` its targets.
    """

    def __init__(self, store: Store, automount: Automount, settings: Settings) -> None:
        self.tree = Tree(store, automount, settings)
        self.is_strict = settings.strict
        self.inodes = Inodes(Root())
        self.files: Handles[Reader | Writer] = Handles()
        self.directories: Handles[OpenDirectory] = Handles()
        #: The handle that was last opened for writing, by inode: it tells the size meanwhile.
        self.writers: dict[int, Writer] = {}
        #: By file handle whom to wake when `events` grows, once each.
        self.pollers: dict[int, Callable[[], None]] = {}
        self._attributes = Attributes(settings)
        self._kept = Kept()
        self._listings = Listings()
        # Apart, since work that waits for a lock must not take the threads of work that does not.
        self._store_threads = trio.CapacityLimiter(8)
        self._load_thread = trio.CapacityLimiter(1)
        self.mount_threads = trio.CapacityLimiter(16)
        self.disk_threads = trio.CapacityLimiter(4)
        #: Of content: with a mount program that hangs, nothing else does.
        self._content_threads = trio.CapacityLimiter(8)
        #: For what reads or writes whole layers, and may take minutes.
        self.stream_threads = trio.CapacityLimiter(8)
        self.deadlines = Deadlines(self.tree.next_deadline, self._expire, self.tree.clock)
        self._trees_opened = 0
        #: Set once a thread is done that tells the kernel something; None if there is none.
        self._telling: trio.Event | None = None
        self._short_changes = 0
        self._until_changed = trio.lowlevel.ParkingLot()
        self._is_wide = False

    # -- refusals --------------------------------------------------------------------------

    def failed(
        self, operation: str, args: Sequence[Any], error: Exception, *, changes: bool
    ) -> int:
        """Return the errno that answers the request, after the line in `errors` is written."""
        number = errno_of(error)
        if not is_foreseen(error):
            log.error("%s %s", operation, self.where(operation, args), exc_info=error)
        if is_refusal(number, changes=changes):
            where, reason = self.where(operation, args), reason_of(error)
            self.tree.refusals.add(operation, where, number, reason)
        return number

    def log_request(self, operation: str, args: Sequence[Any], answer: str) -> None:
        """Note one request for who has asked to see each (`-d`)."""
        log.debug("%s %s: %s", operation, self.where(operation, args), answer)

    def where(self, operation: str, args: Sequence[Any]) -> str:
        """Return the path that a request was about, for people."""
        if operation in _BY_HANDLE:
            try:
                return self.files.get(args[0]).node.path
            except OSError:
                return ""
        node = self.inodes.find(args[0]) if args and isinstance(args[0], int) else None
        path = "" if node is None else node.path
        if len(args) > 1 and isinstance(args[1], bytes):
            name = args[1].decode("utf-8", "backslashreplace")
            return f"{path}/{name}" if path else name
        return path

    # -- views -------------------------------------------------------------------------------

    async def refresh(self) -> None:
        """
        Take what the store holds now, publish it, and tell the kernel what differs.

        Called after each burst of changes, which may be our own: one that is under way looks at the
        store itself once it is done, and what it has saved before is not worth a view.
        """
        with trio.move_on_after(_OWN_CHANGE_S):
            while self._short_changes:
                await self._until_changed.park()
        await trio.to_thread.run_sync(self.tree.load, limiter=self._load_thread)
        while (news := self.tree.take_news()) is not None:
            nodes = self._note(news)
            # A thread, as it may be many that others have changed.
            self._telling = trio.Event()
            try:
                await trio.to_thread.run_sync(
                    invalidate.invalidate_attributes, nodes, limiter=self._load_thread
                )
            finally:
                self._telling.set()
                self._telling = None
            self._invalidate_entries(nodes, news)

    def view(self) -> View:
        """Return the view to answer from; with `-o strict` the store is asked first."""
        if self.is_strict:
            # Inline: a dozen short system calls while nothing has changed, and a thread would cost
            # ten times that at every request.
            self.tree.load()
            self._tell()
        return self.tree.view

    async def tell(self) -> None:
        """
        Tell the kernel what all that was published shows in, before the reply goes out.

        Also what another has published: the watch may see a change of ours before we are done.
        """
        while self._telling is not None:
            await self._telling.wait()
        self._tell()

    def _tell(self) -> None:
        while (news := self.tree.take_news()) is not None:
            nodes = self._note(news)
            invalidate.invalidate_attributes(nodes)
            self._invalidate_entries(nodes, news)

    def _invalidate_entries(self, nodes: list[Node], news: News) -> None:
        if self.is_strict:
            return
        invalidate.invalidate_entries(nodes, self.tree.view)
        for node in invalidate.loosened(self.inodes, news):
            invalidate.invalidate_entry(node)

    def _note(self, news: News) -> list[Node]:
        """Note it in the mount, and return the nodes of which the kernel must forget something."""
        self.tree.note(news)
        if self.pollers:
            # They ask again, and again if it was a change that `events` has no line for.
            pollers, self.pollers = self.pollers, {}
            for wake in pollers.values():
                wake()
        # With `-o strict` it keeps nothing.
        return [] if self.is_strict else invalidate.stale_nodes(self.inodes, news)

    def threads_of(self, node: Node) -> trio.CapacityLimiter:
        """Return where the work on this node runs, if it has to be a thread."""
        if node.is_content:
            return self._content_threads
        is_long = isinstance(node, File) and node.is_long
        return self.stream_threads if is_long else self.disk_threads

    async def change(
        self, step: Callable[[], T], *, limiter: trio.CapacityLimiter | None = None
    ) -> T:
        """
        Run a step of the store in a thread and publish what the store holds then.

        Args:
            limiter: For a step that may take long; None for the store's own.
        """

        def work() -> T:
            result = step()
            try:
                self.tree.load()
            except OSError as error:
                # It is done and must not be answered with an error; the watch will try again.
                log.warning("the store could not be looked at after a change: %s", error)
            return result

        is_short = limiter is None
        self._short_changes += is_short
        try:
            result = await trio.to_thread.run_sync(work, limiter=limiter or self._store_threads)
        finally:
            self._short_changes -= is_short
            self._until_changed.unpark_all()
        await self.tell()
        return result

    async def carry_out(self, plan: Plan | None) -> None:
        """Do what a node has planned: in the store, then in the mount."""
        if plan is not None:
            if plan.step is not None:
                try:
                    await self.change(plan.step)
                except StoreError as error:
                    if plan.failed is not None:
                        plan.failed(error)
                    raise
            if plan.after is not None:
                plan.after()
        self.deadlines.changed()

    async def _expire(self) -> None:
        self.tree.expire()
        for link in self.tree.held.take_late():
            # No rename came: its maker wanted the link under this very name.
            try:
                if link.plan is None:
                    raise refusal(errno.EPERM, "no such link can be made in an object")
                await self.carry_out(link.plan)
            except (StoreError, DriverError, OSError) as error:
                self.tree.refusals.add("symlink", link.path, errno_of(error), reason_of(error))

    # -- nodes -------------------------------------------------------------------------------

    def directory(self, ino: int) -> Directory:
        """Return the directory of this inode."""
        node = self.inodes.get(ino)
        if not isinstance(node, Directory):
            raise NotADirectoryError(errno.ENOTDIR, "not a directory", node.path)
        return node

    def file(self, ino: int) -> File:
        """Return the file of this inode."""
        node = self.inodes.get(ino)
        if not isinstance(node, File):
            raise refusal(errno.EINVAL, "no file that can be opened")
        return node

    async def on_disk(self, read: Callable[..., T], *args: object) -> T:
        """Return what a function gives that reads the disk, in a thread."""
        return await trio.to_thread.run_sync(read, *args, limiter=self.disk_threads)

    async def expect_long_reads(self) -> None:
        """Prepare for much to be read from a file that is being opened."""
        if not self._is_wide:
            self._is_wide = True
            await self.on_disk(widen_read_ahead, self.tree.settings.mount_point)

    async def of_node(self, node: Node, read: Callable[..., T], *args: object) -> T:
        """Return what a function gives that reads the disk for this node, in a thread."""
        result = await trio.to_thread.run_sync(read, *args, limiter=self.threads_of(node))
        if node.is_content and self._trees_opened != self.tree.open_trees.opened:
            # One more that is to be let go at some time.
            self._trees_opened = self.tree.open_trees.opened
            self.deadlines.changed()
        return result

    async def read(self, opened: Reader, view: View, off: int, size: int) -> bytes | memoryview:
        """Return what a handle reads, in a thread if it may have to wait for the disk."""
        if isinstance(opened, DiffReader):
            piece = opened.expect(off, size)
            if piece is not None and piece.done():
                return opened.read(view, off, size, piece)
            return await self.of_node(opened.node, opened.read, view, off, size, piece)
        if opened.slow_read:
            return await self.of_node(opened.node, opened.read, view, off, size)
        return opened.read(view, off, size)

    async def find(self, directory: Directory, view: View, name: str) -> Node | None:
        """Return the entry of this name, None if there is none."""
        if directory.slow_lookup:
            return await self.of_node(directory, directory.lookup, view, name)
        return directory.lookup(view, name)

    async def names(self, directory: Directory, view: View) -> Sequence[str]:
        """Return what a listing of the directory shows."""
        if directory.slow_lookup:
            return await self.of_node(directory, directory.names, view)
        return self._listings.names(directory, view)

    async def stat(self, node: Node, view: View) -> Stat:
        """Return a node's attributes, with the size of what is being written."""
        if node.slow:
            stat = await self.of_node(node, node.attributes, view)
        else:
            stat = node.attributes(view)
        writer = self.writers.get(node.ino)
        size = None if writer is None else writer.shown_size
        return stat if size is None else stat._replace(size=size, lasting=False)

    def fill(self, node: Node, stat: Stat, view: View) -> Reply:
        """Return the reply for a node whose attributes are those of `view`."""
        lasting_entry = node.lasting_entry
        if view is not self.tree.view:
            # Published meanwhile: the kernel was told of the change, and would not be again.
            stat = stat._replace(lasting=False)
            lasting_entry = False
        return self._attributes.fill(node.ino, stat, lasting_entry=lasting_entry)

    async def attributes(self, ino: int) -> Reply:
        """Return the reply with the attributes of an inode that the kernel knows."""
        if ino not in self.writers and (kept := self._kept.get(self.tree.view, ino)) is not None:
            return kept
        view = self.view()
        node = self.inodes.get(ino)
        node.check(view)
        stat = await self.stat(node, view)
        reply = self.fill(node, stat, view)
        if stat.lasting and not self.is_strict and view is self.tree.view:
            self._kept.keep(view, ino, reply)
        return reply

    async def look_up(self, directory: Directory, view: View, name: str) -> Reply:
        """Return the reply for an entry of a directory; FileNotFoundError if there is none."""
        if not isinstance(directory, ContentDir):
            return await self.enter(await self.find(directory, view, name), view, "")
        (found,) = await self.of_node(directory, directory.entries, view, [name])
        if found is None:
            raise gone("")
        self.inodes.enter(found[0])
        return self.fill(*found, view)

    async def enter(self, node: Node | None, view: View, path: str) -> Reply:
        """Return the reply that makes a node known to the kernel; FileNotFoundError for None."""
        if node is None:
            raise gone(path)
        stat = await self.stat(node, view)
        self.inodes.enter(node)
        return self.fill(node, stat, view)

    async def entry(self, directory: Directory, view: View, name: str) -> tuple[Node, Reply] | None:
        """Return what is listed under a name, with the reply; None if it has gone meanwhile."""
        is_current = view is self.tree.view
        reply = self._listings.replies(directory, view).get(name) if is_current else None
        try:
            node = await self.find(directory, view, name)
            if node is None:
                return None
            if reply is not None:
                return node, reply
            stat = await self._listed_stat(node, view)
        except FileNotFoundError:
            return None
        reply = self.fill(node, stat, view)
        if view is self.tree.view:
            self._listings.keep(directory, view, node, reply)
        return node, reply

    async def entries_from(
        self, opened: OpenDirectory, view: View, first: int
    ) -> Iterable[tuple[Node, Reply] | None]:
        """
        Return some of what an open directory lists, from this position on, each with its reply.

        None for what has gone meanwhile. Content is read so many entries in one go. To be used up
        before anything else is awaited.
        """
        node = opened.node
        if not isinstance(node, ContentDir):
            ready = self._ready_entries(opened, view, first)
            if (entry := next(ready, None)) is None:
                return (await self.entry(node, view, opened.names[first]),)
            return chain((entry,), ready)
        if not opened.ahead_from <= first < opened.ahead_from + len(opened.ahead):
            names = opened.names[first : first + _AHEAD]
            opened.ahead = await self.of_node(node, node.entries, view, names)
            opened.ahead_from = first
        return [
            found and (found[0], self.fill(*found, view))
            for found in opened.ahead[first - opened.ahead_from :]
        ]

    def _ready_entries(
        self, opened: OpenDirectory, view: View, first: int
    ) -> Iterator[tuple[Node, Reply]]:
        """Yield entries, from this position on, whose node is known and whose reply was kept."""
        if view is self.tree.view:
            replies = self._listings.replies(opened.node, view)
            for at in range(first, len(opened.names)):
                reply = replies.get(opened.names[at])
                known = None if reply is None else self.inodes.find(reply.st_ino)
                if reply is None or known is None:
                    return
                yield known, reply

    async def _listed_stat(self, node: Node, view: View) -> Stat:
        try:
            return await self.stat(node, view)
        except FileNotFoundError:
            raise
        except (StoreDamaged, OSError):
            return UNREADABLE

    def show_elsewhere(self, directory: Directory, name: str) -> None:
        """Let the kernel forget an entry of an object that was hidden, under its other aliases."""
        if self.is_strict or not directory.about:
            return
        for node in list(self.inodes.about(directory.about)):
            if node.name == name and node.parent.ino != directory.ino:
                invalidate.invalidate_entry(node)
