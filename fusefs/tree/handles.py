"""
Open files: what a handle reads, and how what is written to it reaches the store.

    write(2)  ──► buffer, pure and on the loop ──► a step for a thread, when it is time:

                   metadata                names                        big data
    write          all text so far         lines completed are added    -
    flush          -                       the rest; others dropped     all written so far
    release        -                       -                            made or cut, never written

(spec/tree.md, When it takes effect.) A step that fails leaves the buffer, so the next one has all.
"""

import errno
import os
from typing import TYPE_CHECKING, Protocol, TypeGuard

from holdfs.core.errors import InvalidValue
from holdfs.core.store import Store
from holdfs.fusefs.scratch import Scratch, ScratchFiles
from holdfs.fusefs.tree.encoding import decode_line
from holdfs.fusefs.tree.node import File, Kind, Step, refusal

if TYPE_CHECKING:
    from holdfs.fusefs.tree.view import View

#: The longest text of an attribute.
TEXT_LIMIT = 1 << 20


class Reader(Protocol):
    """A handle to read from."""

    node: File

    @property
    def slow_read(self) -> bool:
        """Whether `read` reads the disk."""

    def read(self, view: "View", off: int, size: int) -> bytes | memoryview:
        """Return what is there now."""

    def close(self) -> None:
        """Let go what the handle holds."""


class Writer(Reader, Protocol):
    """A handle to write to, and to read from what was written."""

    #: `write` and `truncate` write to the disk.
    slow_write: bool

    @property
    def shown_size(self) -> int | None:
        """Size to show while this handle is open, None for that of the node itself."""

    def write(self, off: int, data: bytes) -> None:
        """Change the buffer."""

    def truncate(self, size: int) -> None:
        """Cut the buffer."""

    def after_write(self) -> Step | None:
        """Return what is to be done in the store after a write(2)."""

    def at_flush(self) -> Step | None:
        """Return what is to be done at a close(2), of which there may be several."""

    def at_sync(self) -> Step | None:
        """Return what is to be done at an fsync(2)."""

    def at_release(self) -> Step | None:
        """Return what is to be done after the last close; nobody hears of errors then."""


def is_writer(handle: "Reader | Writer") -> TypeGuard[Writer]:
    """Whether a handle can be written to."""
    return hasattr(handle, "at_flush")


class LiveReader:
    """Reads an attribute: from its start, as it is then; further on, the same value."""

    slow_read = False

    def __init__(self, node: File, view: "View") -> None:
        self.node = node
        self._content = node.content(view)

    def read(self, view: "View", off: int, size: int) -> bytes:
        if off == 0:
            # As in sysfs: who goes back to the start wants to know what is there now.
            self._content = self.node.content(view)
        return self._content[off : off + size]

    def close(self) -> None:
        pass


class FrozenReader:
    """Reads what was computed when the file was opened."""

    slow_read = False

    def __init__(self, node: File, content: bytes) -> None:
        self.node = node
        self._content = content

    def read(self, view: "View", off: int, size: int) -> bytes:
        return self._content[off : off + size]

    def close(self) -> None:
        pass


class DescriptorReader:
    """Reads a file of the store, which is replaced by rename: this handle keeps what it opened."""

    slow_read = True

    def __init__(self, node: File, path: str) -> None:
        self.node = node
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def read(self, view: "View", off: int, size: int) -> bytes:
        return os.pread(self._fd, size, off)

    def close(self) -> None:
        os.close(self._fd)


class Buffered:
    """
    What the writers of the store share: a buffer, and whether it holds something new.

    Args:
        old: The content at open; empty if it was opened to be cut.
        append: Opened with O_APPEND: all that is written goes to the end, whatever its offset.
    """

    limit = TEXT_LIMIT
    slow_read = False
    slow_write = False

    def __init__(self, node: File, old: bytes, *, truncate: bool, append: bool) -> None:
        self.node = node
        self.buffer = bytearray() if truncate else bytearray(old)
        self.append = append
        self.is_cut = truncate
        self.is_dirty = False

    @property
    def shown_size(self) -> int | None:
        return len(self.buffer) if self.is_dirty or self.is_cut else None

    def read(self, view: "View", off: int, size: int) -> bytes:
        return bytes(self.buffer[off : off + size])

    def write(self, off: int, data: bytes) -> None:
        # The kernel takes the offset of O_APPEND from the size it knows, which may be older.
        off = len(self.buffer) if self.append else off
        if off + len(data) > self.limit:
            raise refusal(errno.EFBIG, f"over {self.limit >> 20} MiB can't be written here")
        self._check(off, data)
        self.buffer[off : off + len(data)] = data
        self.is_dirty = True

    def _check(self, off: int, data: bytes) -> None:
        if off > len(self.buffer):
            raise InvalidValue(f"the text would have a gap from byte {len(self.buffer)} to {off}")
        if 0 in data:
            raise InvalidValue("the text holds a NUL byte")

    def truncate(self, size: int) -> None:
        if size > len(self.buffer):
            raise InvalidValue(f"the text would have a gap up to byte {size}")
        del self.buffer[size:]
        self.is_cut = True

    def after_write(self) -> Step | None:
        return None

    def at_flush(self) -> Step | None:
        return None

    def at_sync(self) -> Step | None:
        return self.at_flush()

    def at_release(self) -> Step | None:
        return None

    def close(self) -> None:
        pass


class MetadataWriter(Buffered):
    """Writes `metadata`: each write(2) sets all the text so far."""

    # One more for the newline that is taken off.
    limit = TEXT_LIMIT + 1

    def __init__(
        self, node: File, old: bytes, store: Store, kind: Kind, object_id: str,
        *, truncate: bool, append: bool,
    ) -> None:  # fmt: skip
        super().__init__(node, old, truncate=truncate, append=append)
        self._object = (store, kind, object_id)

    def after_write(self) -> Step | None:
        store, kind, object_id = self._object
        self.is_dirty = False  # unless all goes well: what write(2) refused, close need not
        text = metadata_text(bytes(self.buffer), whole=False)
        self.is_dirty = True

        def step() -> None:
            store.set_metadata(kind, object_id, text)

        return step

    def at_flush(self) -> Step | None:
        if self.is_dirty:
            metadata_text(bytes(self.buffer), whole=True)
            self.is_dirty = self.is_cut = False
        return None


def metadata_text(data: bytes, *, whole: bool) -> str:
    """
    Return the value that was written: one trailing newline is not part of it.

    Args:
        whole: False if more may come: a character that is not complete yet is left out.

    Raises:
        InvalidValue: It is not UTF-8.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        if whole or error.reason != "unexpected end of data":
            raise InvalidValue(f"the text is not UTF-8 at byte {error.start}") from None
        text = data[: error.start].decode()
    return text.removesuffix("\n")


class NamesWriter(Buffered):
    """
    Writes `names`: lines add at each write(2), and what is not in the text goes at flush.

    So a writer that is killed has taken no name, and `dd bs=3` makes no half ones.
    """

    def __init__(
        self, node: File, old: bytes, store: Store, kind: Kind, object_id: str,
        *, truncate: bool, append: bool,
    ) -> None:  # fmt: skip
        # With O_APPEND the text is what this handle writes, and never drops a name.
        super().__init__(node, b"" if append else old, truncate=truncate, append=append)
        self._object = (store, kind, object_id)
        self._added = {} if append else dict.fromkeys(parse_names(old))
        self._has_failed = False

    @property
    def shown_size(self) -> int | None:
        return None if self.append else super().shown_size

    def write(self, off: int, data: bytes) -> None:
        self._has_failed = True  # unless all goes well, up to the end of the step
        super().write(off, data)

    def after_write(self) -> Step | None:
        complete = self.buffer[: self.buffer.rfind(b"\n") + 1]
        new = [name for name in parse_names(bytes(complete)) if name not in self._added]
        if not new:
            self._has_failed = False
            return None

        def step() -> None:
            self._add(new)
            self._has_failed = False

        return step

    def at_flush(self) -> Step | None:
        if not self.is_dirty or self._has_failed:
            return None
        store, kind, object_id = self._object
        names = parse_names(bytes(self.buffer))

        def step() -> None:
            if self.append:
                self._add([name for name in names if name not in self._added])
            else:
                store.set_names(kind, object_id, names)
            self.is_dirty = self.is_cut = False

        return step

    def _add(self, names: list[str]) -> None:
        store, kind, object_id = self._object
        if names:
            store.append_names(kind, object_id, names)
            self._added.update(dict.fromkeys(names))


def parse_names(data: bytes) -> list[str]:
    """
    Return the names in a text of one per line, each once; empty lines are none.

    Raises:
        InvalidValue: A line is not UTF-8, or not the one way to spell a name.
    """
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError as error:
        raise InvalidValue(f"the text is not UTF-8 at byte {error.start}") from None
    return list(dict.fromkeys(decode_line(line) for line in lines if line))


class ScratchHandle:
    """Reads and writes a scratch file; nothing of it reaches the store."""

    slow_read = False
    slow_write = False

    def __init__(self, node: File, files: ScratchFiles, scratch: Scratch, *, append: bool) -> None:
        self.node = node
        self.scratch = scratch
        self._files = files
        self._append = append
        files.open(scratch)

    @property
    def shown_size(self) -> int | None:
        return None

    def read(self, view: "View", off: int, size: int) -> bytes:
        return bytes(self.scratch.content[off : off + size])

    def write(self, off: int, data: bytes) -> None:
        self._files.write(self.scratch, len(self.scratch.content) if self._append else off, data)

    def truncate(self, size: int) -> None:
        self._files.resize(self.scratch, size)

    def after_write(self) -> Step | None:
        return None

    def at_flush(self) -> Step | None:
        return None

    def at_sync(self) -> Step | None:
        return None

    def at_release(self) -> Step | None:
        return None

    def close(self) -> None:
        self._files.close(self.scratch)
