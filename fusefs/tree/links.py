"""Links to objects: how a path is written from where it is read."""

from holdfs.fusefs.tree.encoding import entry_name, os_bytes
from holdfs.fusefs.tree.node import LINK_MODE, Directory, Kind, Link, Stat, moved
from holdfs.fusefs.tree.view import View


def object_path(directory: Directory, kind: Kind, object_id: str) -> str:
    """Return the relative path of an object's directory as a link in `directory` gives it."""
    entry = entry_name(object_id)
    if directory.collection == kind:
        return "../" * (directory.depth - 1) + entry
    return "../" * directory.depth + f"{kind}/{entry}"


def link_stat(text: str, changed_ns: int) -> Stat:
    """Return the attributes of a link that says `text`."""
    return Stat(LINK_MODE, len(os_bytes(text)), changed_ns)


class ObjectLink(Link):
    """
    A link to an object in a listing: in `by-name/`, `by-digest/`, `dangling/`, `children/`, …

    Another object under the same name is another inode, so the old one knows that it is stale.
    """

    __slots__ = ("kind", "object_id")

    def __init__(self, parent: Directory, name: str, kind: Kind, object_id: str) -> None:
        super().__init__(parent, name, object_id)
        self.kind: Kind = kind
        self.object_id = object_id

    @property
    def about(self) -> str:
        return self.object_id

    def object(self, view: View) -> tuple[Kind, str] | None:
        return self.kind, self.object_id

    def check(self, view: View) -> None:
        found = self.parent.lookup(view, self.name)
        if found is None or found.ino != self.ino:
            # Gone or not, the kernel looks again under the name that it was given: after a rename
            # that is another one than ours.
            raise moved(self.path)

    def target(self, view: View) -> str:
        return object_path(self.parent, self.kind, self.object_id)

    def attributes(self, view: View) -> Stat:
        return link_stat(self.target(view), view.changed_ns(self.kind, self.object_id))


class HeldLinkNode(Link):
    """A link that `ln -f` has made and is about to rename."""

    __slots__ = ("text",)

    lasting_entry = False

    def __init__(self, parent: Directory, name: str, text: str) -> None:
        super().__init__(parent, name)
        self.text = text

    def target(self, view: View) -> str:
        return self.text

    def attributes(self, view: View) -> Stat:
        return Stat(LINK_MODE, len(os_bytes(self.text)), view.started_ns, lasting=False)
