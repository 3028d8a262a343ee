"""
FUSE requests, translated: bytes and inode numbers in, nodes of the tree asked, replies out.

    kernel ──► handler ──► node (plans, on the loop) ──► step (store call, in a thread)
                  ▲                                            │
                  └── reply ◄── kernel told ◄── new view published

A handler takes the view once. What changes the store publishes the new view before it replies, so
the very next request sees it; a reply made from a view that is not the current one any more is not
to be kept by the kernel.
"""

import errno
import os
import select
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import pyfuse3
import trio
from pyfuse3 import (
    EntryAttributes,
    FileInfo,
    FUSEError,
    PollHandle,
    ReaddirToken,
    RequestContext,
    SetattrFields,
    StatvfsData,
)

from holdfs.core.store import Store
from holdfs.fusefs.attrs import file_info, statfs_reply
from holdfs.fusefs.errnos import answered
from holdfs.fusefs.handles import OpenDirectory
from holdfs.fusefs.names import known_name, listed_name, new_name
from holdfs.fusefs.session import UNREADABLE, Session
from holdfs.fusefs.settings import Settings
from holdfs.fusefs.tree.content import Content, ContentReader
from holdfs.fusefs.tree.difftar import DiffReader
from holdfs.fusefs.tree.eventsfile import EventsReader
from holdfs.fusefs.tree.handles import LiveReader, Reader, ScratchHandle, Writer, is_writer
from holdfs.fusefs.tree.node import File, Link, Plan, Step, gone, refusal
from holdfs.fusefs.tree.tree import Automount

T = TypeVar("T")

_XATTR_PREFIX: Final = "user.holdfs."
_READABLE: Final = select.POLLIN | select.POLLRDNORM
#: What the kernel itself says of a file that has no poll.
_ALWAYS_READY: Final = _READABLE | select.POLLOUT | select.POLLWRNORM
_DOTS: Final = UNREADABLE._replace(mode=0o040555)


class Operations(pyfuse3.Operations):
    """The handlers of one mount. Arguments as for `Session`."""

    supports_dot_lookup = False
    enable_writeback_cache = False

    def __init__(self, store: Store, automount: Automount, settings: Settings) -> None:
        super().__init__()
        self._session = Session(store, automount, settings)
        self.is_debugging = settings.debug

    async def refresh(self) -> None:
        """Show what others have changed in the store; called after each burst of changes."""
        await self._session.refresh()

    def failed(
        self, operation: str, args: Sequence[Any], error: Exception, *, changes: bool
    ) -> FUSEError:
        """Return the exception that answers a request that has failed."""
        if isinstance(error, FUSEError):
            return error
        number = self._session.failed(operation, args, error, changes=changes)
        if self.is_debugging:
            name = errno.errorcode.get(number, str(number))
            self._session.log_request(operation, args, name)
        return FUSEError(number)

    def log_done(self, operation: str, args: Sequence[Any]) -> None:
        """Note a request that was answered, for `-d`."""
        self._session.log_request(operation, args, "done")

    # -- requests: entries -------------------------------------------------------------------

    @answered("lookup")
    async def lookup(self, parent_ino: int, name: bytes, ctx: RequestContext) -> EntryAttributes:
        view = self._session.view()
        directory = self._session.directory(parent_ino)
        text = known_name(directory, name)
        if text is None:
            raise gone("")
        return await self._session.look_up(directory, view, text)

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        self._session.inodes.forget(inode_list)

    @answered("getattr")
    async def getattr(self, ino: int, ctx: RequestContext) -> EntryAttributes:
        return await self._session.attributes(ino)

    @answered("setattr", changes=True)
    async def setattr(
        self,
        ino: int,
        attr: EntryAttributes,
        fields: SetattrFields,
        fh: int | None,
        ctx: RequestContext,
    ) -> EntryAttributes:
        node = self._session.inodes.get(ino)
        node.check_changeable(self._session.view())
        if fields.update_size:
            if fh is not None:
                writer = await self._writer(fh)
                await self._write(writer, writer.truncate, attr.st_size)
            elif isinstance(node, File):
                step = node.truncate(self._session.view(), attr.st_size)
                await self._session.carry_out(Plan(step))
        view = self._session.view()
        return self._session.fill(node, await self._session.stat(node, view), view)

    @answered("readlink")
    async def readlink(self, ino: int, ctx: RequestContext) -> bytes:
        view = self._session.view()
        node = self._session.inodes.get(ino)
        if not isinstance(node, Link):
            raise refusal(errno.EINVAL, "not a link")
        node.check(view)
        if not node.slow_target:
            return os.fsencode(node.target(view))
        if node.is_content:
            return os.fsencode(await self._session.of_node(node, node.target, view))

        def follow() -> str:
            target = node.target(view)
            # A container's mount is counted in the store's table.
            self._session.tree.load()
            return target

        target = await trio.to_thread.run_sync(follow, limiter=self._session.mount_threads)
        await self._session.tell()
        return os.fsencode(target)

    @answered("mkdir", changes=True)
    async def mkdir(
        self, parent_ino: int, name: bytes, mode: int, ctx: RequestContext
    ) -> EntryAttributes:
        view = self._session.view()
        directory = self._session.directory(parent_ino)
        text = new_name(directory, name)
        step = directory.mkdir(view, text)
        object_id = await self._session.change(step) if step is not None else ""
        self._session.deadlines.changed()
        view = self._session.tree.view
        return await self._session.enter(directory.made(view, text, object_id), view, text)

    @answered("symlink", changes=True)
    async def symlink(
        self, parent_ino: int, name: bytes, target: bytes, ctx: RequestContext
    ) -> EntryAttributes:
        view = self._session.view()
        directory = self._session.directory(parent_ino)
        text = new_name(directory, name)
        await self._session.carry_out(directory.symlink(view, text, os.fsdecode(target)))
        view = self._session.tree.view
        return await self._session.enter(directory.lookup(view, text), view, text)

    @answered("mknod", changes=True)
    async def mknod(
        self, parent_ino: int, name: bytes, mode: int, rdev: int, ctx: RequestContext
    ) -> EntryAttributes:
        self._session.directory(parent_ino).mknod()

    @answered("link", changes=True)
    async def link(
        self, ino: int, new_parent_ino: int, new_name: bytes, ctx: RequestContext
    ) -> EntryAttributes:
        self._session.directory(new_parent_ino).link()

    @answered("unlink", changes=True)
    async def unlink(self, parent_ino: int, name: bytes, ctx: RequestContext) -> None:
        view = self._session.view()
        directory = self._session.directory(parent_ino)
        text = new_name(directory, name)
        await self._session.carry_out(directory.unlink(view, text))
        self._session.show_elsewhere(directory, text)

    @answered("rmdir", changes=True)
    async def rmdir(self, parent_ino: int, name: bytes, ctx: RequestContext) -> None:
        view = self._session.view()
        directory = self._session.directory(parent_ino)
        text = new_name(directory, name)
        await self._session.carry_out(directory.rmdir(view, text))
        self._session.show_elsewhere(directory, text)

    @answered("rename", changes=True)
    async def rename(
        self,
        parent_ino: int,
        name: bytes,
        new_parent_ino: int,
        new_name_: bytes,
        flags: int,
        ctx: RequestContext,
    ) -> None:
        if flags & ~pyfuse3.RENAME_NOREPLACE:
            raise refusal(errno.EINVAL, "two entries can't be exchanged here")
        view = self._session.view()
        directory = self._session.directory(parent_ino)
        new_directory = self._session.directory(new_parent_ino)
        text, new_text = new_name(directory, name), new_name(new_directory, new_name_)
        plan = directory.rename(view, text, new_directory, new_text, replace=not flags)
        await self._session.carry_out(plan)
        self._session.show_elsewhere(directory, text)
        self._session.show_elsewhere(new_directory, new_text)

    # -- requests: files ---------------------------------------------------------------------

    @answered("open")
    async def open(self, ino: int, flags: int, ctx: RequestContext) -> FileInfo:
        if flags & os.O_ACCMODE == os.O_RDONLY:
            view = self._session.view()
            node = self._session.file(ino)
            node.check(view)
            reader = await self._opened(node, lambda: node.open_reader(view))
            fh = self._session.files.add(reader)
            if isinstance(reader, DiffReader) and reader.is_lasting:
                # It is large, and read in small pieces too: the kernel then reads ahead.
                await self._session.expect_long_reads()
            elif not isinstance(reader, ContentReader):
                return file_info(fh)
            keep = reader.is_known and not self._session.is_strict
            return file_info(fh, direct_io=False, keep_cache=keep)
        return await self._open_for_writing(ino, flags)

    @answered("open", changes=True)
    async def _open_for_writing(self, ino: int, flags: int) -> FileInfo:
        view = self._session.view()
        node = self._session.file(ino)
        node.check(view)
        truncate, append = bool(flags & os.O_TRUNC), bool(flags & os.O_APPEND)
        writer = await self._opened(
            node, lambda: node.open_writer(view, truncate=truncate, append=append)
        )
        return self._add_writer(node, writer)

    async def _opened(self, node: File, open_: Callable[[], T]) -> T:
        if node.slow_open:
            return await self._session.of_node(node, open_)
        return open_()

    def _add_writer(self, node: File, writer: Writer) -> FileInfo:
        self._session.writers[node.ino] = writer
        return file_info(self._session.files.add(writer))

    @answered("create", changes=True)
    async def create(
        self, parent_ino: int, name: bytes, mode: int, flags: int, ctx: RequestContext
    ) -> tuple[FileInfo, EntryAttributes]:
        view = self._session.view()
        directory = self._session.directory(parent_ino)
        text = new_name(directory, name)
        node, writer = directory.create(view, text, append=bool(flags & os.O_APPEND))
        info = self._add_writer(node, writer)
        try:
            return info, await self._session.enter(node, view, text)
        except BaseException:
            self._forget(info.fh).close()
            self._session.deadlines.changed()
            raise

    @answered("read")
    async def read(  # type: ignore[override]  # pyfuse3 takes any buffer, and says bytes
        self, fh: int, off: int, size: int
    ) -> bytes | memoryview:
        view = self._session.view()
        return await self._session.read(self._session.files.get(fh), view, off, size)

    @answered("write", changes=True)
    async def write(self, fh: int, off: int, buf: bytes) -> int:
        writer = await self._writer(fh)
        await self._write(writer, writer.write, off, buf)
        step = writer.after_write()
        if step is not None:
            await self._session.change(step)
        return len(buf)

    async def _write(self, writer: Writer, write: Callable[..., None], *args: object) -> None:
        if writer.slow_write:
            limiter = self._session.threads_of(writer.node)
            await trio.to_thread.run_sync(write, *args, limiter=limiter)
        else:
            write(*args)

    async def _writer(self, fh: int) -> Writer:
        """Return the handle to write to; a scratch file that was renamed is what it became."""
        opened = self._session.files.get(fh)
        if isinstance(opened, ScratchHandle) and opened.scratch.became is not None:
            node, view = opened.scratch.became, self._session.view()
            writer = await self._opened(
                node, lambda: node.open_writer(view, truncate=False, append=False)
            )
            opened.close()
            self._session.files.replace(fh, writer)
            self._session.writers[node.ino] = writer
            return writer
        if not is_writer(opened):
            raise refusal(errno.EBADF, "not open for writing")
        return opened

    @answered("flush", changes=True)
    async def flush(self, fh: int) -> None:
        opened = self._session.files.get(fh)
        if is_writer(opened):
            await self._store(opened, opened.at_flush())

    @answered("fsync", changes=True)
    async def fsync(self, fh: int, datasync: bool) -> None:
        opened = self._session.files.get(fh)
        if is_writer(opened):
            await self._store(opened, opened.at_sync())

    async def _store(self, opened: Writer, step: Step | None) -> None:
        if step is not None:
            limiter = self._session.stream_threads if opened.node.is_long else None
            await self._session.change(step, limiter=limiter)

    @answered("close")
    async def release(self, fh: int) -> None:
        try:
            await self._released(fh)
        finally:
            opened = self._forget(fh)
            if isinstance(opened, ContentReader) and opened.is_open:
                # Of a mount program that hangs even a close(2) waits.
                await self._session.of_node(opened.node, opened.close)
            else:
                opened.close()
            # By far the most are of attributes, and those leave nothing to be let go later.
            if not isinstance(opened, LiveReader):
                self._session.deadlines.changed()

    @answered("release", changes=True)
    async def _released(self, fh: int) -> None:
        # Of its own, so that the handle still tells the path when a refusal is written down.
        opened = self._session.files.get(fh)
        if is_writer(opened):
            await self._store(opened, opened.at_release())
        elif isinstance(opened, DiffReader) and opened.reads_ahead:
            await self._session.of_node(opened.node, opened.stop)

    @answered("poll")
    async def poll(
        self, ino: int, fh: int, poll_handle: PollHandle | None, ctx: RequestContext
    ) -> int:
        opened = self._session.files.get(fh)
        if not isinstance(opened, EventsReader):
            return _ALWAYS_READY
        if opened.is_ready:
            return _READABLE
        if poll_handle is not None:
            self._session.pollers[fh] = poll_handle.notify
        return 0

    def _forget(self, fh: int) -> Reader | Writer:
        """Take the handle out of all tables, and return it to be closed."""
        opened = self._session.files.remove(fh)
        self._session.pollers.pop(fh, None)
        if is_writer(opened) and self._session.writers.get(opened.node.ino) is opened:
            del self._session.writers[opened.node.ino]
        return opened

    # -- requests: directories ---------------------------------------------------------------

    @answered("opendir")
    async def opendir(self, ino: int, ctx: RequestContext) -> int:
        view = self._session.view()
        node = self._session.directory(ino)
        node.check(view)
        names = await self._session.names(node, view)
        return self._session.directories.add(OpenDirectory(node, names))

    @answered("readdir")
    async def readdir(self, fh: int, start_id: int, token: ReaddirToken) -> None:
        opened = self._session.directories.get(fh)
        view = self._session.view()
        if start_id == 0 and opened.has_begun:
            # rewinddir: what is there now.
            opened.names = await self._session.names(opened.node, view)
        opened.has_begun = True
        node, names = opened.node, opened.names
        for offset, dots in enumerate((node, node.parent)):
            # The kernel does not count these two as looked up.
            if offset >= start_id:
                reply = self._session.fill(dots, _DOTS, view)
                if not pyfuse3.readdir_reply(token, b"." * (offset + 1), reply, offset + 1):
                    return
        first = max(start_id - 2, 0)
        while first < len(names):
            for found in await self._session.entries_from(opened, view, first):
                if found is not None:
                    entry, reply = found
                    name = listed_name(node, names[first])
                    if not pyfuse3.readdir_reply(token, name, reply, first + 3):
                        return
                    self._session.inodes.enter(entry)
                first += 1

    @answered("releasedir")
    async def releasedir(self, fh: int) -> None:
        self._session.directories.remove(fh)

    @answered("fsyncdir")
    async def fsyncdir(self, fh: int, datasync: bool) -> None:
        pass

    # -- requests: the rest ------------------------------------------------------------------

    @answered("statfs")
    async def statfs(self, ctx: RequestContext) -> StatvfsData:
        return statfs_reply(await self._session.on_disk(self._session.tree.statfs))

    @answered("getxattr")
    async def getxattr(self, ino: int, name: bytes, ctx: RequestContext) -> bytes:
        view, node = self._session.view(), self._session.inodes.get(ino)
        text = os.fsdecode(name)
        if isinstance(node, Content) and node.shows_xattr(text):
            return await self._session.of_node(node, node.content_xattr, view, text)
        if not text.startswith(_XATTR_PREFIX):
            # For what is not "user." not merely none: `ls -l` then stops asking for each file.
            number = errno.ENODATA if text.startswith("user.") else errno.ENOTSUP
            raise OSError(number, "no such attribute")
        value = node.xattr(view, text.removeprefix(_XATTR_PREFIX))
        if value is None:
            raise OSError(errno.ENODATA, "no such attribute")
        return value

    @answered("listxattr")
    async def listxattr(self, ino: int, ctx: RequestContext) -> Sequence[bytes]:
        if not self._session.tree.settings.files:
            # What is ours is not listed: the kernel need not ask again, for no file at all.
            raise FUSEError(errno.ENOSYS)
        view, node = self._session.view(), self._session.inodes.get(ino)
        if not isinstance(node, Content):
            return ()
        return await self._session.of_node(node, node.content_xattrs, view)
