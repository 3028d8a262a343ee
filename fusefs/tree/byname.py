"""
`by-name/`: every name a link, nested on `/`. To make, move and remove links is to name objects.

    images/by-name/docker.io/library/busybox:latest -> ../../../<id>
"""

import errno
from collections.abc import Sequence

from holdfs.fusefs.tree import targets
from holdfs.fusefs.tree.encoding import decode, entry_name, is_cut
from holdfs.fusefs.tree.held import is_temporary
from holdfs.fusefs.tree.links import HeldLinkNode, ObjectLink
from holdfs.fusefs.tree.node import (
    DIRECTORY_MODE,
    Directory,
    Kind,
    MakingStep,
    Node,
    Plan,
    Stat,
    gone,
    refusal,
)
from holdfs.fusefs.tree.view import View


class NameDir(Directory):
    """
    One directory of names.

    Attributes:
        prefix: What all names in it begin with: "", or ends in "/".
    """

    __slots__ = ("kind", "prefix")

    def __init__(self, parent: Directory, name: str, kind: Kind, prefix: str) -> None:
        super().__init__(parent, name)
        self.kind: Kind = kind
        self.prefix = prefix

    def _is_there(self, view: View) -> bool:
        return view.names(self.kind).is_directory(self.prefix)

    def check(self, view: View) -> None:
        if self.prefix and not self._is_there(view):
            self.check_name(view)

    def attributes(self, view: View) -> Stat:
        # One that only the mount has may go without notice.
        lasting = self._is_there(view)
        return Stat(DIRECTORY_MODE, 0, view.names_changed_ns(self.kind, self.prefix), lasting)

    def names(self, view: View) -> Sequence[str]:
        shown = dict.fromkeys(entry for entry, _ in view.names(self.kind).listing(self.prefix))
        made = view.tree.made.inside(self.kind, self.prefix)
        shown |= dict.fromkeys(entry_name(name) for name in made)
        return [*shown, *view.tree.held.names(self.ino)]

    def lookup(self, view: View, name: str) -> Node | None:
        if (held := view.tree.held.get(self.ino, name)) is not None:
            return HeldLinkNode(self, name, held.target)
        found = view.names(self.kind).lookup(self.prefix, name)
        if found is not None and found.object_id:
            return ObjectLink(self, name, self.kind, found.object_id)
        if found is not None:
            return NameDir(self, name, self.kind, found.name)
        for made in view.tree.made.inside(self.kind, self.prefix):
            if entry_name(made) == name:
                return NameDir(self, name, self.kind, f"{self.prefix}{made}/")
        return None

    def _new_name(self, view: View, entry: str) -> str:
        """Return the name that a link `entry` stands for; raise if it can't be made here."""
        if is_cut(entry):
            raise refusal(errno.EINVAL, f"{entry!r} is how a longer name is shown")
        if entry.startswith(".Trash"):
            raise refusal(errno.EPERM, "there is no trash here: delete for good")
        name = self.prefix + decode(entry)
        prefix, shown = view.names(self.kind).location(name)
        if (prefix, shown) != (self.prefix, entry):
            raise refusal(errno.EINVAL, f"the name {name!r} is shown as {prefix}{shown}")
        if view.names(self.kind).names_below(name + "/"):
            raise refusal(errno.EEXIST, f"there are names below {name!r} already")
        return name

    def mkdir(self, view: View, name: str) -> MakingStep | None:
        view.tree.check_writable()
        if is_cut(name) or name.startswith(".Trash"):
            raise refusal(errno.EPERM, f"no directory {name!r} can be made here")
        text = decode(name)
        if "/" in text:
            raise refusal(errno.EINVAL, "a directory of names holds no slash; make them one by one")
        view.tree.made.make(self.kind, f"{self.prefix}{text}/")
        return None

    def rmdir(self, view: View, name: str) -> Plan | None:
        found = self.lookup(view, name)
        if not isinstance(found, NameDir):
            raise gone(f"{self.path}/{name}")
        if found.names(view):
            raise refusal(errno.ENOTEMPTY, f"there are names below {found.prefix!r}")
        view.tree.made.remove(self.kind, found.prefix)
        return None

    def symlink(self, view: View, name: str, target: str) -> Plan | None:
        view.tree.check_writable()
        plan = self._add(view, name, target)
        if not is_temporary(name):
            return plan
        view.tree.held.hold(self.ino, name, f"{self.path}/{name}", target, plan)
        return None

    def _add(self, view: View, entry: str, target: str) -> Plan:
        name = self._new_name(view, entry)
        kind, tree = self.kind, view.tree
        object_id = targets.resolve(view, self, target, kind)
        view.check_writable(kind, object_id)
        return Plan(
            lambda: tree.store.append_names(kind, object_id, (name,)),
            lambda: tree.made.settle(kind, name),
        )

    def unlink(self, view: View, name: str) -> Plan | None:
        tree, kind = view.tree, self.kind
        if tree.held.drop(self.ino, name) is not None:
            return None
        found = view.names(kind).lookup(self.prefix, name)
        if found is None:
            raise gone(f"{self.path}/{name}")
        view.check_writable(kind, found.object_id)
        return Plan(
            lambda: tree.store.remove_names(kind, found.object_id, (found.name,)),
            lambda: tree.made.keep(kind, found.name),
        )

    def rename(
        self, view: View, name: str, new_parent: Directory, new_name: str, *, replace: bool
    ) -> Plan | None:
        tree, kind = view.tree, self.kind
        tree.check_writable()
        if not isinstance(new_parent, NameDir) or new_parent.kind != kind:
            raise refusal(errno.EPERM, "a name can be moved only within its by-name directory")
        there = view.names(kind).lookup(new_parent.prefix, new_name)
        if there is not None and not replace:
            raise FileExistsError(errno.EEXIST, f"{there.name!r} is there already")
        if there is not None and not there.object_id:
            raise IsADirectoryError(errno.EISDIR, f"{there.name!r} is a directory of names")
        new = new_parent._new_name(view, new_name)
        if (held := tree.held.get(self.ino, name)) is not None:
            plan = new_parent._add(view, new_name, held.target)
            return plan.then(lambda: tree.held.drop(self.ino, name))
        found = view.names(kind).lookup(self.prefix, name)
        if found is None:
            raise gone(f"{self.path}/{name}")
        if not found.object_id:
            raise refusal(errno.EPERM, "a directory of names can't be renamed, names can")
        view.check_writable(kind, found.object_id)

        def after() -> None:
            tree.made.settle(kind, new)
            tree.made.keep(kind, found.name)

        return Plan(lambda: tree.store.rename(kind, found.name, new, replace=replace), after)
