"""
A set of records on disk: a lock, JSON files, and the one transaction that changes them.

    with layers.edit() as edit:           lock, reload if anybody wrote, refuse damage
        edit.add(record); edit.save()     token, then the file by rename; as often as needed
                                          whatever is unsaved is saved at the end, or dropped
                                          by an exception; unlock

Reading takes no lock (reading.py). Records that an edit does not touch go back byte for byte.

Source: spec 6.4, 6.5.
"""

from __future__ import annotations

from holdfs.core.atomic import write_atomic
from holdfs.core.errors import StoreReadOnly
from holdfs.core.formats.generic import Generic, R
from holdfs.core.formats.splicing import spliced
from holdfs.core.part import row_of, signature_of
from holdfs.core.reader import Reader
from holdfs.core.reading import Records
from holdfs.native.light import contextmanager
from holdfs.native.scan import scan_members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from holdfs.core.formats.shapes import Shape
    from holdfs.core.lockfile import Held, LockFile, LockGroup
    from holdfs.core.part import Signature, Source


class RecordSet(Reader[R]):
    """The records of one kind in one store, and in additional stores behind it."""

    def __init__(
        self,
        shape: Shape[R],
        lock: LockFile | LockGroup,
        sources: Sequence[Source],
        known: Records[R] | None = None,
    ) -> None:
        """Args as of `Reader`; known: What was read of these very files before."""
        super().__init__(shape, lock, sources)
        self._current = known
        # Signatures of files that were found wholly readable: a long-lived process checks once.
        self._sound: set[Signature] = set()

    @contextmanager
    def edit(self) -> Iterator[Edit[R]]:
        """
        Hold the lock for writing and yield what changes the records.

        Raises:
            LockTimeout: The lock was not to be had.
            StoreDamaged: One of the writable files is not wholly readable; nothing was changed.
        """
        with self.lock.writing() as held:
            fresh = self.current()
            for part in fresh.parts:
                if not (part.source.read_only or part.is_sound or part.signature in self._sound):
                    from holdfs.core.unsure import check_part

                    check_part(part, self.shape)
            edit = Edit(self, held, fresh)
            with self._mutex:
                self._current, self._is_ours = fresh, True
                self._sound = {part.signature for part in fresh.parts}
            try:
                yield edit
                edit.save()
            finally:
                self._is_ours = False

    @contextmanager
    def publishing(self, edit: Edit[R]) -> Iterator[None]:
        """
        Take over the records of an edit that are saved in the `with`.

        Who looks meanwhile waits for them: nobody may be told of the last of it, and see less.
        """
        with self._mutex:
            try:
                yield
            except BaseException:
                # Of several files some may be new: from now on the disk is asked again.
                self._is_ours = False
                raise
            self._current = edit.records
            self._sound = {part.signature for part in edit.records.parts}


class Edit(Generic[R]):
    """The records while their lock is held for writing. Not for use after the `with`."""

    def __init__(self, record_set: RecordSet[R], held: Held, fresh: Records[R]) -> None:
        self._set = record_set
        self._held = held
        self._shape = record_set.shape
        self._records: Records[R] | None = fresh
        self._known = fresh
        self._parts = list(fresh.parts)
        self._token = fresh.token
        self._dirty: set[int] = set()
        self._settle_names(fresh)

    @property
    def records(self) -> Records[R]:
        """The records with the changes made so far."""
        if self._records is None:
            self._records = Records(self._shape, self._parts, self._token, self._known)
            self._known = self._records
        return self._records

    def add(self, record: R, *, volatile: bool = False, of_images: bool = False) -> None:
        """
        Append a record; its ID and names must be free.

        Args:
            of_images: It belongs with the images, where those are kept apart.
        """
        from holdfs.core.formats.records import to_json

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
        count = len(self._parts[index])
        self._splice(index, count, count, [to_json(record)])

    def _has_image_store(self) -> bool:
        return any(part.source.of_images for part in self._parts)

    def replace(self, new: R) -> None:
        """Put `new` in the place of the record with its ID."""
        from holdfs.core.formats.records import edited

        index, at = self._find(new.id)
        old = self.records.one(new.id)
        members = _members(self._parts[index].raw(at))
        self._splice(index, at, at + 1, [edited(members, old, new)])

    def change(self, record_id: str, changes: Mapping[str, str | Sequence[str]]) -> None:
        """
        Give a record other values, texts or lists of texts by JSON key; the rest stays as it is.

        As `replace`, for those who can do without the whole record.
        """
        index, at = self._find(record_id)
        members = _members(self._parts[index].raw(at))
        self._splice(index, at, at + 1, [spliced(members, self._shape, changes)])

    def remove(self, record_id: str) -> None:
        """Take the record out; whoever else has the same ID in the file goes too."""
        index, _ = self._find(record_id)
        for at in range(len(self._parts[index]) - 1, -1, -1):
            if self._parts[index].ids[at] == record_id:
                self._splice(index, at, at + 1, [])

    def save(self) -> None:
        """
        Write what changed since the last save; nothing if nothing did.

        Each file is durable when this returns, but for volatile ones.
        """
        if not self._dirty:
            return
        # Token first, then JSON: if we are killed in between, others reload needlessly; the other
        # way round they would not see the change, and write over it.
        with self._set.publishing(self):
            self._token = self._held.renew_token()
            for index in sorted(self._dirty):
                part = self._parts[index]
                is_durable = not part.source.volatile
                stat = write_atomic(part.source.path, *part.pieces, durable=is_durable)
                self._parts[index] = part.saved(signature_of(stat))
            self._dirty.clear()
            self._records = None

    def _find(self, record_id: str) -> tuple[int, int]:
        part, at = self.records.place(record_id)
        if part.source.read_only:
            raise StoreReadOnly(
                f"{record_id} belongs to an additional store, which is read-only here"
            )
        return self._parts.index(part), at

    def _splice(self, index: int, begin: int, end: int, raws: list[bytes]) -> None:
        rows, is_sound = [], True
        for raw in raws:
            row = row_of(self._shape, raw)
            if row is None:
                from holdfs.core import unsure

                row, is_sound = unsure.row_of(self._shape, raw), False
            rows.append(row)
        part = self._parts[index].spliced(begin, end, raws, rows)
        part.is_sound = part.is_sound and is_sound
        self._parts[index] = part
        self._dirty.add(index)
        self._records = None

    def _settle_names(self, fresh: Records[R]) -> None:
        """Of two records with one name, the later keeps it: what every writer repairs (7.3)."""
        if not fresh.shares_names():
            return
        by_name = fresh.by_name
        for record_id in fresh.ids:
            if fresh.is_read_only(record_id):
                continue
            names = fresh.names_of(record_id)
            kept = tuple(dict.fromkeys(n for n in names if by_name[n] == record_id))
            if kept != names:
                self.change(record_id, {"names": kept})


def _members(raw: bytes) -> list[tuple[str, bytes]]:
    members = scan_members(raw)
    if members is None:
        from holdfs.core.unsure import members_of

        members = members_of(raw)
    return members
