"""
Telling the kernel what it must not believe any longer: exactly what a change shows in.

Attributes first, at once and inline: that waits for nothing, and a node that is gone then says so
itself when it is asked. Entries after that, through pyfuse3's own thread, as the kernel takes the
directory's lock for each, which a request that we have not answered yet may hold.
"""

import os

import pyfuse3
from pyfuse3 import FileNameT, InodeT

from holdfs.core.comparing import SetChanges
from holdfs.core.errors import StoreDamaged
from holdfs.fusefs.inodes import Inodes
from holdfs.fusefs.tree.content import ContentTop
from holdfs.fusefs.tree.node import KINDS, Kind, Node
from holdfs.fusefs.tree.view import News, View, digests_of


def stale_nodes(inodes: Inodes, news: News) -> list[Node]:
    """Return the nodes the kernel knows whose attributes or names a change shows in."""
    found: dict[int, Node] = {}
    touched = set(news.touched)
    for kind in KINDS:
        changes: SetChanges = getattr(news.changes, kind)
        if not changes:
            continue
        nodes = inodes.listings(kind)
        moved: set[str] = set()
        for name in news.names[kind]:
            moved.add(name)
            # A name that begins others moves them: a/b is shown as a%2Fb once there is an a.
            for view in (news.old, news.new):
                if view.records(kind).damage is None:
                    index = view.names(kind)
                    below = index.names_below(name + "/")
                    moved.update(below)
                    touched.update(index.by_name[n] for n in below)
        nodes += inodes.name_directories(kind, moved)
        if kind != "containers" and inodes.knows_digests(kind):
            nodes += inodes.digest_directories(kind, _digests(kind, news, changes))
        found.update((node.ino, node) for node in nodes)
    for object_id in touched:
        found.update((node.ino, node) for node in inodes.about(object_id))
    return list(found.values())


def _digests(kind: Kind, news: News, changes: SetChanges) -> set[str]:
    """Return the digests that objects had or have which changed."""
    digests: set[str] = set()
    for view in (news.old, news.new):
        for object_id in (*changes.added, *changes.removed, *changes.changed):
            try:
                record = view.records(kind).get(object_id)
            except StoreDamaged:
                continue
            if record is not None:
                digests.update(digests_of(record))
    return digests


def loosened(inodes: Inodes, news: News) -> list[Node]:
    """
    Return the tops of content that could not change and now can: what the kernel knows of all below
    it keeps for longer than that, and must forget.
    """
    return [
        node
        for object_id in news.touched
        for node in inodes.about(object_id)
        if isinstance(node, ContentTop) and node.is_fixed(news.old) and not node.is_fixed(news.new)
    ]


def invalidate_attributes(nodes: list[Node]) -> None:
    """
    Let the kernel ask again for the attributes of these nodes.

    It never blocks: no page is dropped here. Pages go when the new mtime or size is seen.
    """
    for node in nodes:
        try:
            pyfuse3.invalidate_inode(InodeT(node.ino), attr_only=True)
        except FileNotFoundError:
            pass  # the kernel has just forgotten it


def invalidate_entries(nodes: list[Node], view: View) -> None:
    """Let the kernel forget the names under which these nodes are not found any more. In turn."""
    for node in nodes:
        if node.parent is not node and not _is_there(node, view):
            invalidate_entry(node)


def invalidate_entry(node: Node) -> None:
    """Let the kernel forget the name of one node, as soon as its directory is free."""
    name = FileNameT(os.fsencode(node.name))
    pyfuse3.invalidate_entry_async(InodeT(node.parent.ino), name, ignore_enoent=True)


def _is_there(node: Node, view: View) -> bool:
    try:
        node.check(view)
        if not node.slow:
            node.attributes(view)
    except OSError:
        return False
    except Exception:
        return True  # damaged: it says so itself
    return True
