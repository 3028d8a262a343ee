"""
`.files/<kind>/<id>/…`: the content of objects, read by the daemon and shown read-only.

    .files/ ─ images/ ─ <id>/        ContentTop: which object it is
                          etc/       ContentDir      each entry by its path below that, looked for
                            passwd   ContentFile     from a descriptor of the top (opentrees.py)
                            mtab     ContentLink
                          dev/null   ContentSpecial

`.files/` is not listed and lists nothing: else `grep -r` would read all content, and `ls` mount all
of it. Names are any bytes, in Python as `os.fsdecode` gives them. (spec/rootless.md)
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Final, NoReturn

from holdfs.fusefs.tree.contentlinks import kept_inside
from holdfs.fusefs.tree.encoding import BadSpelling, decode
from holdfs.fusefs.tree.handles import Reader, Writer
from holdfs.fusefs.tree.node import (
    KINDS,
    Directory,
    File,
    Kind,
    Link,
    MakingStep,
    Node,
    Plan,
    Stat,
    Step,
    gone,
    hash_ino,
    moved,
)
from holdfs.native.inside import open_inside

if TYPE_CHECKING:
    from holdfs.fusefs.tree.view import View

DIRECTORY: Final = ".files"

#: The largest file that is read when it is opened.
_SMALL: Final = 32 << 10
#: What open(2) is to do with the content of an image: wait for nobody, become nobody's terminal.
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW
_LOOK: Final = os.O_PATH | os.O_NOFOLLOW


class AllContent(Directory):
    """`.files/`, with a directory for each kind."""

    __slots__ = ()

    def names(self, view: "View") -> Sequence[str]:
        return ()

    def lookup(self, view: "View", name: str) -> Node | None:
        return next((ContentOfKind(self, kind) for kind in KINDS if kind == name), None)


class ContentOfKind(Directory):
    """The content of all objects of one kind, found under their full IDs."""

    __slots__ = ("kind",)

    def __init__(self, parent: Directory, kind: Kind) -> None:
        super().__init__(parent, kind)
        self.kind: Kind = kind

    def names(self, view: "View") -> Sequence[str]:
        return ()

    def lookup(self, view: "View", name: str) -> Node | None:
        try:
            object_id = decode(name)
        except BadSpelling:
            return None
        known = object_id in view.readable(self.kind)
        return ContentTop(self, name, self.kind, object_id) if known else None


class Content(Node):
    """What all nodes of content have in common."""

    __slots__ = ("number", "top")

    top: "ContentTop"
    #: Its inode number on the disk if it has several names, which then are one inode here too.
    number: int
    slow: ClassVar[bool] = True
    is_content: ClassVar[bool] = True
    format: int

    def __init__(
        self, parent: Directory, name: str, top: "ContentTop", found: os.stat_result
    ) -> None:
        self.parent = parent
        self.name = name
        self.top = top
        self.number = 0
        self.ino = hash_ino(parent.ino, name, str(self.format))
        if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
            self.number = found.st_ino
            self.ino = hash_ino(top.ino, "", str(found.st_ino))

    @property
    def about(self) -> str:
        # A change of the object is told by the top alone: there may be a million of these.
        return ""

    def inner_names(self) -> list[bytes]:
        """Return the names from the top of the content down to this."""
        found: list[bytes] = []
        node: Node = self
        while node is not self.top:
            found.append(os.fsencode(node.name))
            node = node.parent
        return found[::-1]

    def inner_path(self) -> bytes:
        """Return the path below the top of the content; b"" for the top itself."""
        return b"/".join(self.inner_names())

    def check(self, view: "View") -> None:
        self.top.check_object(view)

    @contextmanager
    def opened(self, view: "View", flags: int = _LOOK) -> Iterator[int]:
        """Give a descriptor of this very thing."""
        with self.top.opened_top(view) as top_fd:
            fd = open_inside(top_fd, self.inner_path(), flags)
            try:
                yield fd
            finally:
                os.close(fd)

    def attributes(self, view: "View") -> Stat:
        try:
            with self.opened(view) as fd:
                found = os.fstat(fd)
                self._check_same(found)
                return self._stat(view, found, fd)
        except (FileNotFoundError, NotADirectoryError):
            # Not "gone": then the kernel looks for who has the name now.
            raise moved(self.path) from None

    def _check_same(self, found: os.stat_result) -> None:
        is_same = stat.S_IFMT(found.st_mode) == self.format
        if not is_same or (self.number and self.number != found.st_ino):
            raise moved(self.path)

    def _stat(self, view: "View", found: os.stat_result, fd: int) -> Stat:
        is_fixed = self.top.is_fixed(view)
        return Stat(found.st_mode, found.st_size, found.st_mtime_ns, is_fixed, found)

    def check_changeable(self, view: "View") -> None:
        raise read_only()

    def shows_xattr(self, name: str) -> bool:
        """Whether an extended attribute means here what it means where the content came from."""
        return name == "security.capability" or (
            name.startswith("user.") and not name.startswith("user.holdfs.")
        )

    def content_xattr(self, view: "View", name: str) -> bytes:
        """
        Return an extended attribute of the content.

        Raises:
            OSError: ENODATA if it has none.
        """
        with self.opened(view) as fd:
            try:
                return os.getxattr(f"/proc/self/fd/{fd}", name)
            except PermissionError:
                # What the kernel says of a link's, which cannot have one.
                raise OSError(errno.ENODATA, "no such attribute") from None

    def content_xattrs(self, view: "View") -> list[bytes]:
        """Return the names of the extended attributes that can be read."""
        with self.opened(view) as fd:
            try:
                names = os.listxattr(f"/proc/self/fd/{fd}")
            except OSError as error:
                if error.errno != errno.ENOTSUP:
                    raise
                return []
        return [os.fsencode(name) for name in names if self.shows_xattr(name)]


class ContentDir(Content, Directory):
    """A directory of the content."""

    __slots__ = ()

    slow_lookup: ClassVar[bool] = True
    format = stat.S_IFDIR

    def names(self, view: "View") -> Sequence[str]:
        with self.opened(view, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW) as fd:
            return os.listdir(fd)

    def lookup(self, view: "View", name: str) -> Node | None:
        (entry,) = self.entries(view, [name])
        return None if entry is None else entry[0]

    def entries(self, view: "View", names: Sequence[str]) -> "list[tuple[Node, Stat] | None]":
        """Return each of these entries with its attributes; None for one that is not there."""
        with self.opened(view) as fd:
            return [self._entry(view, fd, name) for name in names]

    def _entry(self, view: "View", fd: int, name: str) -> "tuple[Node, Stat] | None":
        try:
            found = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        make = _CLASSES.get(stat.S_IFMT(found.st_mode), ContentSpecial)
        node = make(self, name, self.top, found)
        if not isinstance(node, ContentLink):
            return node, node._stat(view, found, -1)
        try:
            text = os.readlink(os.fsencode(name), dir_fd=fd)
        except OSError:
            return None  # another thing meanwhile
        return node, node.stat_of(view, found, text)

    # -- nothing can be changed ----------------------------------------------------------------

    def mkdir(self, view: "View", name: str) -> MakingStep | None:
        raise read_only()

    def symlink(self, view: "View", name: str, target: str) -> Plan | None:
        raise read_only()

    def create(self, view: "View", name: str, *, append: bool) -> tuple[File, Writer]:
        raise read_only()

    def mknod(self) -> NoReturn:
        raise read_only()

    def link(self) -> NoReturn:
        raise read_only()

    def unlink(self, view: "View", name: str) -> Plan | None:
        raise read_only()

    def rmdir(self, view: "View", name: str) -> Plan | None:
        raise read_only()

    def rename(
        self, view: "View", name: str, new_parent: Directory, new_name: str, *, replace: bool
    ) -> Plan | None:
        raise read_only()


class ContentTop(ContentDir):
    """The top of an object's content; all below belongs to the object through this."""

    __slots__ = ("kind", "object_id")

    def __init__(self, parent: Directory, name: str, kind: Kind, object_id: str) -> None:
        Node.__init__(self, parent, name, object_id)
        self.kind: Kind = kind
        self.object_id = object_id
        self.top = self
        self.number = 0

    @property
    def about(self) -> str:
        return self.object_id

    def xattr(self, view: "View", name: str) -> bytes | None:
        return self.object_id.encode() if name == "id" else None

    def check_object(self, view: "View") -> None:
        """Raise FileNotFoundError if the object is gone."""
        if self.object_id not in view.records(self.kind):
            raise gone(f"{DIRECTORY}/{self.kind}/{self.object_id}")

    def is_fixed(self, view: "View") -> bool:
        """Whether the content can't change, so that the kernel may keep it for long."""
        if self.kind == "containers":
            return False
        return self.kind == "images" or view.snapshot.is_settled(self.object_id)

    @contextmanager
    def opened_top(self, view: "View") -> Iterator[int]:
        """Give a descriptor of the directory; mounts what it shows if need be."""
        self.check_object(view)
        trees = view.tree.open_trees
        layer_id = trees.layer_of(view.snapshot, self.kind, self.object_id)
        with trees.top(layer_id, is_fixed=self.is_fixed(view)) as fd:
            yield fd


class ContentFile(Content, File):
    """A regular file of the content."""

    __slots__ = ()

    slow_open: ClassVar[bool] = True
    format = stat.S_IFREG

    def open_reader(self, view: "View") -> Reader:
        with self.top.opened_top(view) as top_fd:
            fd = open_inside(top_fd, self.inner_path(), _READ)
        try:
            found = os.fstat(fd)
            self._check_same(found)
            return ContentReader(self, fd, found.st_size, is_fixed=self.top.is_fixed(view))
        except BaseException:
            os.close(fd)
            raise

    def open_writer(self, view: "View", *, truncate: bool, append: bool) -> Writer:
        raise read_only()

    def truncate(self, view: "View", size: int) -> Step | None:
        raise read_only()


class ContentReader:
    """
    Reads a file of the content; by its descriptor it keeps the tree that it is in.

    A small one is read at once, in the thread that has opened it: most are read once and whole, and
    a thread for that would take as long as all the rest.

    Attributes:
        is_known: What the kernel has of the file by now may be read by whoever opens it.
    """

    def __init__(self, node: File, fd: int, size: int, *, is_fixed: bool) -> None:
        self.node = node
        self.is_known = is_fixed
        self._fd = fd
        self._whole = b""
        if is_fixed and size <= _SMALL:
            self._whole = os.pread(fd, size, 0)
            self._fd = -1
            os.close(fd)

    @property
    def is_open(self) -> bool:
        """Whether reading and closing it takes a thread: either may wait for the file system."""
        return self._fd >= 0

    @property
    def slow_read(self) -> bool:
        return self.is_open

    def read(self, view: "View", off: int, size: int) -> bytes:
        return os.pread(self._fd, size, off) if self.is_open else self._whole[off : off + size]

    def close(self) -> None:
        if self.is_open:
            os.close(self._fd)


class ContentLink(Content, Link):
    """A link of the content, written anew where it would lead out of it."""

    __slots__ = ()

    slow_target: ClassVar[bool] = True
    format = stat.S_IFLNK

    def target(self, view: "View") -> str:
        with self.opened(view) as fd:
            self._check_same(os.fstat(fd))
            return os.fsdecode(self._kept_inside(view, os.readlink(b"", dir_fd=fd)))

    def _stat(self, view: "View", found: os.stat_result, fd: int) -> Stat:
        return self.stat_of(view, found, os.readlink(b"", dir_fd=fd))

    def stat_of(self, view: "View", found: os.stat_result, text: bytes) -> Stat:
        """Return the attributes of the link that says `text` on the disk."""
        size = len(self._kept_inside(view, text))
        return Stat(found.st_mode, size, found.st_mtime_ns, self.top.is_fixed(view), found)

    def _kept_inside(self, view: "View", text: bytes) -> bytes:
        return kept_inside(text, self.inner_names()[:-1], lambda names: self._look(view, names))

    def _look(self, view: "View", names: Sequence[bytes]) -> bytes | bool:
        with self.top.opened_top(view) as top_fd:
            try:
                fd = open_inside(top_fd, b"/".join(names), _LOOK)
            except OSError:
                return False
        try:
            mode = os.fstat(fd).st_mode
            return os.readlink(b"", dir_fd=fd) if stat.S_ISLNK(mode) else stat.S_ISDIR(mode)
        finally:
            os.close(fd)


class ContentSpecial(Content):
    """
    A fifo, socket or device: shown with its numbers, never opened by the daemon. The kernel opens
    fifos itself, as anywhere, and no device, since the mount is `nodev` unless its user says else.
    """

    __slots__ = ("format",)

    def __init__(
        self, parent: Directory, name: str, top: ContentTop, found: os.stat_result
    ) -> None:
        self.format = stat.S_IFMT(found.st_mode)
        super().__init__(parent, name, top, found)


_CLASSES: Final[dict[int, type[ContentDir | ContentFile | ContentLink]]] = {
    stat.S_IFDIR: ContentDir,
    stat.S_IFREG: ContentFile,
    stat.S_IFLNK: ContentLink,
}


def read_only() -> OSError:
    """Return the error for whoever wants to change content here."""
    return OSError(
        errno.EROFS, "files shows content read-only; rootfs is where it can be written, if at all"
    )
