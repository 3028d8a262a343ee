"""
The directories of related objects: `children/`, `images/`, `containers/`, and an image's `layers/`.

    children/<id> -> ../../<id>        listed
    children/app/                      not listed: a name or a prefix of an ID, the object itself
    layers/00 -> ../../../layers/<id>  base first
"""

import errno
from collections.abc import Sequence
from typing import TYPE_CHECKING

from holdfs.fusefs.tree.attributes import Chain, Members
from holdfs.fusefs.tree.deleting import plan_delete
from holdfs.fusefs.tree.encoding import BadSpelling, decode, entry_name
from holdfs.fusefs.tree.links import ObjectLink
from holdfs.fusefs.tree.lookup import check_new_name, find_alias
from holdfs.fusefs.tree.node import (
    DIRECTORY_MODE,
    Directory,
    MakingStep,
    Node,
    Plan,
    Stat,
    gone,
    refusal,
)
from holdfs.fusefs.tree.view import View

if TYPE_CHECKING:
    from holdfs.fusefs.tree.objects import ObjectDir


class OfObject(Directory):
    """A directory in an object: what is unlinked in it is hidden as in the object's own."""

    __slots__ = ()

    parent: "ObjectDir"

    def attributes(self, view: View) -> Stat:
        kind, object_id = self.parent.kind, self.parent.object_id
        if object_id not in view.records(kind):
            raise gone(self.path)
        return Stat(DIRECTORY_MODE, 0, view.changed_ns(kind, object_id))

    def _is_hidden(self, view: View, name: str) -> bool:
        return view.tree.hidden.has(self.parent.object_id, f"{self.name}/{name}")

    def _shown(self, view: View, names: Sequence[str]) -> Sequence[str]:
        if not view.tree.hidden:
            return names
        return [name for name in names if not self._is_hidden(view, name)]

    def unlink(self, view: View, name: str) -> Plan | None:
        return self.parent.hide(view, f"{self.name}/{name}", always=False)


class MembersDir(OfObject):
    """Related objects under their IDs."""

    __slots__ = ("row",)

    def __init__(self, parent: "ObjectDir", row: Members) -> None:
        super().__init__(parent, row.name)
        self.row = row

    def names(self, view: View) -> Sequence[str]:
        subject = view.subject(self.parent.kind, self.parent.object_id)
        return self._shown(view, [entry_name(i) for i in self.row.members(subject)])

    def lookup(self, view: View, name: str) -> Node | None:
        subject = view.subject(self.parent.kind, self.parent.object_id)
        records = view.records(self.row.of)
        try:
            text = decode(name)
        except BadSpelling:
            return None
        if text in records and self.row.has(subject, text):
            if self._is_hidden(view, name):
                return None
            return ObjectLink(self, name, self.row.of, text)
        found = find_alias(records, text, among=lambda i: self.row.has(subject, i))
        return None if found is None else self._alias(name, found)

    def _alias(self, name: str, object_id: str) -> "ObjectDir":
        return self.parent.elsewhere(self, name, self.row.of, object_id)

    def mkdir(self, view: View, name: str) -> MakingStep | None:
        make = self.row.make
        if make is None:
            raise refusal(errno.EPERM, f"a container is made of an image, not in {self.path}")
        view.tree.check_writable()
        subject = view.subject(self.parent.kind, self.parent.object_id)
        text = check_new_name(name)
        return lambda: make(subject, text)

    def made(self, view: View, name: str, object_id: str) -> Directory:
        # Under its ID it is listed as a link, but mkdir has to give a directory.
        return self._alias(name, object_id)

    def rmdir(self, view: View, name: str) -> Plan | None:
        found = self.lookup(view, name)
        if found is None:
            raise gone(f"{self.path}/{name}")
        return plan_delete(view, self.row.of, found.about)


class ChainDir(OfObject):
    """The layers of an image, numbered, base first."""

    __slots__ = ()

    def __init__(self, parent: "ObjectDir", row: Chain) -> None:
        super().__init__(parent, row.name)

    def _chain(self, view: View) -> dict[str, str]:
        image = view.subject(self.parent.kind, self.parent.object_id).record
        chain = view.snapshot.chain(image.layer)
        width = max(2, len(str(len(chain) - 1)))
        return {f"{number:0{width}}": layer_id for number, layer_id in enumerate(chain)}

    def names(self, view: View) -> Sequence[str]:
        return self._shown(view, list(self._chain(view)))

    def lookup(self, view: View, name: str) -> Node | None:
        layer_id = self._chain(view).get(name)
        if layer_id is None or self._is_hidden(view, name):
            return None
        return ObjectLink(self, name, "layers", layer_id)
