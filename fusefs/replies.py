"""
Replies that are given again as long as the view is the same.

    attributes   of the inodes asked for last     a program stats what the kernel may not answer
    listings     of the objects of each kind      `ls -l` of 10,000 objects: with no work for an
                                                  object but to hand it over

What is kept here the kernel was allowed to keep too: a newer view, of which the kernel is told, is
what ends it in both places. Of a listing it ends only what it changed: a store of thousands of
objects in which something changes every second is not made anew every second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from holdfs.fusefs.attrs import Reply
from holdfs.fusefs.tree.collection import Collection, object_entry
from holdfs.fusefs.tree.node import Directory, Kind, Node
from holdfs.fusefs.tree.objects import ObjectDir
from holdfs.fusefs.tree.view import View

#: More are seldom asked for again and again.
_MOST_ATTRIBUTES: Final = 1024


class Kept:
    """Attributes by inode, of one view."""

    def __init__(self) -> None:
        self._view: View | None = None
        self._replies: dict[int, Reply] = {}

    def get(self, view: View, ino: int) -> Reply | None:
        """Return the reply that was kept for an inode, if it was made from this view."""
        return self._replies.get(ino) if view is self._view else None

    def keep(self, view: View, ino: int, reply: Reply) -> None:
        """Keep the reply for an inode, made from this view."""
        if view is not self._view or len(self._replies) >= _MOST_ATTRIBUTES:
            self._view = view
            self._replies = {}
        self._replies[ino] = reply


@dataclass(slots=True)
class _Listing:
    """
    One collection.

    Attributes:
        ids, created: Of the objects, what all the rest follows from. (Not their records: those are
            the whole file.)
        names: All entries, the objects first.
        replies: Of objects that were listed, by entry.
    """

    ids: Sequence[str]
    created: Sequence[Any]
    names: Sequence[str]
    replies: dict[str, Reply] = field(default_factory=dict)


class Listings:
    """
    What the collections list. An object's own directory has attributes that follow from its record,
    so a reply is good until that changes.
    """

    def __init__(self) -> None:
        self._listings: dict[Kind, _Listing] = {}

    def names(self, directory: Directory, view: View) -> Sequence[str]:
        """Return the names in a directory, which may be the same object every time."""
        if not isinstance(directory, Collection):
            return directory.names(view)
        view.readable(directory.kind)  # or it says what is damaged
        return self._listing(directory, view).names

    def replies(self, directory: Directory, view: View) -> Mapping[str, Reply]:
        """Return what was kept of the replies for entries as they are in this view, by name."""
        if not isinstance(directory, Collection):
            return {}
        return self._listing(directory, view).replies

    def keep(self, directory: Directory, view: View, node: Node, reply: Reply) -> None:
        """Keep what was replied for an entry in this view, if that is of use."""
        if isinstance(directory, Collection) and isinstance(node, ObjectDir) and reply.attr_timeout:
            self._listing(directory, view).replies[node.name] = reply

    def _listing(self, directory: Collection, view: View) -> _Listing:
        records = view.records(directory.kind)
        last = self._listings.get(directory.kind)
        ids, created = records.ids, records.cells_of("created")
        if last is None:
            last = _Listing(ids, created, directory.names(view))
        elif last.ids is not ids or last.created is not created:
            last = _followed(last, ids, created)
        self._listings[directory.kind] = last
        return last


def _followed(last: _Listing, ids: Sequence[str], created: Sequence[Any]) -> _Listing:
    """Return the listing of newer records; the replies of the old one are the new one's."""
    old_ids, old_created = last.ids, last.created
    # Compared in pieces, at the speed of C: that most strings are the same objects tells at once.
    start = min(_same_start(ids, old_ids), _same_start(created, old_created))
    end = min(_same_end(ids, old_ids, start), _same_end(created, old_created, start))
    stop, old_stop = len(ids) - end, len(old_ids) - end
    now = dict(zip(ids[start:stop], created[start:stop], strict=True))
    for object_id, was in zip(old_ids[start:old_stop], old_created[start:old_stop], strict=True):
        if now.get(object_id) != was:
            last.replies.pop(object_entry(object_id), None)
    names = [*last.names[:start], *map(object_entry, now), *last.names[old_stop:]]
    return _Listing(ids, created, names, last.replies)


def _same_start(a: Sequence[Any], b: Sequence[Any]) -> int:
    """Return how many are equal from the start on."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _same_end(a: Sequence[Any], b: Sequence[Any], start: int) -> int:
    """Return how many are equal from the end on, the first `start` aside."""
    low, high = 0, min(len(a), len(b)) - start
    while low < high:
        middle = (low + high + 1) // 2
        if a[len(a) - middle : len(a) - low] == b[len(b) - middle : len(b) - low]:
            low = middle
        else:
            high = middle - 1
    return low
