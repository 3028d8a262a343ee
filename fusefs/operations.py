"""
FUSE requests, translated: bytes and inode numbers in, nodes of the tree asked, replies out.

    kernel ──► handler ──► node (plans, on the loop) ──► step (store call, in a thread)
                  ▲                                            │
                  └── reply ◄── attributes invalidated ◄── new view published

A handler takes the view once. What changes the store publishes the new view before it replies, so
the very next request sees it; a reply made from a view that is not the current one any more is not
to be kept by the kernel.
"""

import errno
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import pyfuse3
import trio
from pyfuse3 import (
    EntryAttributes,
    FileInfo,
    FUSEError,
    ReaddirToken,
    RequestContext,
    SetattrFields,
    StatvfsData,
)

from holdfs.core.errors import StoreDamaged, StoreError
from holdfs.core.store import Store
from holdfs.drivers.base import DriverError
from holdfs.fusefs import invalidate
from holdfs.fusefs.attrs import Attributes
from holdfs.fusefs.deadlines import Deadlines
from holdfs.fusefs.errnos import answered, errno_of, is_foreseen, is_refusal, reason_of
from holdfs.fusefs.handles import Handles, OpenDirectory
from holdfs.fusefs.inodes import Inodes
from holdfs.fusefs.settings import Settings
from holdfs.fusefs.tree.encoding import LONGEST
from holdfs.fusefs.tree.handles import Reader, ScratchHandle, Writer, is_writer
from holdfs.fusefs.tree.node import (
    READ_ONLY_MODE,
    Directory,
    File,
    Link,
    Node,
    Plan,
    Stat,
    gone,
    refusal,
)
from holdfs.fusefs.tree.root import Root
from holdfs.fusefs.tree.tree import Automount, News, Tree
from holdfs.fusefs.tree.view import View

log = logging.getLogger(__name__)

T = TypeVar("T")

_XATTR_PREFIX: Final = "user.holdfs."
#: Attributes of an entry that is listed although it can't be read.
_UNREADABLE: Final = Stat(READ_ONLY_MODE, 0, 0, lasting=False)


class Operations(pyfuse3.Operations):
    """
    The handlers of one mount.

    Args:
        store: Open; all that is read comes from its snapshots.
        automount: Gives `rootfs` its targets.
    """

    supports_dot_lookup = False
    enable_writeback_cache = False

    def __init__(self, store: Store, automount: Automount, settings: Settings) -> None:
        super().__init__()
        self.tree = Tree(store, automount, settings)
        self._is_strict = settings.strict
        self._root = Root()
        self._inodes = Inodes(self._root)
        self._attributes = Attributes(settings)
        self._files: Handles[Reader | Writer] = Handles()
        self._directories: Handles[OpenDirectory] = Handles()
        #: The handle that was last opened for writing, by inode: it tells the size meanwhile.
        self._writers: dict[int, Writer] = {}
        # Apart, since work that waits for a lock must not take the threads of work that does not.
        self._store_threads = trio.CapacityLimiter(8)
        self._mount_threads = trio.CapacityLimiter(16)
        self._disk_threads = trio.CapacityLimiter(4)
        self._load_thread = trio.CapacityLimiter(1)
        self._deadlines = Deadlines(self.tree.next_deadline, self._expire, self.tree.clock)

    # -- refusals --------------------------------------------------------------------------

    def failed(
        self, operation: str, args: Sequence[Any], error: Exception, *, changes: bool
    ) -> FUSEError:
        """Return the exception that answers the request, after the line in `errors` is written."""
        if isinstance(error, FUSEError):
            return error
        number = errno_of(error)
        if not is_foreseen(error):
            log.error("%s %s", operation, self.where(operation, args), exc_info=error)
        if is_refusal(number, changes=changes):
            where, reason = self.where(operation, args), reason_of(error)
            self.tree.refusals.add(operation, where, number, reason)
        if self.tree.settings.debug:
            name = errno.errorcode.get(number, str(number))
            log.debug("%s %s: %s", operation, self.where(operation, args), name)
        return FUSEError(number)

    def where(self, operation: str, args: Sequence[Any]) -> str:
        """Return the path that a request was about, for people."""
        if operation in _BY_HANDLE:
            try:
                return self._files.get(args[0]).node.path
            except OSError:
                return ""
        node = self._inodes.find(args[0]) if args and isinstance(args[0], int) else None
        path = "" if node is None else node.path
        if len(args) > 1 and isinstance(args[1], bytes):
            name = args[1].decode("utf-8", "backslashreplace")
            return f"{path}/{name}" if path else name
        return path

    # -- views -------------------------------------------------------------------------------

    async def refresh(self) -> None:
        """
        Take what the store holds now, publish it, and tell the kernel what differs.

        Called after each burst of changes by others.
        """
        news = await trio.to_thread.run_sync(self.tree.load, limiter=self._load_thread)
        if news is None:
            return
        self.tree.note(news)
        if not self._is_strict:
            nodes = invalidate.stale_nodes(self._inodes, news)
            await trio.to_thread.run_sync(
                invalidate.invalidate_attributes, nodes, limiter=self._load_thread
            )
            invalidate.invalidate_entries(nodes, self.tree.view)

    async def _view(self) -> View:
        if self._is_strict:
            news = await trio.to_thread.run_sync(self.tree.load, limiter=self._disk_threads)
            self._announce(news)
        return self.tree.view

    def _announce(self, news: News | None) -> None:
        """Tell the kernel what our own change shows in, inline, before the reply goes out."""
        if news is None:
            return
        self.tree.note(news)
        if not self._is_strict:
            nodes = invalidate.stale_nodes(self._inodes, news)
            invalidate.invalidate_attributes(nodes)
            invalidate.invalidate_entries(nodes, self.tree.view)

    async def _change(self, step: Callable[[], T]) -> T:
        """Run a step of the store in a thread and publish what the store holds then."""

        def work() -> tuple[T, News | None]:
            result = step()
            return result, self.tree.load()

        result, news = await trio.to_thread.run_sync(work, limiter=self._store_threads)
        self._announce(news)
        return result

    async def _carry_out(self, plan: Plan | None) -> None:
        """Do what a node has planned: in the store, then in the mount."""
        if plan is not None:
            if plan.step is not None:
                try:
                    await self._change(plan.step)
                except StoreError as error:
                    if plan.failed is not None:
                        plan.failed(error)
                    raise
            if plan.after is not None:
                plan.after()
        self._deadlines.changed()

    async def _expire(self) -> None:
        self.tree.expire()
        for link in self.tree.held.take_late():
            # No rename came: its maker wanted the link under this very name.
            try:
                if link.plan is None:
                    raise refusal(errno.EPERM, "no such link can be made in an object")
                await self._carry_out(link.plan)
            except (StoreError, DriverError, OSError) as error:
                self.tree.refusals.add("symlink", link.path, errno_of(error), reason_of(error))

    # -- nodes -------------------------------------------------------------------------------

    def _directory(self, ino: int) -> Directory:
        node = self._inodes.get(ino)
        if not isinstance(node, Directory):
            raise NotADirectoryError(errno.ENOTDIR, "not a directory", node.path)
        return node

    def _file(self, ino: int) -> File:
        node = self._inodes.get(ino)
        if not isinstance(node, File):
            raise refusal(errno.EINVAL, "no file that can be opened")
        return node

    async def _stat(self, node: Node, view: View) -> Stat:
        if node.slow:
            stat = await trio.to_thread.run_sync(node.attributes, view, limiter=self._disk_threads)
        else:
            stat = node.attributes(view)
        writer = self._writers.get(node.ino)
        size = None if writer is None else writer.shown_size
        return stat if size is None else stat._replace(size=size, lasting=False)

    def _fill(self, node: Node, stat: Stat, view: View) -> EntryAttributes:
        lasting_entry = node.lasting_entry
        if view is not self.tree.view:
            # Published meanwhile: the kernel was told of the change, and would not be again.
            stat = stat._replace(lasting=False)
            lasting_entry = False
        return self._attributes.fill(node.ino, stat, lasting_entry=lasting_entry)

    async def _enter(self, node: Node | None, view: View, path: str) -> EntryAttributes:
        if node is None:
            raise gone(path)
        stat = await self._stat(node, view)
        self._inodes.enter(node)
        return self._fill(node, stat, view)

    def _show_elsewhere(self, directory: Directory, name: str) -> None:
        """Let the kernel forget an entry of an object that was hidden, under its other aliases."""
        if self._is_strict or not directory.about:
            return
        for node in list(self._inodes.about(directory.about)):
            if node.name == name and node.parent.ino != directory.ino:
                invalidate.invalidate_entry(node)

    # -- requests: entries -------------------------------------------------------------------

    @answered("lookup")
    async def lookup(self, parent_ino: int, name: bytes, ctx: RequestContext) -> EntryAttributes:
        view = await self._view()
        directory = self._directory(parent_ino)
        text = _known_name(name)
        node = directory.lookup(view, text) if text is not None else None
        return await self._enter(node, view, "")

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        self._inodes.forget(inode_list)

    @answered("getattr")
    async def getattr(self, ino: int, ctx: RequestContext) -> EntryAttributes:
        view = await self._view()
        node = self._inodes.get(ino)
        node.check(view)
        return self._fill(node, await self._stat(node, view), view)

    @answered("setattr", changes=True)
    async def setattr(
        self,
        ino: int,
        attr: EntryAttributes,
        fields: SetattrFields,
        fh: int | None,
        ctx: RequestContext,
    ) -> EntryAttributes:
        # Mode, owner and times are accepted and stay, so that cp -p and file managers are content.
        node = self._inodes.get(ino)
        if fields.update_size:
            if fh is not None:
                (await self._writer(fh)).truncate(attr.st_size)
            elif isinstance(node, File):
                step = node.truncate(await self._view(), attr.st_size)
                await self._carry_out(Plan(step))
        view = await self._view()
        return self._fill(node, await self._stat(node, view), view)

    @answered("readlink")
    async def readlink(self, ino: int, ctx: RequestContext) -> bytes:
        view = await self._view()
        node = self._inodes.get(ino)
        if not isinstance(node, Link):
            raise refusal(errno.EINVAL, "not a link")
        node.check(view)
        if not node.slow_target:
            return os.fsencode(node.target(view))

        def follow() -> tuple[str, News | None]:
            target = node.target(view)
            # A container's mount is counted in the store's table.
            return target, self.tree.load()

        target, news = await trio.to_thread.run_sync(follow, limiter=self._mount_threads)
        self._announce(news)
        return os.fsencode(target)

    @answered("mkdir", changes=True)
    async def mkdir(
        self, parent_ino: int, name: bytes, mode: int, ctx: RequestContext
    ) -> EntryAttributes:
        view = await self._view()
        directory, text = self._directory(parent_ino), _new_name(name)
        step = directory.mkdir(view, text)
        object_id = await self._change(step) if step is not None else ""
        self._deadlines.changed()
        view = self.tree.view
        return await self._enter(directory.made(view, text, object_id), view, text)

    @answered("symlink", changes=True)
    async def symlink(
        self, parent_ino: int, name: bytes, target: bytes, ctx: RequestContext
    ) -> EntryAttributes:
        view = await self._view()
        directory, text = self._directory(parent_ino), _new_name(name)
        await self._carry_out(directory.symlink(view, text, os.fsdecode(target)))
        view = self.tree.view
        return await self._enter(directory.lookup(view, text), view, text)

    @answered("mknod", changes=True)
    async def mknod(
        self, parent_ino: int, name: bytes, mode: int, rdev: int, ctx: RequestContext
    ) -> EntryAttributes:
        raise refusal(errno.EPERM, "no special file can be made here")

    @answered("link", changes=True)
    async def link(
        self, ino: int, new_parent_ino: int, new_name: bytes, ctx: RequestContext
    ) -> EntryAttributes:
        raise refusal(errno.EPERM, "no hard link can be made here; ln -s makes a relation")

    @answered("unlink", changes=True)
    async def unlink(self, parent_ino: int, name: bytes, ctx: RequestContext) -> None:
        view = await self._view()
        directory, text = self._directory(parent_ino), _new_name(name)
        await self._carry_out(directory.unlink(view, text))
        self._show_elsewhere(directory, text)

    @answered("rmdir", changes=True)
    async def rmdir(self, parent_ino: int, name: bytes, ctx: RequestContext) -> None:
        view = await self._view()
        directory, text = self._directory(parent_ino), _new_name(name)
        await self._carry_out(directory.rmdir(view, text))
        self._show_elsewhere(directory, text)

    @answered("rename", changes=True)
    async def rename(
        self,
        parent_ino: int,
        name: bytes,
        new_parent_ino: int,
        new_name: bytes,
        flags: int,
        ctx: RequestContext,
    ) -> None:
        if flags & ~pyfuse3.RENAME_NOREPLACE:
            raise refusal(errno.EINVAL, "two entries can't be exchanged here")
        view = await self._view()
        directory, new_directory = self._directory(parent_ino), self._directory(new_parent_ino)
        text, new_text = _new_name(name), _new_name(new_name)
        plan = directory.rename(view, text, new_directory, new_text, replace=not flags)
        await self._carry_out(plan)
        self._show_elsewhere(directory, text)
        self._show_elsewhere(new_directory, new_text)

    # -- requests: files ---------------------------------------------------------------------

    @answered("open")
    async def open(self, ino: int, flags: int, ctx: RequestContext) -> FileInfo:
        if flags & os.O_ACCMODE == os.O_RDONLY:
            view = await self._view()
            node = self._file(ino)
            node.check(view)
            reader = await self._opened(node, lambda: node.open_reader(view))
            return _file_info(self._files.add(reader))
        return await self._open_for_writing(ino, flags)

    @answered("open", changes=True)
    async def _open_for_writing(self, ino: int, flags: int) -> FileInfo:
        view = await self._view()
        node = self._file(ino)
        node.check(view)
        truncate, append = bool(flags & os.O_TRUNC), bool(flags & os.O_APPEND)
        writer = await self._opened(
            node, lambda: node.open_writer(view, truncate=truncate, append=append)
        )
        return self._add_writer(node, writer)

    async def _opened(self, node: File, open_: Callable[[], T]) -> T:
        if node.slow_open:
            return await trio.to_thread.run_sync(open_, limiter=self._disk_threads)
        return open_()

    def _add_writer(self, node: File, writer: Writer) -> FileInfo:
        self._writers[node.ino] = writer
        return _file_info(self._files.add(writer))

    @answered("create", changes=True)
    async def create(
        self, parent_ino: int, name: bytes, mode: int, flags: int, ctx: RequestContext
    ) -> tuple[FileInfo, EntryAttributes]:
        view = await self._view()
        directory, text = self._directory(parent_ino), _new_name(name)
        node, writer = directory.create(view, text, append=bool(flags & os.O_APPEND))
        info = self._add_writer(node, writer)
        try:
            return info, await self._enter(node, view, text)
        except BaseException:
            self._close(info.fh)
            raise

    @answered("read")
    async def read(self, fh: int, off: int, size: int) -> bytes:
        view = await self._view()
        opened = self._files.get(fh)
        if opened.slow_read:
            return await trio.to_thread.run_sync(
                opened.read, view, off, size, limiter=self._disk_threads
            )
        return opened.read(view, off, size)

    @answered("write", changes=True)
    async def write(self, fh: int, off: int, buf: bytes) -> int:
        writer = await self._writer(fh)
        writer.write(off, buf)
        step = writer.after_write()
        if step is not None:
            await self._change(step)
        return len(buf)

    async def _writer(self, fh: int) -> Writer:
        """Return the handle to write to; a scratch file that was renamed is what it became."""
        opened = self._files.get(fh)
        if isinstance(opened, ScratchHandle) and opened.scratch.became is not None:
            node, view = opened.scratch.became, await self._view()
            writer = await self._opened(
                node, lambda: node.open_writer(view, truncate=False, append=False)
            )
            opened.close()
            self._files.replace(fh, writer)
            self._writers[node.ino] = writer
            return writer
        if not is_writer(opened):
            raise refusal(errno.EBADF, "not open for writing")
        return opened

    @answered("flush", changes=True)
    async def flush(self, fh: int) -> None:
        await self._flush(fh)

    @answered("fsync", changes=True)
    async def fsync(self, fh: int, datasync: bool) -> None:
        await self._flush(fh)

    async def _flush(self, fh: int) -> None:
        opened = self._files.get(fh)
        if is_writer(opened) and (step := opened.at_flush()) is not None:
            await self._change(step)

    @answered("release", changes=True)
    async def release(self, fh: int) -> None:
        opened = self._files.get(fh)
        try:
            if is_writer(opened) and (step := opened.at_release()) is not None:
                await self._change(step)
        finally:
            self._close(fh)

    def _close(self, fh: int) -> None:
        opened = self._files.remove(fh)
        opened.close()
        if is_writer(opened):
            self.tree.end_making(opened)
            if self._writers.get(opened.node.ino) is opened:
                del self._writers[opened.node.ino]
        self._deadlines.changed()

    # -- requests: directories ---------------------------------------------------------------

    @answered("opendir")
    async def opendir(self, ino: int, ctx: RequestContext) -> int:
        view = await self._view()
        node = self._directory(ino)
        node.check(view)
        return self._directories.add(OpenDirectory(node, view, node.names(view)))

    @answered("readdir")
    async def readdir(self, fh: int, start_id: int, token: ReaddirToken) -> None:
        opened = self._directories.get(fh)
        if start_id == 0 and opened.has_begun:
            # rewinddir: what is there now.
            opened.view = await self._view()
            opened.names = opened.node.names(opened.view)
        opened.has_begun = True
        node, view, names = opened.node, opened.view, opened.names
        for offset, dots in enumerate((node, node.parent)):
            # The kernel does not count these two as looked up.
            if offset >= start_id:
                reply = self._fill(dots, _UNREADABLE._replace(mode=_DOTS_MODE), view)
                if not pyfuse3.readdir_reply(token, b"." * (offset + 1), reply, offset + 1):
                    return
        for at in range(max(start_id - 2, 0), len(names)):
            entry = node.lookup(view, names[at])
            if entry is None:
                continue  # hidden since opendir
            try:
                stat = await self._stat(entry, view)
            except FileNotFoundError:
                continue
            except (StoreDamaged, OSError):
                stat = _UNREADABLE
            name = names[at].encode("utf-8", "surrogatepass")
            if not pyfuse3.readdir_reply(token, name, self._fill(entry, stat, view), at + 3):
                return
            self._inodes.enter(entry)

    @answered("releasedir")
    async def releasedir(self, fh: int) -> None:
        self._directories.remove(fh)

    @answered("fsyncdir")
    async def fsyncdir(self, fh: int, datasync: bool) -> None:
        pass

    # -- requests: the rest ------------------------------------------------------------------

    @answered("statfs")
    async def statfs(self, ctx: RequestContext) -> StatvfsData:
        found = await trio.to_thread.run_sync(self.tree.statfs, limiter=self._disk_threads)
        reply = StatvfsData()
        for field in _STATFS_FIELDS:
            setattr(reply, field, getattr(found, field))
        reply.f_namemax = LONGEST
        return reply

    @answered("getxattr")
    async def getxattr(self, ino: int, name: bytes, ctx: RequestContext) -> bytes:
        text = os.fsdecode(name)
        if not text.startswith(_XATTR_PREFIX):
            # For what is not "user." not merely none: `ls -l` then stops asking for each file.
            number = errno.ENODATA if text.startswith("user.") else errno.ENOTSUP
            raise OSError(number, "no such attribute")
        value = self._inodes.get(ino).xattr(await self._view(), text.removeprefix(_XATTR_PREFIX))
        if value is None:
            raise OSError(errno.ENODATA, "no such attribute")
        return value


def _file_info(fh: int) -> FileInfo:
    # Direct: the kernel would cut or fill what it reads to the size that it has heard of last, and
    # a value can change between that and the read. A write(2) is one request with its own answer.
    return FileInfo(fh=fh, direct_io=True, keep_cache=False)


def _known_name(name: bytes) -> str | None:
    """Return the name to look up; None if nothing can have it, as it is not UTF-8."""
    if len(name) > LONGEST:
        raise OSError(errno.ENAMETOOLONG, f"a name can't be longer than {LONGEST} bytes")
    try:
        return name.decode()
    except UnicodeDecodeError:
        return None


def _new_name(name: bytes) -> str:
    """Return the name of an entry to be made, moved or removed."""
    text = _known_name(name)
    if text is None:
        raise refusal(errno.EINVAL, "the name is not UTF-8")
    return text


#: Requests whose first argument is a file handle.
_BY_HANDLE: Final = frozenset({"read", "write", "flush", "fsync", "release"})
_DOTS_MODE: Final = 0o040555
_STATFS_FIELDS: Final = (
    "f_bsize",
    "f_frsize",
    "f_blocks",
    "f_bfree",
    "f_bavail",
    "f_files",
    "f_ffree",
    "f_favail",
)
