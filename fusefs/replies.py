"""
Replies that are given again as long as the view is the same.

    attributes   of the inodes asked for last      a program stats what the kernel may not answer
    listings     of the directories that follow     `ls -l` of 10,000 objects: with no work for an
                 from the view alone                object but to hand it over

What is kept here the kernel was allowed to keep too: a newer view, of which the kernel is told, is
what ends it in both places.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from holdfs.core.errors import StoreDamaged
from holdfs.fusefs.attrs import Attributes, Reply
from holdfs.fusefs.tree.node import Directory, Node, Stat
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


class Entry(NamedTuple):
    """One entry of a listing, ready to be given."""

    name: bytes
    node: Node
    stat: Stat
    reply: Reply


@dataclass(slots=True)
class _Listing:
    view: View
    names: Sequence[str]
    entries: Sequence[Entry] | None = None
    #: Of the view before, by name.
    known: Mapping[str, Entry] | None = None


class Listings:
    """Of the directories with `follows_view`: the entries of the last view that was listed."""

    def __init__(self, attributes: Attributes) -> None:
        self._attributes = attributes
        self._listings: dict[int, _Listing] = {}

    def names(self, directory: Directory, view: View) -> Sequence[str]:
        """Return the names in a directory, which need not be the same object every time."""
        if not directory.follows_view:
            return directory.names(view)
        last = self._listings.get(directory.ino)
        if last is not None and last.view is view:
            return last.names
        listing = _Listing(view, directory.names(view))
        if last is not None and last.entries:
            listing.known = dict(zip(last.names, last.entries, strict=True))
        self._listings[directory.ino] = listing
        return listing.names

    def entries(self, directory: Directory, view: View) -> Sequence[Entry]:
        """
        Return one entry for each of `names`, with the replies for the view that is the current one.

        Returns:
            None at all if they have to be asked one by one: the directory does not follow from the
            view, or something in it is damaged.
        """
        listing = self._listings.get(directory.ino)
        if listing is None or listing.view is not view:
            return ()
        if listing.entries is None:
            try:
                listing.entries = self._made(directory, listing)
            except (StoreDamaged, OSError):
                listing.entries = ()
            listing.known = None
        return listing.entries

    def _made(self, directory: Directory, listing: _Listing) -> list[Entry]:
        view, known = listing.view, listing.known or {}
        made: list[Entry] = []
        for name in listing.names:
            entry = known.get(name)
            node = entry.node if entry is not None else directory.lookup(view, name)
            if node is None or node.slow:
                raise FileNotFoundError(name)
            stat = node.attributes(view)
            if entry is None or entry.stat != stat:
                reply = self._attributes.fill(node.ino, stat, lasting_entry=node.lasting_entry)
                entry = Entry(name.encode("utf-8", "surrogatepass"), node, stat, reply)
            made.append(entry)
        return made
