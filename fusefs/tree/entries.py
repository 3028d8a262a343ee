"""
The plain entries of an object's directory: what a row of `attributes` says, as files and links.

Every node here belongs to an `ObjectDir`, its parent, and takes kind and ID from it.
"""

import errno
from typing import TYPE_CHECKING, ClassVar

from holdfs.core.errors import StoreDamaged
from holdfs.fusefs.tree.attributes import Aside, Computed, Inner, Outer, Relation, Text
from holdfs.fusefs.tree.encoding import entry_name
from holdfs.fusefs.tree.handles import (
    FrozenReader,
    LiveReader,
    MetadataWriter,
    NamesWriter,
    Reader,
    Writer,
    metadata_text,
    parse_names,
)
from holdfs.fusefs.tree.links import link_stat, object_path
from holdfs.fusefs.tree.node import (
    READ_ONLY_MODE,
    WRITABLE_MODE,
    File,
    Kind,
    Link,
    Stat,
    Step,
    gone,
    refusal,
)
from holdfs.fusefs.tree.view import View

if TYPE_CHECKING:
    from holdfs.fusefs.tree.objects import ObjectDir


class AttributeFile(File):
    """A plain attribute."""

    __slots__ = ("row",)

    parent: "ObjectDir"

    def __init__(self, parent: "ObjectDir", row: Text) -> None:
        super().__init__(parent, row.name)
        self.row = row

    @property
    def lasting_entry(self) -> bool:  # type: ignore[override]  # computed here, fixed elsewhere
        # A rename moves the kernel's entry, inode and all, but what it leads to then is a copy.
        return not self.row.is_writable

    def content(self, view: View) -> bytes:
        kind, object_id = self.parent.kind, self.parent.object_id
        subject = (view.subject if self.row.needs_record else view.bare_subject)(kind, object_id)
        text = self.row.render(subject)
        if text is None:
            raise gone(self.path)
        return text.encode("utf-8", "surrogatepass")

    def attributes(self, view: View) -> Stat:
        size = len(self.content(view))
        kind, object_id = self.parent.kind, self.parent.object_id
        is_writable = self.row.is_writable and not view.records(kind).is_read_only(object_id)
        mode = WRITABLE_MODE if is_writable else READ_ONLY_MODE
        has_mounts = self.name == "mount-count"
        changed_ns = (view.mounted_ns if has_mounts else view.changed_ns)(kind, object_id)
        return Stat(mode, size, changed_ns)

    def open_reader(self, view: View) -> Reader:
        return LiveReader(self, view)

    def open_writer(self, view: View, *, truncate: bool, append: bool) -> Writer:
        kind, object_id = self.parent.kind, self.parent.object_id
        view.check_writable(kind, object_id)
        if not self.row.is_writable:
            raise refusal(errno.EACCES, f"{self.name!r} can't be written")
        old = self.content(view)
        make = NamesWriter if self.name == "names" else MetadataWriter
        return make(self, old, view.tree.store, kind, object_id, truncate=truncate, append=append)

    def truncate(self, view: View, size: int) -> Step | None:
        # Cutting alone changes nothing: `grep -v x names > names` must not drop them all.
        self.open_writer(view, truncate=True, append=False)
        return None

    def replace_step(self, view: View, content: bytes) -> Step:
        """Return what stores `content` whole, as a saver's rename does."""
        kind, object_id = self.parent.kind, self.parent.object_id
        if not self.row.is_writable:
            raise refusal(errno.EPERM, f"{self.name!r} can't be replaced")
        if 0 in content:
            raise refusal(errno.EINVAL, "the text holds a NUL byte")
        store = view.tree.store
        if self.name == "names":
            names = parse_names(content)
            return lambda: store.set_names(kind, object_id, names)
        text = metadata_text(content, whole=True)
        return lambda: store.set_metadata(kind, object_id, text)


class ComputedFile(File):
    """Text worked out when it is opened."""

    __slots__ = ("row",)

    slow_open: ClassVar[bool] = True
    parent: "ObjectDir"

    def __init__(self, parent: "ObjectDir", row: Computed) -> None:
        super().__init__(parent, row.name)
        self.row = row

    @property
    def is_long(self) -> bool:  # type: ignore[override]  # computed here, fixed elsewhere
        return self.row.is_long

    def attributes(self, view: View) -> Stat:
        kind, object_id = self.parent.kind, self.parent.object_id
        if object_id not in view.records(kind):
            raise gone(self.path)
        return Stat(READ_ONLY_MODE, 0, view.changed_ns(kind, object_id), lasting=False)

    def open_reader(self, view: View) -> Reader:
        try:
            subject = view.subject(self.parent.kind, self.parent.object_id)
        except StoreDamaged as damage:
            if self.row.on_damage is None:
                raise
            return FrozenReader(self, self.row.on_damage(damage))
        return FrozenReader(self, self.row.compute(subject))


class RelationLink(Link):
    """A link to another object, there or not."""

    __slots__ = ("row",)

    parent: "ObjectDir"

    def __init__(self, parent: "ObjectDir", row: Relation) -> None:
        super().__init__(parent, row.name)
        self.row = row

    def object(self, view: View) -> tuple[Kind, str] | None:
        target = self.row.target(view.subject(self.parent.kind, self.parent.object_id))
        return None if target is None else (self.row.to, target)

    def target(self, view: View) -> str:
        found = self.object(view)
        if found is None:
            raise gone(self.path)
        return object_path(self.parent, *found)

    def attributes(self, view: View) -> Stat:
        changed_ns = view.changed_ns(self.parent.kind, self.parent.object_id)
        return link_stat(self.target(view), changed_ns)


class InnerLink(Link):
    """A link into the object's `big-data/`."""

    __slots__ = ("row",)

    parent: "ObjectDir"

    def __init__(self, parent: "ObjectDir", row: Inner) -> None:
        super().__init__(parent, row.name)
        self.row = row

    def target(self, view: View) -> str:
        key = self.row.key(view.subject(self.parent.kind, self.parent.object_id))
        if key is None:
            raise gone(self.path)
        return f"big-data/{entry_name(key)}"

    def attributes(self, view: View) -> Stat:
        changed_ns = view.changed_ns(self.parent.kind, self.parent.object_id)
        return link_stat(self.target(view), changed_ns)


class OuterLink(Link):
    """A link out of the mount. Its size is 0, as in /proc: asking would mount."""

    __slots__ = ("row",)

    slow_target: ClassVar[bool] = True
    parent: "ObjectDir"

    def __init__(self, parent: "ObjectDir", row: Outer) -> None:
        super().__init__(parent, row.name)
        self.row = row

    def target(self, view: View) -> str:
        return self.row.target(view.subject(self.parent.kind, self.parent.object_id))

    def attributes(self, view: View) -> Stat:
        subject = view.subject(self.parent.kind, self.parent.object_id)
        if not self.row.exists(subject):
            raise gone(self.path)
        return link_stat("", view.changed_ns(subject.kind, subject.id))


class AsideLink(Link):
    """A link to the object in a directory that is not listed."""

    __slots__ = ("row",)

    parent: "ObjectDir"

    def __init__(self, parent: "ObjectDir", row: Aside) -> None:
        super().__init__(parent, row.name)
        self.row = row

    def target(self, view: View) -> str:
        above = "../" * self.parent.depth
        directory = self.row.directory.format(kind=self.parent.kind)
        return f"{above}{directory}/{entry_name(self.parent.object_id)}"

    def attributes(self, view: View) -> Stat:
        kind, object_id = self.parent.kind, self.parent.object_id
        if object_id not in view.records(kind):
            raise gone(self.path)
        return link_stat(self.target(view), view.changed_ns(kind, object_id))
