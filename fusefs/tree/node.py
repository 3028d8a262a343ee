"""
What every entry is: a node, made when the kernel asks for it and kept while the kernel knows it.

    Root ── Collection ── ObjectDir ── AttributeFile, RelationLink, MembersDir, …

A node holds where it is and which object it is about, and no content: that comes from the `View`
it is asked with. Its inode number is a hash of its path and of the IDs along it, so it is the same
in every mount, and another object under the same name is another inode.
"""

import errno
import os
from collections.abc import Callable, Sequence
from hashlib import blake2b
from stat import S_IFDIR, S_IFLNK, S_IFREG
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, NoReturn

from holdfs.core.errors import StoreError

if TYPE_CHECKING:
    from holdfs.fusefs.tree.handles import Reader, Writer
    from holdfs.fusefs.tree.view import View

Kind = Literal["layers", "images", "containers"]
KINDS: tuple[Kind, ...] = ("layers", "images", "containers")
#: The word for one object of the kind, for messages.
SINGULAR: dict[Kind, str] = {"layers": "layer", "images": "image", "containers": "container"}

#: Work on the store that a handler has planned, to be run in a thread.
Step = Callable[[], object]
#: The same for mkdir: it returns the new object's ID.
MakingStep = Callable[[], str]


class Plan(NamedTuple):
    """
    What a change of the tree comes to.

    Attributes:
        step: In the store, in a thread; None if there is nothing to do there.
        after: In the mount alone, on the loop, once the step has gone well.
        failed: The same, if the store has refused it.
    """

    step: Step | None = None
    after: Callable[[], object] | None = None
    failed: Callable[[StoreError], object] | None = None

    def then(self, also: Callable[[], object]) -> "Plan":
        """Return the plan with one thing more at its end."""
        before = self.after

        def after() -> None:
            if before is not None:
                before()
            also()

        return self._replace(after=after)


ROOT_INO = 1


class Stat(NamedTuple):
    """
    Attributes of a node.

    Attributes:
        lasting: The kernel may keep them until it is told otherwise.
        found: What the disk says of content, for all that is not above; None for what is ours.
    """

    mode: int
    size: int
    mtime_ns: int
    lasting: bool = True
    found: os.stat_result | None = None


def refusal(number: int, reason: str) -> OSError:
    """Return the error for a request that the tree refuses; the reason goes to `errors`."""
    return OSError(number, reason)


def hash_ino(parent_ino: int, name: str, object_id: str) -> int:
    """Return the inode number of the entry `name` that belongs to this object ("" for none)."""
    text = f"{name}\0{object_id}".encode("utf-8", "surrogatepass")
    digest = blake2b(text, digest_size=8, key=parent_ino.to_bytes(8, "big")).digest()
    # 63 bits, for those who take it as signed; 0 and the root's 1 are taken.
    return (int.from_bytes(digest, "big") >> 1) | 2


class Node:
    """One entry. Subclasses set `slow` if `attributes` reads the disk: it then runs in a thread."""

    __slots__ = ("ino", "name", "parent")

    ino: int
    slow: ClassVar[bool] = False
    #: It is content, with names of any bytes and attributes as on the disk: see content.py.
    is_content: ClassVar[bool] = False
    #: Whether the kernel may keep the entry (name to inode): it does not change without notice.
    lasting_entry: bool = True
    #: Kinds whose every change shows in this node (its mtime, if nothing else).
    listed_kinds: tuple[Kind, ...] = ()

    def __init__(self, parent: "Directory", name: str, object_id: str = "") -> None:
        self.parent = parent
        self.name = name
        self.ino = hash_ino(parent.ino, name, object_id)

    @property
    def about(self) -> str:
        """ID of the object whose changes show in this node; "" for none."""
        return self.parent.about

    @property
    def depth(self) -> int:
        """How many directories up the root is."""
        return self.parent.depth + 1

    @property
    def path(self) -> str:
        """The path below the mount point, as its user would write it."""
        above = self.parent.path
        return f"{above}/{self.name}" if above else self.name

    @property
    def collection(self) -> "Kind | None":
        """The collection that the node lies in; None in the root."""
        return self.parent.collection

    def attributes(self, view: "View") -> Stat:
        """
        Return the attributes of a node that was looked up in this view.

        Raises:
            FileNotFoundError: What the node stood for is gone.
        """
        raise NotImplementedError

    def check(self, view: "View") -> None:
        """
        Raise unless the node is still what its name leads to, where that can change.

        Raises:
            FileNotFoundError: Its name is gone.
            OSError: ESTALE if its name leads elsewhere now, which makes the kernel look again.
        """

    def check_name(self, view: "View") -> None:
        """Do what `check` says, by looking the name up."""
        found = self.parent.lookup(view, self.name)
        if found is None:
            raise gone(self.path)
        if found.ino != self.ino:
            raise moved(self.path)

    def object(self, view: "View") -> "tuple[Kind, str] | None":
        """Return the object that the node stands for (not one that it merely belongs to)."""
        return None

    def check_changeable(self, view: "View") -> None:
        """
        Raise if mode, owner and times may not even seem to be set.

        They are accepted and stay, so that cp -p and file managers are content.
        """

    def xattr(self, view: "View", name: str) -> bytes | None:
        """Return the extended attribute `user.holdfs.<name>`, None if there is none."""
        return self.parent.xattr(view, name)


class File(Node):
    """A regular file."""

    __slots__ = ()

    #: `open_reader` and `open_writer` read the disk.
    slow_open: ClassVar[bool] = False
    #: Opening and reading may take long: they run in threads of their own.
    is_long: bool = False

    def open_reader(self, view: "View") -> "Reader":
        """Return a handle for reading."""
        raise NotImplementedError

    def open_writer(self, view: "View", *, truncate: bool, append: bool) -> "Writer":
        """
        Return a handle for writing.

        Raises:
            OSError: EACCES for what nobody can write, EROFS, …: refused here, since many programs
                do not look at what close says.
        """
        raise refusal(errno.EACCES, "this attribute can't be written")

    def content(self, view: "View") -> bytes:
        """Return the whole content, where it is in memory."""
        raise NotImplementedError

    def truncate(self, view: "View", size: int) -> Step | None:
        """Plan truncate(2), without a handle; None if that changes nothing."""
        raise refusal(errno.EACCES, "this attribute can't be written")


class Link(Node):
    """A symbolic link."""

    __slots__ = ()

    #: `target` mounts or reads the disk.
    slow_target: ClassVar[bool] = False

    def target(self, view: "View") -> str:
        """Return where the link leads."""
        raise NotImplementedError


class Directory(Node):
    """
    A directory. What changes it is planned here, on the loop and without waiting, and returned as a
    step for a thread; whoever calls runs it and then asks a newer view.
    """

    __slots__ = ()

    #: `names` and `lookup` read the disk.
    slow_lookup: ClassVar[bool] = False

    def attributes(self, view: "View") -> Stat:
        return Stat(DIRECTORY_MODE, 0, view.started_ns)

    def names(self, view: "View") -> Sequence[str]:
        """Return what a listing shows, in its order."""
        raise NotImplementedError

    def lookup(self, view: "View", name: str) -> Node | None:
        """Return the node of an entry, listed or not; None if there is none."""
        raise NotImplementedError

    def mkdir(self, view: "View", name: str) -> MakingStep | None:
        """Plan mkdir of an object; None if all is done, as no object is made here."""
        raise refusal(errno.EPERM, "no directory can be made here")

    def made(self, view: "View", name: str, object_id: str) -> "Directory | None":
        """Return the directory that `mkdir` made, as it is known by the name it was given."""
        node = self.lookup(view, name)
        return node if isinstance(node, Directory) else None

    def symlink(self, view: "View", name: str, target: str) -> Plan | None:
        """Plan a symbolic link; None if all is done."""
        raise refusal(errno.EPERM, "no link can be made here")

    def create(self, view: "View", name: str, *, append: bool) -> "tuple[File, Writer]":
        """Return a new file, and the handle that writes it."""
        raise refusal(errno.EPERM, "no file can be made here")

    def mknod(self) -> NoReturn:
        """Refuse a fifo, socket or device."""
        raise refusal(errno.EPERM, "no special file can be made here")

    def link(self) -> NoReturn:
        """Refuse one more name for a file."""
        raise refusal(errno.EPERM, "no hard link can be made here; ln -s makes a relation")

    def unlink(self, view: "View", name: str) -> Plan | None:
        """Plan the removal of an entry that is no directory; None if all is done."""
        raise refusal(errno.EPERM, "nothing can be removed here")

    def rmdir(self, view: "View", name: str) -> Plan | None:
        """Plan the removal of a directory; None if all is done."""
        raise refusal(errno.EPERM, "this directory can't be removed")

    def rename(
        self, view: "View", name: str, new_parent: "Directory", new_name: str, *, replace: bool
    ) -> Plan | None:
        """
        Plan a rename out of this directory; None if all is done.

        Args:
            replace: False if nothing may be there under the new name (RENAME_NOREPLACE).
        """
        raise refusal(errno.EPERM, "this can't be renamed")


DIRECTORY_MODE = S_IFDIR | 0o755
ROOT_MODE = S_IFDIR | 0o555
READ_ONLY_MODE = S_IFREG | 0o444
WRITABLE_MODE = S_IFREG | 0o644
LINK_MODE = S_IFLNK | 0o777


def gone(path: str) -> FileNotFoundError:
    """Return the error for a node whose object does not exist any more."""
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def moved(path: str) -> OSError:
    """Return the error for a name that leads elsewhere now: the kernel looks it up anew."""
    return OSError(errno.ESTALE, "this name leads elsewhere now", path)
