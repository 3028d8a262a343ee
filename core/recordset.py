"""
A set of records on disk: a lock, JSON files, and the one transaction that changes them.

    with layers.edit() as edit:           lock, reload if anybody wrote, refuse damage
        edit.add(record); edit.save()     token, then the file by rename; as often as needed
                                          whatever is unsaved is saved at the end, or dropped
                                          by an exception; unlock

Reading takes no lock (reading.py). Records that an edit does not touch go back byte for byte.

Source: spec 6.4, 6.5.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Generic

import msgspec
from msgspec import Raw

from holdfs.core.atomic import write_atomic
from holdfs.core.errors import StoreReadOnly
from holdfs.core.formats import records
from holdfs.core.formats.records import R
from holdfs.core.lockfile import Held, LockFile, LockGroup
from holdfs.core.reading import (
    Head,
    Part,
    Records,
    Signature,
    Source,
    check_part,
    read_part,
    stat_signature,
)


class RecordSet(Generic[R]):
    """
    The records of one kind in one store, and in additional stores behind it.

    Args:
        lock: Protects all the writable sources.
        sources: The first takes new records, a volatile one new volatile records.
    """

    def __init__(
        self, kind: type[R], lock: LockFile | LockGroup, sources: Sequence[Source]
    ) -> None:
        self.kind = kind
        self.lock = lock
        self.sources = tuple(sources)
        self._mutex = threading.Lock()
        self._current: Records[R] | None = None
        # Signatures of files that were found wholly readable: a long-lived process checks once.
        self._sound: set[Signature] = set()

    def current(self) -> Records[R]:
        """
        Return the records as they are on disk now: the object of last time unless one changed.

        Takes no lock of the store. Costs a stat a file and a 64-byte read.
        """
        # The token first: should a writer come in between, the next look finds it changed.
        token = self.lock.token()
        signature = (token, tuple(stat_signature(source.path) for source in self.sources))
        with self._mutex:
            if self._current is None or self._current.signature != signature:
                self._current = self._read(token, self._current)
            return self._current

    def _read(self, token: bytes, known: Records[R] | None) -> Records[R]:
        parts = []
        for index, source in enumerate(self.sources):
            part = known.parts[index] if known is not None else None
            # A new token means that some file was written, and its stat can't be trusted to show
            # it: two quick renames give the first inode number back, within one tick of mtime.
            if known is not None and known.token != token and not source.read_only:
                part = None
            if part is None or part.signature != stat_signature(source.path):
                part = read_part(source)
            parts.append(part)
        return Records(self.kind, parts, token)

    @contextmanager
    def edit(self) -> Iterator["Edit[R]"]:
        """
        Hold the lock for writing and yield what changes the records.

        Raises:
            LockTimeout: The lock was not to be had.
            StoreDamaged: One of the writable files is not wholly readable; nothing was changed.
        """
        with self.lock.writing() as held:
            fresh = self.current()
            for part in fresh.parts:
                if not part.source.read_only and part.signature not in self._sound:
                    check_part(part, self.kind)
            edit = Edit(self, held, fresh)
            self._publish(fresh)
            yield edit
            edit.save()

    def _publish(self, sound: Records[R]) -> None:
        """Take over records that are known to be wholly readable."""
        with self._mutex:
            self._current = sound
            self._sound = {part.signature for part in sound.parts}


class Edit(Generic[R]):
    """The records while their lock is held for writing. Not for use after the `with`."""

    def __init__(self, record_set: RecordSet[R], held: Held, fresh: Records[R]) -> None:
        self._set = record_set
        self._held = held
        self._records: Records[R] | None = fresh
        self._parts = list(fresh.parts)
        self._token = fresh.token
        self._dirty: set[int] = set()
        self._settle_names(fresh)

    @property
    def records(self) -> Records[R]:
        """The records with the changes made so far."""
        if self._records is None:
            self._records = Records(self._set.kind, self._parts, self._token)
        return self._records

    def add(self, record: R, *, volatile: bool = False, of_images: bool = False) -> None:
        """
        Append a record; its ID and names must be free.

        Args:
            of_images: It belongs with the images, where those are kept apart.
        """
        index = next(
            (
                i
                for i, part in enumerate(self._parts)
                if not part.source.read_only
                and part.source.volatile == volatile
                and part.source.of_images == (of_images and self._has_image_store())
            ),
            0,
        )
        raw = records.to_json(record)
        part = self._parts[index]
        self._put(index, [*part.raws, Raw(raw)], [*part.heads, records.decode(raw, Head)])

    def _has_image_store(self) -> bool:
        return any(part.source.of_images for part in self._parts)

    def replace(self, new: R) -> None:
        """Put `new` in the place of the record with its ID."""
        index, at = self._find(new.id)
        old = self.records.one(new.id)
        raw = records.edited(self._parts[index].raws[at], old, new)
        raws, heads = list(self._parts[index].raws), list(self._parts[index].heads)
        raws[at], heads[at] = Raw(raw), records.decode(raw, Head)
        self._put(index, raws, heads)

    def remove(self, record_id: str) -> None:
        """Take the record out; whoever else has the same ID in the file goes too."""
        index, _ = self._find(record_id)
        part = self._parts[index]
        kept = [i for i, head in enumerate(part.heads) if head.id != record_id]
        self._put(index, [part.raws[i] for i in kept], [part.heads[i] for i in kept])

    def save(self) -> None:
        """
        Write what changed since the last save; nothing if nothing did.

        Each file is durable when this returns, but for volatile ones.
        """
        if not self._dirty:
            return
        # Token first, then JSON: if we are killed in between, others reload needlessly; the other
        # way round they would not see the change, and write over it.
        self._token = self._held.renew_token()
        for index in sorted(self._dirty):
            part = self._parts[index]
            stat = write_atomic(
                part.source.path,
                msgspec.json.encode(part.raws),
                durable=not part.source.volatile,
            )
            signature = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            self._parts[index] = Part(part.source, signature, part.raws, part.heads, part.broken)
        self._dirty.clear()
        self._records = None
        self._set._publish(self.records)

    def _find(self, record_id: str) -> tuple[int, int]:
        for index, part in enumerate(self._parts):
            for at in range(len(part.heads) - 1, -1, -1):
                if part.heads[at].id == record_id:
                    if part.source.read_only:
                        raise StoreReadOnly(
                            f"{record_id} belongs to an additional store, which is read-only here"
                        )
                    return index, at
        raise KeyError(record_id)

    def _put(self, index: int, raws: list[Raw], heads: list[Head]) -> None:
        part = self._parts[index]
        self._parts[index] = Part(part.source, part.signature, raws, heads, part.broken)
        self._dirty.add(index)
        self._records = None

    def _settle_names(self, fresh: Records[R]) -> None:
        """Of two records with one name, the later keeps it: what every writer repairs (7.3)."""
        by_name = fresh.by_name
        if sum(len(head.names) for head in fresh.heads()) == len(by_name):
            return
        for record_id in fresh.ids:
            if fresh.is_read_only(record_id):
                continue
            names = fresh.names_of(record_id)
            kept = tuple(dict.fromkeys(n for n in names if by_name[n] == record_id))
            if kept != names:
                record = fresh.one(record_id)
                self.replace(msgspec.structs.replace(record, names=kept))
