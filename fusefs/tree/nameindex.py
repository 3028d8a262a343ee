"""
All names of one kind as nested directories, read from a sorted list: nothing is built per name.

    a  a/b  a/c/d  q/x        by-name/  a -> …   a%2Fb -> …   a%2Fc%2Fd -> …   q/  x -> …

A directory is its *prefix*: "" for `by-name/` itself, "q/" for `by-name/q/`. Where a name is the
beginning of another, the shorter stays a link and the longer is encoded beside it.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import copy
from typing import NamedTuple

from holdfs.fusefs.tree.encoding import BadSpelling, decode, entry_name, is_cut

#: What follows "/" in the order of characters: `prefix[:-1] + _AFTER_SLASH` ends a prefix's range.
_AFTER_SLASH = "0"
#: Up to so many names that came or went, the sorted list is changed, not sorted anew.
_FEW = 500


class Found(NamedTuple):
    """
    An entry of a by-name directory: a link to the object of that name, or a directory.

    Attributes:
        name: The whole name; for a directory its prefix.
        object_id: "" for a directory.
    """

    name: str
    object_id: str


class NameIndex:
    """
    Args:
        by_name: Object ID by name; it never changes.
    """

    __slots__ = ("_names", "by_name")

    def __init__(self, by_name: Mapping[str, str]) -> None:
        self.by_name = by_name
        self._names: Sequence[str] = sorted(by_name)

    def follow(self, by_name: Mapping[str, str], changed: Collection[str]) -> "NameIndex":
        """Return the index of other names, most of them the same: `changed` came or went."""
        if len(changed) > _FEW:
            return NameIndex(by_name)
        names = list(self._names)
        for name in changed:
            at = bisect_left(names, name)
            is_there = at < len(names) and names[at] == name
            if is_there and name not in by_name:
                del names[at]
            elif not is_there and name in by_name:
                names.insert(at, name)
        index = copy(self)
        index.by_name, index._names = by_name, names
        return index

    def lookup(self, prefix: str, entry: str) -> Found | None:
        """Return what `entry` is in the directory `prefix`, which exists."""
        try:
            text = decode(entry)
        except BadSpelling:
            return self._lookup_cut(prefix, entry) if is_cut(entry) else None
        name = prefix + text
        if name in self.by_name:
            # Over-long names have another entry; merged ones (a%2Fb) only where they must.
            if self.location(name) != (prefix, entry):
                return None
            return Found(name, self.by_name[name])
        if "/" not in text and self.is_directory(name + "/"):
            return Found(name + "/", "")
        return None

    def _lookup_cut(self, prefix: str, entry: str) -> Found | None:
        for listed, found in self.listing(prefix):
            if listed == entry:
                return found
        return None

    def is_directory(self, prefix: str) -> bool:
        """Whether some name lies below `prefix`, and no name is the beginning of `prefix`."""
        if not prefix:
            return True
        return bool(self.names_below(prefix)) and not self.shadow_of(prefix)

    def shadow_of(self, prefix: str) -> str | None:
        """Return the shortest name that `prefix` would lie below, and so can't be a directory."""
        at = prefix.find("/")
        while at >= 0:
            if prefix[:at] in self.by_name:
                return prefix[:at]
            at = prefix.find("/", at + 1)
        return None

    def names_below(self, prefix: str) -> Sequence[str]:
        """Return the names that begin with `prefix`, sorted."""
        names = self._names
        start = bisect_left(names, prefix)
        end = bisect_left(names, prefix[:-1] + _AFTER_SLASH, start) if prefix else len(names)
        return names[start:end]

    def location(self, name: str) -> tuple[str, str]:
        """Return the prefix of the directory that shows `name`, there or not, and its entry."""
        shorter = self.shadow_of(name)
        at = (name if shorter is None else shorter).rfind("/") + 1
        return name[:at], entry_name(name[at:])

    def listing(self, prefix: str) -> Iterator[tuple[str, Found]]:
        """Yield each entry of the directory `prefix` once, in the order of names."""
        names = self._names
        at = bisect_left(names, prefix)
        while at < len(names) and names[at].startswith(prefix):
            name = names[at]
            slash = name.find("/", len(prefix))
            if slash < 0 or name[:slash] in self.by_name:
                yield entry_name(name[len(prefix) :]), Found(name, self.by_name[name])
                at += 1
                continue
            yield entry_name(name[len(prefix) : slash]), Found(name[: slash + 1], "")
            at = bisect_left(names, name[:slash] + _AFTER_SLASH, at)
