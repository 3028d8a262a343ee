"""
An object's directory; a row of `attributes` says what each entry is, a node here or beside how.

    images/<id>/     names  metadata  …      AttributeFile, ComputedFile
                     top-layer  rootfs  …    RelationLink, InnerLink, OuterLink, AsideLink
                     containers/  layers/    members.py
                     big-data/               bigdata.py

The same directory appears under names and ID prefixes (aliases), at other depths too; its links fit
the depth they are read at.
"""

import errno
from collections.abc import Sequence
from typing import assert_never

from holdfs.core.errors import StoreDamaged
from holdfs.fusefs.tree import targets
from holdfs.fusefs.tree.attributes import (
    ROWS_OF,
    Aside,
    BigData,
    Chain,
    Computed,
    DiffTar,
    Inner,
    Members,
    Outer,
    Relation,
    Row,
    Sizes,
    Text,
    is_present,
)
from holdfs.fusefs.tree.bigdata import BigDataDir
from holdfs.fusefs.tree.deleting import check_delete
from holdfs.fusefs.tree.difftar import DiffTarFile
from holdfs.fusefs.tree.entries import (
    AsideLink,
    AttributeFile,
    ComputedFile,
    InnerLink,
    OuterLink,
    RelationLink,
)
from holdfs.fusefs.tree.handles import Writer
from holdfs.fusefs.tree.held import is_temporary
from holdfs.fusefs.tree.links import HeldLinkNode
from holdfs.fusefs.tree.members import ChainDir, MembersDir
from holdfs.fusefs.tree.node import (
    DIRECTORY_MODE,
    Directory,
    File,
    Kind,
    Node,
    Plan,
    Stat,
    gone,
    refusal,
)
from holdfs.fusefs.tree.scratchfile import ScratchFile, check_scratch_name
from holdfs.fusefs.tree.sizes import SizeDir
from holdfs.fusefs.tree.view import View


class ObjectDir(Directory):
    """
    The directory of one layer, image or container.

    Args:
        is_alias: It is found under another name than its ID, and not listed there.
    """

    __slots__ = ("is_alias", "kind", "object_id")

    def __init__(
        self, parent: Directory, name: str, kind: Kind, object_id: str, *, is_alias: bool
    ) -> None:
        super().__init__(parent, name, object_id)
        self.kind: Kind = kind
        self.object_id = object_id
        self.is_alias = is_alias

    @property
    def about(self) -> str:
        return self.object_id

    @property
    def lasting_entry(self) -> bool:  # type: ignore[override]  # computed here, fixed elsewhere
        return not self.is_alias

    def object(self, view: View) -> tuple[Kind, str] | None:
        return self.kind, self.object_id

    def attributes(self, view: View) -> Stat:
        records = view.records(self.kind)
        if self.object_id not in records:
            raise gone(self.path)
        return Stat(DIRECTORY_MODE, 0, max(records.created_ns(self.object_id), 0))

    def xattr(self, view: View, name: str) -> bytes | None:
        if name == "id":
            return self.object_id.encode()
        if name == "digest" and self.kind != "containers":
            record = view.subject(self.kind, self.object_id).record
            digest: str = record.digest if self.kind == "images" else record.diff_digest
            return digest.encode() or None
        return None

    def elsewhere(self, parent: Directory, name: str, kind: Kind, object_id: str) -> "ObjectDir":
        """Return the directory of an object as it appears in a directory of this one."""
        return ObjectDir(parent, name, kind, object_id, is_alias=True)

    # -- reading -----------------------------------------------------------------------------

    def names(self, view: View) -> Sequence[str]:
        tree = view.tree
        try:
            subject = view.subject(self.kind, self.object_id)
        except StoreDamaged:
            # What can be read of it; `health` says what is wrong.
            shown = [row.name for row in self._rows().values() if _is_bare(row)]
        else:
            shown = [row.name for row in self._rows().values() if is_present(row, subject)]
        if tree.hidden:
            shown = [name for name in shown if not tree.hidden.has(self.object_id, name)]
        return [*shown, *tree.held.names(self.ino), *tree.scratch.names(self.object_id, "")]

    def lookup(self, view: View, name: str) -> Node | None:
        tree = view.tree
        row = self._rows().get(name)
        if row is None:
            if (held := tree.held.get(self.ino, name)) is not None:
                return HeldLinkNode(self, name, held.target)
            scratch = tree.scratch.get(self.object_id, "", name)
            return None if scratch is None else ScratchFile(self, scratch)
        if tree.hidden.has(self.object_id, name):
            return None
        if _is_bare(row):
            return self._node(row) if self.object_id in view.records(self.kind) else None
        subject = view.subject(self.kind, self.object_id)
        return self._node(row) if is_present(row, subject) else None

    def _rows(self) -> dict[str, Row]:
        return ROWS_OF[self.kind]

    def _node(self, row: Row) -> Node:
        match row:
            case Text():
                return AttributeFile(self, row)
            case Computed():
                return ComputedFile(self, row)
            case DiffTar():
                return DiffTarFile(self, row)
            case Relation():
                return RelationLink(self, row)
            case Inner():
                return InnerLink(self, row)
            case Outer():
                return OuterLink(self, row)
            case Aside():
                return AsideLink(self, row)
            case Members():
                return MembersDir(self, row)
            case Chain():
                return ChainDir(self, row)
            case Sizes():
                return SizeDir(self, row)
            case BigData():
                return BigDataDir(self, row)
        assert_never(row)

    # -- changing ----------------------------------------------------------------------------

    def hide(self, view: View, path: str, *, always: bool) -> Plan:
        """
        Plan that an entry of the object is hidden, as if it were removed.

        Args:
            path: Below this directory.
            always: Programs that save remove it; else only if the object could be deleted.
        """
        tree, object_id = view.tree, self.object_id
        view.check_writable(self.kind, object_id)
        if (refused := tree.hidden.refusal(object_id)) is not None:
            raise refused.with_traceback(None)
        return Plan(
            None if always else lambda: check_delete(tree, self.kind, object_id),
            lambda: tree.hidden.hide(object_id, path, self.path),
            lambda error: tree.hidden.refuse(object_id, error),
        )

    def unlink(self, view: View, name: str) -> Plan | None:
        tree = view.tree
        if tree.held.drop(self.ino, name) or tree.scratch.remove(self.object_id, "", name):
            return None
        row = self._rows().get(name)
        if row is None:
            raise gone(f"{self.path}/{name}")
        return self.hide(view, name, always=isinstance(row, Text) and row.is_writable)

    def rmdir(self, view: View, name: str) -> Plan | None:
        return self.hide(view, name, always=False)

    def symlink(self, view: View, name: str, target: str) -> Plan | None:
        row = self._rows().get(name)
        if row is None and is_temporary(name):
            view.check_writable(self.kind, self.object_id)
            view.tree.held.hold(self.ino, name, f"{self.path}/{name}", target, None)
            return None
        return self._relate(view, row, name, target)

    def _relate(self, view: View, row: Row | None, name: str, target: str) -> Plan:
        if not isinstance(row, Relation) or row.set is None:
            raise refusal(errno.EPERM, f"no link {name!r} can be made in an object")
        view.check_writable(self.kind, self.object_id)
        subject = view.subject(self.kind, self.object_id)
        store_relation = row.set
        related = targets.resolve(view, self, target, row.to)

        def step() -> None:
            store_relation(subject, related)

        def after() -> None:
            view.tree.hidden.show(self.object_id, name)

        return Plan(step, after)

    def create(self, view: View, name: str, *, append: bool) -> tuple[File, Writer]:
        view.check_writable(self.kind, self.object_id)
        row = self._rows().get(name)
        if row is None:
            check_scratch_name(name)
            scratch = view.tree.scratch.create(self.object_id, "", name)
            made = ScratchFile(self, scratch)
            return made, made.open_writer(view, truncate=False, append=append)
        node = self._node(row)
        if not isinstance(node, AttributeFile | DiffTarFile):
            raise refusal(errno.EPERM, f"{name!r} can't be a file here")
        writer = node.open_writer(view, truncate=True, append=append)
        view.tree.hidden.show(self.object_id, name)
        return node, writer

    def rename(
        self, view: View, name: str, new_parent: Directory, new_name: str, *, replace: bool
    ) -> Plan | None:
        tree = view.tree
        view.check_writable(self.kind, self.object_id)
        scratch = tree.scratch.get(self.object_id, "", name)
        if not isinstance(new_parent, ObjectDir) or new_parent.object_id != self.object_id:
            # mv then copies, which says by itself what can't be.
            number = errno.EPERM if scratch is None else errno.EXDEV
            raise refusal(number, f"{name!r} can't be moved out of its object")
        new_row = self._rows().get(new_name)
        if not replace and self.lookup(view, new_name) is not None:
            raise FileExistsError(errno.EEXIST, f"{new_name!r} is there already")
        if (held := tree.held.get(self.ino, name)) is not None:
            plan = self._relate(view, new_row, new_name, held.target)
            return plan.then(lambda: tree.held.drop(self.ino, name))
        if scratch is not None and new_row is None:
            check_scratch_name(new_name)
            tree.scratch.rename(self.object_id, "", name, new_name)
            return None
        node = None if new_row is None else self._node(new_row)
        if scratch is not None and isinstance(node, AttributeFile | DiffTarFile):
            step = node.replace_step(view, bytes(scratch.content))

            def after() -> None:
                tree.scratch.remove(self.object_id, "", name)
                scratch.became = node
                tree.hidden.show(self.object_id, new_name)

            return Plan(step, after)
        row = self._rows().get(name)
        if isinstance(row, Text) and row.is_writable and new_row is None:
            # A backup made by renaming: the attribute can't go, so its content is copied.
            check_scratch_name(new_name)
            content = AttributeFile(self, row).content(view)
            plan = self.hide(view, name, always=True)
            return plan.then(lambda: tree.scratch.create(self.object_id, "", new_name, content))
        raise refusal(errno.EPERM, f"{name!r} can't be renamed to {new_name!r}")


def _is_bare(row: Row) -> bool:
    """Whether the entry can be shown of an object whose record is damaged."""
    if isinstance(row, Computed):
        return row.on_damage is not None
    return isinstance(row, Text) and not row.needs_record
