"""
One kind of record as it was read: immutable, indexed, decoded one record at a time.

    layers.json ──► Part (raw slices + heads) ─┐
    volatile-layers.json ──► Part ─────────────┼──► Records   (ids, names, look-up)
    <additional store>/layers.json ──► Part ───┘

A *raw* is a record's own bytes, a slice of the file. A *head* is what look-ups and relations need
of every record; everything else is decoded when somebody asks for that one record.
"""

import os
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic

import msgspec
from msgspec import Raw, Struct

from holdfs.core.errors import StoreDamaged, StoreError
from holdfs.core.formats import records, times
from holdfs.core.formats.records import R

#: (inode, mtime in ns, size) of a file that is replaced by rename; None while there is none.
Signature = tuple[int, int, int] | None


class Head(Struct, frozen=True, gc=False, rename=lambda field: field.replace("_", "-")):
    """
    What is kept decoded of each record, of whatever kind: a field its kind lacks is empty.

    `layer` of an image is its top layer, of a container its own one.
    """

    id: str
    names: tuple[str, ...] = ()
    created: records.Created = times.ZERO
    parent: str = ""
    layer: str = ""
    mapped_layers: tuple[str, ...] = ()
    image: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """
    One JSON file of a set.

    Attributes:
        volatile: Written without syncs; what is in it need not survive a crash.
        read_only: Belongs to an additional store.
    """

    path: str
    volatile: bool = False
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """
    What one source gave.

    Attributes:
        raws, heads: One each per record, in file order, doubles included.
        broken: What is wrong with a record whose head could not be read, by its ID.
    """

    source: Source
    signature: Signature
    raws: Sequence[Raw]
    heads: Sequence[Head]
    broken: Mapping[str, StoreDamaged]
    damage: StoreDamaged | None = None


_EMPTY: Mapping[str, StoreDamaged] = {}


def stat_signature(path: str) -> Signature:
    """Return what tells this content of the file from any other."""
    try:
        return _signature(os.stat(path))
    except FileNotFoundError:
        return None


def _signature(stat: os.stat_result) -> Signature:
    return (stat.st_ino, stat.st_mtime_ns, stat.st_size)


def read_part(source: Source) -> Part:
    """
    Read one JSON file. No lock is needed: the file is replaced by rename, so it is always whole.

    A file that is damaged gives a part with `damage` set and no records; a record that is, one
    that is listed and cannot be decoded.
    """
    try:
        fd = os.open(source.path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return Part(source, None, (), (), _EMPTY)
    with open(fd, "rb") as file:
        stat = os.fstat(fd)
        data = file.read()
    if not data:
        return Part(source, _signature(stat), (), (), _EMPTY)
    try:
        raws, heads, broken = _parse(source.path, data)
    except StoreDamaged as damage:
        return Part(source, _signature(stat), (), (), _EMPTY, damage)
    return Part(source, _signature(stat), raws, heads, broken)


def _parse(path: str, data: bytes) -> tuple[list[Raw], list[Head], Mapping[str, StoreDamaged]]:
    try:
        raws = msgspec.json.decode(data, type=list[Raw] | None) or []
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _damaged(path, data, error) from None
    try:
        return raws, msgspec.json.decode(data, type=list[Head] | None) or [], _EMPTY
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass  # one record at a time tells which
    heads: list[Head] = []
    broken: dict[str, StoreDamaged] = {}
    end = 0
    for raw in raws:
        start = data.index(bytes(raw), end)
        end = start + len(bytes(raw))
        try:
            heads.append(records.decode(raw, Head))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            damage = StoreDamaged(path, _reason(error), position=start)
            try:
                named = msgspec.json.decode(raw, type=_Named)
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise damage from None
            heads.append(Head(id=named.id))
            broken[named.id] = damage
    return raws, heads, broken


class _Named(Struct):
    id: str


def _damaged(path: str, data: bytes, error: Exception) -> StoreDamaged:
    return StoreDamaged(path, _reason(error), position=_position(data, error))


def _reason(error: Exception) -> str:
    text = re.sub(r" \(byte \d+\)$", "", str(error))
    return text[:1].lower() + text[1:]


def _position(data: bytes, error: Exception) -> int:
    if isinstance(error, UnicodeDecodeError):
        # msgspec decodes one string at a time; the file as a whole gives the place.
        try:
            data.decode()
        except UnicodeDecodeError as whole:
            return whole.start
    match = re.search(r"\(byte (\d+)\)$", str(error))
    return int(match[1]) if match else len(data) if "truncated" in str(error) else 0


def check_part(part: Part, kind: type[R]) -> None:
    """
    Raise StoreDamaged unless every record of the part is wholly of its kind.

    Done before anything is saved: what can't be decoded is not written over.
    """
    if part.damage is not None:
        raise part.damage
    for damage in part.broken.values():
        raise damage
    for index, raw in enumerate(part.raws):
        try:
            records.decode(raw, kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            position = sum(len(bytes(r)) + 1 for r in part.raws[:index]) + 1
            raise StoreDamaged(part.source.path, _reason(error), position=position) from None


class Records(Generic[R]):
    """All records of one kind: those of the writable store first, then of additional ones."""

    def __init__(self, kind: type[R], parts: Sequence[Part], token: bytes = b"") -> None:
        self.kind = kind
        self.parts = tuple(parts)
        self.token = token
        self._entries: dict[str, tuple[Raw, Head, Part]] = {}
        for part in self.parts:
            earlier = frozenset(self._entries) if self._entries else frozenset()
            for raw, head in zip(part.raws, part.heads, strict=True):
                # Twice in one file: the last counts. In a later file: it is shadowed.
                if head.id not in earlier:
                    self._entries[head.id] = (raw, head, part)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, record_id: object) -> bool:
        return record_id in self._entries

    @cached_property
    def ids(self) -> Sequence[str]:
        """Full IDs in file order, each once."""
        return tuple(self._entries)

    @property
    def damage(self) -> StoreDamaged | None:
        """What is wrong with a file of this kind as a whole."""
        return next((part.damage for part in self.parts if part.damage is not None), None)

    def check(self) -> None:
        """Raise StoreDamaged if any record can't be told, as before a check of who uses what."""
        if self.damage is not None:
            raise self.damage
        for part in self.parts:
            for damage in part.broken.values():
                raise damage

    @property
    def signature(self) -> tuple[bytes, tuple[Signature, ...]]:
        """Equal for two readings exactly when nobody wrote in between."""
        return self.token, tuple(part.signature for part in self.parts)

    @property
    def changed_ns(self) -> int:
        """When the newest of the files was written; 0 if there is none."""
        return max((part.signature[1] for part in self.parts if part.signature), default=0)

    def get(self, record_id: str) -> R | None:
        """
        Return the record of this full ID, decoded afresh.

        Raises:
            StoreDamaged: This record can't be decoded; others can.
        """
        entry = self._entries.get(record_id)
        if entry is None:
            return None
        raw, _, part = entry
        if record_id in part.broken:
            raise part.broken[record_id]
        try:
            return records.decode(raw, self.kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StoreDamaged(part.source.path, f"record {record_id}: {_reason(error)}") from None

    def one(self, record_id: str) -> R:
        """Return the record of an ID that is known to be there; KeyError if it is not."""
        record = self.get(record_id)
        if record is None:
            raise KeyError(record_id)
        return record

    def problem(self, record_id: str) -> StoreError | None:
        """Return why the record can't be decoded, or None."""
        try:
            self.get(record_id)
        except StoreDamaged as damage:
            return damage
        return None

    def raw(self, record_id: str) -> bytes:
        """Return the record's own bytes. KeyError for an ID that is not there."""
        return bytes(self._entries[record_id][0])

    def changed_since(self, old: "Records[R]") -> tuple[str, ...]:
        """Return the IDs that both have and whose bytes differ, in file order."""
        # In the daemon's way to show another tool's change: 10,000 records are compared in 4 ms
        # as they lie there, in 13 when each is copied out first.
        before = old._entries
        return tuple(
            record_id
            for record_id, entry in self._entries.items()
            if (known := before.get(record_id)) is not None and known[0] != entry[0]
        )

    def head(self, record_id: str) -> Head:
        """Return the record's head. KeyError for an ID that is not there."""
        return self._entries[record_id][1]

    def heads(self) -> Iterator[Head]:
        """Yield each record's head, in file order."""
        return (head for _, head, _ in self._entries.values())

    def names_of(self, record_id: str) -> tuple[str, ...]:
        """Return the names of one record; KeyError for an ID that is not there."""
        return self.head(record_id).names

    def created_ns(self, record_id: str) -> int:
        """Return when the record was made; 0 for a damaged or absent time."""
        created = self.head(record_id).created
        return 0 if created == times.ZERO else times.parse_time(created)

    def source(self, record_id: str) -> Source:
        """Return the file that holds the record."""
        return self._entries[record_id][2].source

    def is_read_only(self, record_id: str) -> bool:
        """Whether the record is one of an additional store."""
        return self.source(record_id).read_only

    @cached_property
    def by_name(self) -> Mapping[str, str]:
        """ID by name. Where two records of one file share a name, the later has it."""
        result: dict[str, str] = {}
        for record_id, (_, head, part) in self._entries.items():
            for name in head.names:
                if part.source.read_only:
                    result.setdefault(name, record_id)
                else:
                    result[name] = record_id
        return result

    @cached_property
    def _sorted_ids(self) -> Sequence[str]:
        return sorted(self._entries)

    def resolve(self, ref: str) -> str | None:
        """
        Return the full ID for an exact ID, an exact name, or the prefix of exactly one ID.

        An empty or ambiguous prefix is nobody's; IDs with a blank are found by exact match only.
        """
        if ref in self._entries:
            return ref
        named = self.by_name.get(ref)
        if named is not None:
            return named
        if not ref:
            return None
        found = self._sorted_ids
        at = bisect_left(found, ref)
        matches: list[str] = []
        while at < len(found) and found[at].startswith(ref) and len(matches) < 2:
            if " " not in found[at]:
                matches.append(found[at])
            at += 1
        return matches[0] if len(matches) == 1 else None
