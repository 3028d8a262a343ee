"""
Which nodes the kernel knows: by inode number, with its look-up counts, and by what they are about.

A node is entered when it is first replied and dropped when the kernel forgets it, so memory follows
the kernel's own cache. Found again by object ID, when that object has changed: 20,000 objects that
were listed cost one list each only if something besides their own directory was looked at.
"""

from collections.abc import Iterable, Iterator

from holdfs.fusefs.tree.collection import Collection
from holdfs.fusefs.tree.encoding import entry_name
from holdfs.fusefs.tree.node import KINDS, ROOT_INO, Kind, Node, gone, hash_ino
from holdfs.fusefs.tree.objects import ObjectDir
from holdfs.fusefs.tree.root import Root
from holdfs.fusefs.tree.view import prefixes


class Inodes:
    """The table; used on the loop only, each method is atomic."""

    def __init__(self, root: Root) -> None:
        self._nodes: dict[int, Node] = {root.ino: root}
        #: Look-ups beyond the first, which is what most nodes have: a second table of all would
        #: take a third of the memory. (The kernel never forgets the root.)
        self._more: dict[int, int] = {}
        self._about: dict[str, list[int]] = {}
        self._listings: dict[Kind, set[int]] = {kind: set() for kind in KINDS}
        self._collections = {kind: Collection(root, kind).ino for kind in KINDS}

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, ino: int) -> Node:
        """
        Return the node of an inode that the kernel knows.

        Raises:
            FileNotFoundError: It knows one that we do not.
        """
        node = self._nodes.get(ino)
        if node is None:
            raise gone(f"inode {ino}")
        return node

    def find(self, ino: int) -> Node | None:
        """Return the node of an inode if the kernel knows it."""
        return self._nodes.get(ino)

    def enter(self, node: Node) -> Node:
        """Count one look-up of the node, and return the one that stands for its inode."""
        known = self._nodes.get(node.ino)
        if known is not None:
            self._more[node.ino] = self._more.get(node.ino, 0) + 1
            if known.name == node.name and known.parent.ino == node.parent.ino:
                return known
            # Another of a file's names, or a new one of its directory: that it has for certain.
            self._nodes[node.ino] = node
            return node
        self._nodes[node.ino] = node
        if not _is_computable(node):
            if node.about:
                self._about.setdefault(node.about, []).append(node.ino)
            for kind in node.listed_kinds:
                self._listings[kind].add(node.ino)
        return node

    def forget(self, counts: Iterable[tuple[int, int]]) -> None:
        """Take back look-ups; a node without any is dropped."""
        for ino, count in counts:
            more = self._more.pop(ino, 0) - count
            if more >= 0:
                if more:
                    self._more[ino] = more
                continue
            node = self._nodes.pop(ino, None) if ino != ROOT_INO else None
            if node is not None and not _is_computable(node):
                self._drop(node)

    def _drop(self, node: Node) -> None:
        if node.about:
            known = self._about[node.about]
            known.remove(node.ino)
            if not known:
                del self._about[node.about]
        for kind in node.listed_kinds:
            self._listings[kind].discard(node.ino)

    def about(self, object_id: str) -> Iterator[Node]:
        """Yield all nodes known that show something of this object: directories, entries, links."""
        for collection_ino in self._collections.values():
            node = self._nodes.get(hash_ino(collection_ino, object_id, object_id))
            if node is not None:
                yield node
        for ino in self._about.get(object_id, ()):
            yield self._nodes[ino]

    def name_directories(self, kind: Kind, names: Iterable[str]) -> Iterator[Node]:
        """Yield the directories known that lead to these names, in `by-name/` of the kind."""
        top = hash_ino(self._collections[kind], "by-name", "")
        inos = {"": top}
        for name in names:
            above = top
            for prefix in prefixes(name):
                if prefix not in inos:
                    component = prefix[:-1].rpartition("/")[2]
                    inos[prefix] = hash_ino(above, entry_name(component), "")
                above = inos[prefix]
        yield from (self._nodes[ino] for ino in inos.values() if ino in self._nodes)

    def knows_digests(self, kind: Kind) -> bool:
        """Whether somebody has looked into `by-digest/` of the kind."""
        return hash_ino(self._collections[kind], "by-digest", "") in self._nodes

    def digest_directories(self, kind: Kind, digests: Iterable[str]) -> Iterator[Node]:
        """Yield the directories known of these digests, in `by-digest/` of the kind."""
        top = hash_ino(self._collections[kind], "by-digest", "")
        for digest in digests:
            node = self._nodes.get(hash_ino(top, entry_name(digest), ""))
            if node is not None:
                yield node

    def listings(self, kind: Kind) -> list[Node]:
        """Return the directories known that list all objects of this kind."""
        return [self._nodes[ino] for ino in self._listings[kind]]


def _is_computable(node: Node) -> bool:
    """Whether the node is an object's own directory: its inode number follows from its ID."""
    return isinstance(node, ObjectDir) and not node.is_alias
