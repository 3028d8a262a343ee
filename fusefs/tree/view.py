"""
The tree at one moment: a snapshot of the store, and what is derived from it once.

A handler takes one view and uses it throughout, so that its answers agree. A view never changes;
what lives in the mount alone (`view.tree`) does.
"""

import errno
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from holdfs.core.comparing import Changes, SetChanges, compare
from holdfs.core.errors import StoreDamaged
from holdfs.core.formats.records import Image, Layer
from holdfs.core.reading import Records
from holdfs.core.snapshot import Snapshot
from holdfs.fusefs.tree.nameindex import NameIndex
from holdfs.fusefs.tree.node import KINDS, Kind, gone

if TYPE_CHECKING:
    from holdfs.fusefs.tree.tree import Tree


class Subject(NamedTuple):
    """One object with its record, as the tables of attributes take it."""

    view: "View"
    kind: Kind
    id: str
    record: Any


class View:
    """
    Args:
        stamps: When the record of an object, or who refers to it, was last seen to change; by ID.
            An object that is not in it has not changed since the mount.
        name_stamps: The same of directories of names, by kind and prefix.
    """

    def __init__(
        self,
        tree: "Tree",
        snapshot: Snapshot,
        base_ns: Mapping[Kind, int],
        stamps: Mapping[str, int],
        name_stamps: Mapping[tuple[Kind, str], int],
    ) -> None:
        self.tree = tree
        self.snapshot = snapshot
        self._base_ns = base_ns
        self._stamps = stamps
        self._name_stamps = name_stamps
        # Not the subject itself, which names its view: what goes in a circle stays until the
        # garbage collector looks at all there is, and a view holds the whole store.
        self._last: tuple[Kind, str, Any] | None = None
        self._names: dict[Kind, NameIndex] = {}

    @classmethod
    def first(cls, tree: "Tree", snapshot: Snapshot) -> "View":
        """Return the view that a mount begins with."""
        # Nobody knows when a record last changed before now: its file's time is late enough for
        # backup programs, which must not miss a change.
        base_ns = {kind: getattr(snapshot, kind).changed_ns for kind in KINDS}
        return cls(tree, snapshot, base_ns, {}, {})

    def follow(self, snapshot: Snapshot) -> "tuple[View, News]":
        """Return the view of a newer snapshot, and what it brings."""
        changes = compare(self.snapshot, snapshot)
        touched: dict[str, int] = {}
        names: dict[Kind, frozenset[str]] = {}
        name_stamps = dict(self._name_stamps)
        for kind in KINDS:
            one: SetChanges = getattr(changes, kind)
            if not one:
                continue
            now_ns = getattr(snapshot, kind).changed_ns
            for object_id in (*one.added, *one.removed, *one.changed):
                touched[object_id] = now_ns
                for side in (self.snapshot, snapshot):
                    for related in _related(side, kind, object_id):
                        touched.setdefault(related, now_ns)
            names[kind] = _changed_names(kind, self.snapshot, snapshot, one)
            for prefix in {p for name in names[kind] for p in prefixes(name)}:
                name_stamps[kind, prefix] = now_ns
        stamps = {**self._stamps, **touched}
        for layer_id in changes.mounts:
            for object_id in (layer_id, *snapshot.containers_on(layer_id)):
                stamps[_mounted(object_id)] = time.time_ns()
                touched.setdefault(object_id, time.time_ns())
        for kind in KINDS:
            for object_id in getattr(changes, kind).removed:
                stamps.pop(object_id, None)
                stamps.pop(_mounted(object_id), None)
        view = View(self.tree, snapshot, self._base_ns, stamps, name_stamps)
        for kind, index in dict(self._names).items():
            if not view.records(kind).damage:
                by_name = view.records(kind).by_name
                view._names[kind] = index.follow(by_name, names.get(kind, frozenset()))
        return view, News(self, view, changes, frozenset(touched), names)

    @property
    def started_ns(self) -> int:
        """When the mount was made."""
        return self.tree.started_ns

    def records(self, kind: Kind) -> Records[Any]:
        """Return all records of one kind."""
        records: Records[Any] = getattr(self.snapshot, kind)
        return records

    def readable(self, kind: Kind) -> Records[Any]:
        """
        Return all records of one kind, for a listing or a look-up.

        Raises:
            StoreDamaged: Its file can't be read. Saying "empty" would be a lie.
        """
        records = self.records(kind)
        if records.damage is not None and not len(records):
            raise records.damage
        return records

    def subject(self, kind: Kind, object_id: str) -> Subject:
        """
        Return an object with its record.

        Raises:
            FileNotFoundError: It is gone.
            StoreDamaged: Its record can't be decoded.
        """
        last = self._last
        if last is not None and last[1] == object_id and last[0] == kind:
            return Subject(self, kind, object_id, last[2])
        record = self.records(kind).get(object_id)
        if record is None:
            raise gone(f"{kind}/{object_id}")
        self._last = kind, object_id, record
        return Subject(self, kind, object_id, record)

    def bare_subject(self, kind: Kind, object_id: str) -> Subject:
        """
        Return an object, without its record if that can't be decoded.

        Raises:
            FileNotFoundError: It is gone.
        """
        try:
            return self.subject(kind, object_id)
        except StoreDamaged:
            return Subject(self, kind, object_id, None)

    def changed_ns(self, kind: Kind, object_id: str) -> int:
        """Return when the object, or who refers to it, last changed: no earlier than in truth."""
        return self._stamps.get(object_id) or self._base_ns[kind]

    def mounted_ns(self, kind: Kind, object_id: str) -> int:
        """Return when the object last changed or was mounted or unmounted, as `changed_ns`."""
        # Apart: `tar` reads the link rootfs, which mounts, and warns of directories that change.
        return max(self._stamps.get(_mounted(object_id), 0), self.changed_ns(kind, object_id))

    def names_changed_ns(self, kind: Kind, prefix: str) -> int:
        """Return when a name below this prefix last came or went."""
        return self._name_stamps.get((kind, prefix)) or self._base_ns[kind] or self.started_ns

    def listing_ns(self, kind: Kind) -> int:
        """Return when one of the kind last came, went or changed."""
        return self.records(kind).changed_ns or self.started_ns

    def names(self, kind: Kind) -> NameIndex:
        """Return the names of one kind as nested directories."""
        index = self._names.get(kind)
        if index is None:
            index = self._names[kind] = NameIndex(self.readable(kind).by_name)
        return index

    def by_digest(self, kind: Kind) -> Mapping[str, Sequence[str]]:
        """Return the IDs of the layers or images of each digest."""
        if kind == "layers":
            return self.snapshot.layers_by_digest
        return self.snapshot.images_by_digest

    def check_writable(self, kind: Kind, object_id: str) -> None:
        """
        Raise unless something can be changed in this object through this mount.

        Raises:
            OSError: EROFS, or ENOENT if it is gone.
        """
        self.tree.check_writable()
        if object_id not in self.records(kind):
            raise gone(f"{kind}/{object_id}")
        if self.records(kind).is_read_only(object_id):
            raise OSError(errno.EROFS, f"{object_id} belongs to an additional, read-only store")


@dataclass(frozen=True, slots=True)
class News:
    """
    What one reload brought.

    Attributes:
        touched: IDs of all objects that the changes show in: those that changed, and those whose
            relations did. The parent of a new layer has a new child.
        names: By kind those that came or went, on whatever object.
    """

    old: View
    new: View
    changes: Changes
    touched: frozenset[str]
    names: Mapping[Kind, frozenset[str]]


def _mounted(object_id: str) -> str:
    """Return the key of the stamp of an object's mounts."""
    return f"{object_id} mounted"


def digests_of(record: Layer | Image) -> tuple[str, ...]:
    """Return the digests that the record is found by in `by-digest/`."""
    if isinstance(record, Image):
        return record.digests
    return tuple(d for d in (record.compressed_diff_digest, record.diff_digest) if d)


def prefixes(name: str) -> Iterator[str]:
    """Yield the prefixes of all directories that lead to a name, "" first."""
    yield ""
    for at, character in enumerate(name):
        if character == "/":
            yield name[: at + 1]


def _changed_names(kind: Kind, old: Snapshot, new: Snapshot, changes: SetChanges) -> frozenset[str]:
    before, after = getattr(old, kind), getattr(new, kind)
    gone_ids = (*changes.removed, *changes.renamed)
    come_ids = (*changes.added, *changes.renamed)
    return frozenset(n for i in gone_ids for n in before.names_of(i)) ^ frozenset(
        n for i in come_ids for n in after.names_of(i)
    )


def _related(snapshot: Snapshot, kind: Kind, object_id: str) -> tuple[str, ...]:
    """Return the objects that list this one, or that this one's change may leave dangling."""
    records: Records[Any] = getattr(snapshot, kind)
    if object_id not in records:
        return ()
    head = records.head(object_id)
    match kind:
        case "layers":
            return (head.parent,) if head.parent else ()
        case "images":
            return tuple(i for i in (head.layer, *head.mapped_layers) if i)
        case "containers":
            return tuple(i for i in (head.layer, head.image) if i)
