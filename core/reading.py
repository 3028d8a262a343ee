"""
One kind of record as it was read: immutable, indexed, decoded one record at a time.

    layers.json ──► Part (bytes + columns) ────┐
    volatile-layers.json ──► Part ─────────────┼──► Records   (ids, names, look-up)
    <additional store>/layers.json ──► Part ───┘

What look-ups and relations need of every record are its columns (part.py); everything else is
decoded when somebody asks for that one record. Nothing here imports what takes long: a command that
only looks is done before msgspec would be loaded.
"""

from __future__ import annotations

from itertools import chain

from holdfs.core.errors import StoreDamaged
from holdfs.core.formats.generic import Generic, R
from holdfs.core.formats.shapes import SEPARATOR
from holdfs.core.part import (
    Part,
    differing,
    entries,
    read_columns,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from holdfs.core.errors import StoreError
    from holdfs.core.formats.shapes import Shape
    from holdfs.core.part import Cell, Signature, Source

#: Up to so many records an index of all is changed, not made anew.
_FEW = 500
_ZERO_TIMES = ("", "0001-01-01T00:00:00Z")


class Head:
    """
    What is known of each record without decoding it: a field its kind lacks is empty.

    `layer` of an image is its top layer, of a container its own one.
    """

    __slots__ = ("created", "id", "image", "layer", "mapped_layers", "names", "parent")

    def __init__(self, part: Part, at: int) -> None:
        def text(key: str) -> str:
            cells = part.columns.get(key)
            return str(cells[at]) if cells is not None else ""

        self.id = text("id")
        self.created = text("created")
        self.parent = text("parent")
        self.layer = text("layer")
        self.image = text("image")
        self.names = entries(part.columns["names"][at])
        mapped = part.columns.get("mapped-layers")
        self.mapped_layers = entries(mapped[at]) if mapped is not None else ()


class Records(Generic[R]):
    """
    All records of one kind: those of the writable store first, then of additional ones.

    Args:
        known: Records read earlier: what both have alike is made once.
    """

    def __init__(
        self,
        shape: Shape[R],
        parts: Sequence[Part],
        token: bytes = b"",
        known: Records[R] | None = None,
    ) -> None:
        self.shape = shape
        self.parts = tuple(parts)
        self.token = token
        # Where a record is: its place in its part, times the count of parts, plus the part's.
        self._places = self._index(known)
        self._by_name: dict[str, str] | None = None
        self._name_count = -1
        self._sorted: list[str] | None = None
        #: What is wrong with a file of this kind as a whole.
        self.damage = next((part.damage for part in self.parts if part.damage is not None), None)
        self._cells: dict[str, Sequence[Cell]] = {}
        #: Full IDs in file order, each once.
        self.ids: Sequence[str] = tuple(self._places)
        if known is not None:
            self._take_over(known)

    def _index(self, known: Records[R] | None) -> dict[str, int]:
        if known is not None and len(known.parts) == len(self.parts):
            if all(a.ids == b.ids for a, b in zip(known.parts, self.parts, strict=True)):
                return known._places
            last = self._last_added(known)
            if last:
                return {**known._places, last: (len(self.parts[0]) - 1) * len(self.parts)}
        places: dict[str, int] = {}
        step = len(self.parts)
        for index, part in enumerate(self.parts):
            # Twice in one file: the last counts. In a later file: it is shadowed.
            found = dict(zip(part.ids, range(index, step * len(part) + index, step), strict=True))
            if places:
                found = {key: place for key, place in found.items() if key not in places}
            places.update(found)
        return places

    def _last_added(self, known: Records[R]) -> str:
        """Return the ID of the one record that follows those of `known`, "" if that is not all."""
        if len(self.parts) > 1 and any(len(part) for part in self.parts[1:]):
            return ""
        part, before = self.parts[0], known.parts[0]
        rows, old_rows = differing(part, before)
        is_all = len(known) == len(before) and not old_rows and rows.stop == len(part)
        if not is_all or len(rows) != 1 or part.ids[-1] in known._places:
            return ""
        return str(part.ids[-1])

    def _take_over(self, known: Records[R]) -> None:
        """Make the indexes that `known` has, where it takes only a few changes to them."""
        if self._places is known._places:
            self._sorted, self.ids = known._sorted, known.ids
        by_name = known._by_name
        # Only where no two have one name: else it is for the whole to say who has it now.
        if by_name is None or known.count_names() != len(by_name):
            return
        before, after = self.differing(known)
        if len(before) + len(after) > _FEW:
            return
        by_name = dict(by_name)
        either = dict.fromkeys((*before, *after))
        for record_id in either:
            if record_id in known:
                for name in known.names_of(record_id):
                    by_name.pop(name, None)
        count = len(by_name)
        for record_id in either:
            if record_id in self:
                names = self.names_of(record_id)
                by_name.update(dict.fromkeys(names, record_id))
                count += len(names)
        if count == len(by_name):
            self._by_name, self._name_count = by_name, count

    def place(self, record_id: str) -> tuple[Part, int]:
        """Return the part that holds the record, and its number there; KeyError if none does."""
        at, index = divmod(self._places[record_id], len(self.parts))
        return self.parts[index], at

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __contains__(self, record_id: object) -> bool:
        return record_id in self._places

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

    # -- whole records -------------------------------------------------------------------------

    def get(self, record_id: str) -> R | None:
        """
        Return the record of this full ID, decoded afresh.

        Raises:
            StoreDamaged: This record can't be decoded; others can.
        """
        if record_id not in self._places:
            return None
        part, at = self.place(record_id)
        if part.is_sound:
            from holdfs.core.formats.records import decode_sound

            return decode_sound(part.raw(at), self.shape)
        from holdfs.core.unsure import decoded

        return decoded(part, self.shape, at)

    def one(self, record_id: str) -> R:
        """Return the record of an ID that is known to be there; KeyError if it is not."""
        record = self.get(record_id)
        if record is None:
            raise KeyError(record_id)
        return record

    def problem(self, record_id: str) -> StoreError | None:
        """Return why the record can't be decoded, or None."""
        if record_id in self._places and self.place(record_id)[0].is_sound:
            return None
        try:
            self.get(record_id)
        except StoreDamaged as damage:
            return damage
        return None

    def raw(self, record_id: str) -> bytes:
        """Return the record's own bytes. KeyError for an ID that is not there."""
        part, at = self.place(record_id)
        return part.raw(at)

    def differing(self, old: Records[R]) -> tuple[Sequence[str], Sequence[str]]:
        """
        Return the IDs of all records that may differ between `old` and this, there and here.

        One that is in neither is the same in both. All of both where nothing is known.
        """
        if len(old.parts) != len(self.parts):
            return old.ids, self.ids
        before: list[str] = []
        after: list[str] = []
        for part, other in zip(self.parts, old.parts, strict=True):
            rows, other_rows = differing(part, other)
            before += other.ids[other_rows.start : other_rows.stop]
            after += part.ids[rows.start : rows.stop]
        return before, after

    # -- what is known of every record ---------------------------------------------------------

    def column(self, key: str) -> Iterator[tuple[str, Cell]]:
        """Yield the ID of each record and its cell of this column, in file order."""
        return zip(self.ids, self.cells_of(key), strict=True)

    def cells_of(self, key: str) -> Sequence[Cell]:
        """Return the cell of each of `ids` in turn, the same object every time."""
        cells = self._cells.get(key)
        if cells is None:
            cells = self._cells[key] = self._joined(key)
        return cells

    def _joined(self, key: str) -> Sequence[Cell]:
        parts = [part for part in self.parts if len(part)]
        if len(self._places) < sum(map(len, parts)):  # some are there twice
            return [
                part.columns[key][at]
                for record_id in self._places
                for part, at in (self.place(record_id),)
            ]
        if len(parts) == 1:
            return parts[0].columns.get(key, ())
        return list(chain.from_iterable(part.columns[key] for part in parts))

    def cell(self, record_id: str, key: str) -> Cell:
        """Return one record's cell. KeyError for an ID or a column that is not there."""
        part, at = self.place(record_id)
        return part.columns[key][at]

    def cells(self, record_id: str, *keys: str) -> tuple[Cell, ...] | None:
        """Return what a record has under these keys; None for `get` to tell."""
        part, at = self.place(record_id)
        if not part.is_sound:
            return None
        one = Part(part.source, data=b"[" + part.raw(at) + b"]")
        found = read_columns(one, self.shape, keys)
        return None if found is None else tuple(found[key][0] for key in keys)

    def columns(self, *keys: str) -> Iterator[tuple[str, tuple[Cell, ...]]] | None:
        """Yield the ID of each record and its cells of these keys; None for `get` to tell."""
        read = [read_columns(p, self.shape, keys) if p.is_sound else None for p in self.parts]
        found = [columns for columns in read if columns is not None]
        if len(found) < len(self.parts):
            return None
        step = len(self.parts)
        return (
            (record_id, tuple(found[place % step][key][place // step] for key in keys))
            for record_id, place in self._places.items()
        )

    def head(self, record_id: str) -> Head:
        """Return the record's head. KeyError for an ID that is not there."""
        return Head(*self.place(record_id))

    def heads(self) -> Iterator[Head]:
        """Yield each record's head, in file order."""
        return (Head(*self.place(record_id)) for record_id in self._places)

    def names_of(self, record_id: str) -> tuple[str, ...]:
        """Return the names of one record; KeyError for an ID that is not there."""
        return entries(self.cell(record_id, "names"))

    def created_ns(self, record_id: str) -> int:
        """Return when the record was made; 0 for a damaged or absent time."""
        created = str(self.cell(record_id, "created"))
        if created in _ZERO_TIMES:
            return 0
        from holdfs.core.formats import times

        return times.parse_time(created)

    def source(self, record_id: str) -> Source:
        """Return the file that holds the record."""
        return self.place(record_id)[0].source

    def data_dir(self, record_id: str) -> str:
        """Return the directory that holds the record's own, with its big data."""
        return self.source(record_id).data_dir

    def is_read_only(self, record_id: str) -> bool:
        """Whether the record is one of an additional store."""
        return self.source(record_id).read_only

    # -- look-up -------------------------------------------------------------------------------

    @property
    def by_name(self) -> Mapping[str, str]:
        """ID by name. Where two records of one file share a name, the later has it."""
        if self._by_name is None:
            result: dict[str, str] = {}
            for record_id, cell in self.column("names"):
                if not cell:
                    continue
                is_read_only = len(self.parts) > 1 and self.is_read_only(record_id)
                for name in cell.split(SEPARATOR)[:-1] if isinstance(cell, str) else cell:
                    if is_read_only:
                        result.setdefault(name, record_id)
                    else:
                        result[name] = record_id
            self._by_name = result
        return self._by_name

    def count_names(self) -> int:
        """Return how many names all records have, one that several have counted with each."""
        if self._name_count < 0:
            self._name_count = sum(
                cell.count(SEPARATOR) if isinstance(cell, str) else len(cell)
                for _, cell in self.column("names")
            )
        return self._name_count

    def resolve(self, ref: str) -> str | None:
        """
        Return the full ID for an exact ID, an exact name, or the prefix of exactly one ID.

        An empty or ambiguous prefix is nobody's; IDs with a blank are found by exact match only.
        """
        if ref in self._places:
            return ref
        named = self.by_name.get(ref)
        if named is not None or not ref:
            return named
        if self._sorted is None:
            self._sorted = sorted(self._places)
        from _bisect import bisect_left

        found = self._sorted
        at = bisect_left(found, ref)
        matches: list[str] = []
        while at < len(found) and found[at].startswith(ref) and len(matches) < 2:
            if " " not in found[at]:
                matches.append(found[at])
            at += 1
        return matches[0] if len(matches) == 1 else None
