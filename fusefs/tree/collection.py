"""
`layers/`, `images/`, `containers/`: every object once, under its full ID, and ways to find it.

    <id>/ …   by-name/   by-digest/<digest>/<id> -> …   dangling/<id> -> …

Found but not listed: objects by name (`%2F` for `/`) and by the first 8 digits or more of an ID.
"""

import errno
from collections.abc import Mapping, Sequence

from holdfs.core.ids import is_full_id
from holdfs.fusefs.tree import making
from holdfs.fusefs.tree.byname import NameDir
from holdfs.fusefs.tree.deleting import plan_delete
from holdfs.fusefs.tree.encoding import BadSpelling, decode, encode, entry_name
from holdfs.fusefs.tree.handles import Writer
from holdfs.fusefs.tree.links import ObjectLink
from holdfs.fusefs.tree.lookup import check_new_name, find_alias
from holdfs.fusefs.tree.node import (
    DIRECTORY_MODE,
    KINDS,
    Directory,
    File,
    Kind,
    MakingStep,
    Node,
    Plan,
    Stat,
    gone,
    refusal,
)
from holdfs.fusefs.tree.objects import ObjectDir
from holdfs.fusefs.tree.view import View

#: Fixed entries by kind, in the order of a listing. (An object can't be found under these.)
_FIXED: Mapping[Kind, tuple[str, ...]] = {
    "layers": ("by-name", "by-digest", "dangling"),
    "images": ("by-name", "by-digest", "dangling"),
    "containers": ("by-name",),
}


class Collection(Directory):
    """All objects of one kind."""

    __slots__ = ("kind", "listed_kinds")

    def __init__(self, parent: Directory, kind: Kind) -> None:
        super().__init__(parent, kind)
        self.kind: Kind = kind
        self.listed_kinds = (kind,)

    @property
    def collection(self) -> Kind:
        return self.kind

    def attributes(self, view: View) -> Stat:
        return Stat(DIRECTORY_MODE, 0, view.listing_ns(self.kind))

    def names(self, view: View) -> Sequence[str]:
        return [*map(object_entry, view.readable(self.kind).ids), *_FIXED[self.kind]]

    def lookup(self, view: View, name: str) -> Node | None:
        if name in _FIXED[self.kind]:
            match name:
                case "by-name":
                    return NameDir(self, name, self.kind, "")
                case "by-digest":
                    return DigestsDir(self, name)
                case _:
                    return DanglingDir(self, name)
        records = view.readable(self.kind)
        if name in records and name == encode(name):
            return ObjectDir(self, name, self.kind, name, is_alias=False)
        try:
            text = decode(name)
        except BadSpelling:
            return None
        found = text if text in records else find_alias(records, text)
        if found is None:
            return None
        return ObjectDir(self, name, self.kind, found, is_alias=True)

    def mkdir(self, view: View, name: str) -> MakingStep | None:
        view.tree.check_writable()
        text = check_new_name(name)
        return lambda: making.make(view.tree, self.kind, text)

    def made(self, view: View, name: str, object_id: str) -> Directory:
        return ObjectDir(self, name, self.kind, object_id, is_alias=name != object_id)

    def rmdir(self, view: View, name: str) -> Plan | None:
        found = self.lookup(view, name)
        if not isinstance(found, ObjectDir):
            raise refusal(errno.EPERM, f"{name!r} is always there")
        return plan_delete(view, self.kind, found.object_id)

    def create(self, view: View, name: str, *, append: bool) -> tuple[File, Writer]:
        raise refusal(errno.EPERM, "no file can be made here; mkdir makes an object")

    def rename(
        self, view: View, name: str, new_parent: Directory, new_name: str, *, replace: bool
    ) -> Plan | None:
        raise refusal(
            errno.EPERM, f"an object stays what it is; names are moved in {self.kind}/by-name"
        )


def object_entry(object_id: str) -> str:
    """Return the entry under which a collection lists an object."""
    return object_id if is_full_id(object_id) else encode(object_id)


class _Listing(Directory):
    """A directory of links that follow from the records alone: nothing in it can be changed."""

    __slots__ = ()

    parent: Directory

    @property
    def _kind(self) -> Kind:
        kind = self.collection
        assert kind is not None
        return kind

    def attributes(self, view: View) -> Stat:
        changed_ns = max(view.listing_ns(kind) for kind in self.listed_kinds)
        return Stat(DIRECTORY_MODE, 0, changed_ns)


class DigestsDir(_Listing):
    """One directory per digest."""

    __slots__ = ("listed_kinds",)

    def __init__(self, parent: Collection, name: str) -> None:
        super().__init__(parent, name)
        self.listed_kinds = (parent.kind,)

    def names(self, view: View) -> Sequence[str]:
        view.readable(self._kind)
        return [entry_name(digest) for digest in view.by_digest(self._kind)]

    def lookup(self, view: View, name: str) -> Node | None:
        try:
            digest = decode(name)
        except BadSpelling:
            return None
        return DigestDir(self, name, digest) if digest in view.by_digest(self._kind) else None


class DigestDir(_Listing):
    """The objects of one digest, under their IDs."""

    __slots__ = ("digest",)

    def __init__(self, parent: DigestsDir, name: str, digest: str) -> None:
        super().__init__(parent, name)
        self.digest = digest

    def _ids(self, view: View) -> Sequence[str]:
        return view.by_digest(self._kind).get(self.digest, ())

    def attributes(self, view: View) -> Stat:
        ids = self._ids(view)
        if not ids:
            raise gone(self.path)
        return Stat(DIRECTORY_MODE, 0, max(view.changed_ns(self._kind, i) for i in ids))

    def names(self, view: View) -> Sequence[str]:
        return [entry_name(i) for i in self._ids(view)]

    def lookup(self, view: View, name: str) -> Node | None:
        found = next((i for i in self._ids(view) if entry_name(i) == name), None)
        return None if found is None else ObjectLink(self, name, self._kind, found)


class DanglingDir(_Listing):
    """Layers with no child, image or container; images with no name and no container."""

    __slots__ = ()

    listed_kinds = KINDS

    def _is_dangling(self, view: View, object_id: str) -> bool:
        if self._kind == "layers":
            return view.snapshot.is_dangling_layer(object_id)
        return view.snapshot.is_dangling_image(object_id)

    def names(self, view: View) -> Sequence[str]:
        ids = view.readable(self._kind).ids
        return [entry_name(i) for i in ids if self._is_dangling(view, i)]

    def lookup(self, view: View, name: str) -> Node | None:
        try:
            object_id = decode(name)
        except BadSpelling:
            return None
        if object_id not in view.records(self._kind) or not self._is_dangling(view, object_id):
            return None
        return ObjectLink(self, name, self._kind, object_id)
