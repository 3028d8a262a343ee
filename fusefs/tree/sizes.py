"""
`size/`: what an object takes, in bytes, worked out when it is read.

    total       itself and all that it stands on      = exclusive + shared
    exclusive   what deleting it frees
    shared      what others need too
    inodes      how many make up the total
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from holdfs.core.errors import NotKnown, SizeNotKnown, StoreDamaged
from holdfs.core.snapshot import Snapshot
from holdfs.core.usage import Usages
from holdfs.fusefs.tree.attributes import Sizes
from holdfs.fusefs.tree.handles import FrozenReader, Reader
from holdfs.fusefs.tree.members import OfObject
from holdfs.fusefs.tree.node import READ_ONLY_MODE, File, Kind, Node, Stat, gone
from holdfs.fusefs.tree.view import View

if TYPE_CHECKING:
    from holdfs.fusefs.tree.objects import ObjectDir

_FILES: Final[dict[str, Callable[[Usages, Snapshot, Kind, str], int]]] = {
    "total": lambda usages, *of: usages.usage(*of).total,
    "exclusive": lambda usages, *of: usages.usage(*of).exclusive,
    "shared": lambda usages, *of: usages.usage(*of).shared,
    "inodes": lambda usages, *of: usages.inodes(*of),
}


class SizeDir(OfObject):
    """The directory."""

    __slots__ = ()

    def __init__(self, parent: "ObjectDir", row: Sizes) -> None:
        super().__init__(parent, row.name)

    def names(self, view: View) -> Sequence[str]:
        return self._shown(view, list(_FILES))

    def lookup(self, view: View, name: str) -> Node | None:
        if name not in _FILES or self._is_hidden(view, name):
            return None
        return SizeFile(self, name)


class SizeFile(File):
    """One number."""

    __slots__ = ()

    slow_open: ClassVar[bool] = True
    is_long = True
    parent: SizeDir

    def attributes(self, view: View) -> Stat:
        owner = self.parent.parent
        if owner.object_id not in view.records(owner.kind):
            raise gone(self.path)
        changed_ns = view.changed_ns(owner.kind, owner.object_id)
        return Stat(READ_ONLY_MODE, 0, changed_ns, lasting=False)

    def open_reader(self, view: View) -> Reader:
        kind, object_id = self.parent.parent.kind, self.parent.parent.object_id
        view.subject(kind, object_id)
        try:
            number = _FILES[self.name](view.tree.usages, view.snapshot, kind, object_id)
        except (NotKnown, SizeNotKnown, FileNotFoundError) as error:
            # The object is there: what is missing is a part of it.
            raise StoreDamaged(f"{kind}/{object_id}", str(error)) from error
        return FrozenReader(self, b"%d\n" % number)
