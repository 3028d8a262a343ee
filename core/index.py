"""
Where the records of a set are: by ID, by name, by the begin of an ID.

Whoever looks for one or two finds them in the text of a column (column.py); an index of all is made
for whoever wants more, or all of them.
"""

from __future__ import annotations

from itertools import chain

from holdfs.core import column
from holdfs.core.column import entries
from holdfs.core.formats.shapes import SEPARATOR
from holdfs.core.part import differing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from holdfs.core.column import Cell
    from holdfs.core.part import Part, Source

#: Up to so many records an index of all is changed, not made anew.
_FEW = 500
#: So many look-ups go through the text of a column; from then on indexes are made and used.
_FEW_LOOK_UPS = 32


class Index:
    """
    The records of some files, those of the first before those of the next.

    Args:
        known: An index of records read earlier: what both have alike is made once.
    """

    def __init__(self, parts: Sequence[Part], known: Index | None = None) -> None:
        self.parts = tuple(parts)
        self._places_made: dict[str, int] | None = None
        self._ids: Sequence[str] | None = None
        self._look_ups = 0
        self._by_name: dict[str, str] | None = None
        self._name_count = -1
        self._sorted: list[str] | None = None
        self._cells: dict[str, Sequence[Cell]] = {}
        if known is not None and known._places_made is not None:
            self._take_over_places(known, known._places_made)
        if known is not None and known._by_name is not None:
            self._take_over_names(known, known._by_name)

    @property
    def _places(self) -> dict[str, int]:
        """Where each is: its place in its part, times the count of parts, plus the part's."""
        if self._places_made is None:
            self._places_made = self._index()
        return self._places_made

    @property
    def ids(self) -> Sequence[str]:
        """Full IDs in file order, each once; the same object every time."""
        if self._ids is None:
            self._ids = tuple(self._places)
        return self._ids

    def _index(self) -> dict[str, int]:
        places: dict[str, int] = {}
        step = len(self.parts)
        for index, part in enumerate(self.parts):
            # Twice in one file: the last counts. In a later file: it is shadowed.
            found = dict(zip(part.ids, range(index, step * len(part) + index, step), strict=True))
            if places:
                found = {key: place for key, place in found.items() if key not in places}
            places.update(found)
        return places

    def _take_over_places(self, known: Index, places: dict[str, int]) -> None:
        """Make the index at once, as `known` needed one: of that where it takes few changes."""
        is_alike = len(known.parts) == len(self.parts)
        if is_alike and all(a.ids == b.ids for a, b in zip(known.parts, self.parts, strict=True)):
            self._places_made, self._ids, self._sorted = places, known.ids, known._sorted
        elif is_alike and (last := self._last_added(known)):
            self._places_made = {**places, last: (len(self.parts[0]) - 1) * len(self.parts)}
        else:
            self._places_made = self._index()

    def _last_added(self, known: Index) -> str:
        """Return the ID of the one record that follows those of `known`, "" if that is not all."""
        if len(self.parts) > 1 and any(len(part) for part in self.parts[1:]):
            return ""
        part, before = self.parts[0], known.parts[0]
        rows, old_rows = differing(part, before)
        is_all = len(known) == len(before) and not old_rows and rows.stop == len(part)
        if not is_all or len(rows) != 1 or part.ids[-1] in known._places:
            return ""
        return str(part.ids[-1])

    def _take_over_names(self, known: Index, by_name: dict[str, str]) -> None:
        """Make the index that `known` has, where it takes only a few changes to it."""
        # Only where no two have one name: else it is for the whole to say who has it now.
        if known.count_names() != len(by_name):
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

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def differing(self, old: Index) -> tuple[Sequence[str], Sequence[str]]:
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

    # -- by ID ---------------------------------------------------------------------------------

    def place(self, record_id: str) -> tuple[Part, int]:
        """Return the part that holds the record, and its number there; KeyError if none does."""
        if (texts := self._texts()) is not None:
            part, ids, _ = texts
            at = column.last_line(ids, record_id)
            if at < 0:
                raise KeyError(record_id)
            return part, at
        at, index = divmod(self._places[record_id], len(self.parts))
        return self.parts[index], at

    def __contains__(self, record_id: object) -> bool:
        if isinstance(record_id, str) and (texts := self._texts()) is not None:
            return column.last_line(texts[1], record_id) >= 0
        return record_id in self._places

    def _texts(self) -> tuple[Part, bytes, bytes] | None:
        """
        Return the part that alone has records, and the texts of their IDs and names.

        None where there is an index to look in: there are several parts, or many look-ups.
        """
        if self._places_made is not None or self._look_ups > _FEW_LOOK_UPS:
            return None
        parts = [part for part in self.parts if len(part)]
        if len(parts) != 1:
            return None
        ids, names = parts[0].columns["id"].text, parts[0].columns["names"].text
        if ids is None or names is None:
            return None
        self._look_ups += 1
        return parts[0], ids, names

    def source(self, record_id: str) -> Source:
        """Return the file that holds the record."""
        return self.place(record_id)[0].source

    def is_read_only(self, record_id: str) -> bool:
        """Whether the record is one of an additional store."""
        return self.source(record_id).read_only

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
                part.columns[key].cells[at]
                for record_id in self._places
                for part, at in (self.place(record_id),)
            ]
        if len(parts) == 1:
            return parts[0].columns[key].cells if key in parts[0].columns else ()
        return list(chain.from_iterable(part.columns[key].cells for part in parts))

    def cell(self, record_id: str, key: str) -> Cell:
        """Return one record's cell. KeyError for an ID or a column that is not there."""
        part, at = self.place(record_id)
        return part.columns[key][at]

    def names_of(self, record_id: str) -> tuple[str, ...]:
        """Return the names of one record; KeyError for an ID that is not there."""
        return entries(self.cell(record_id, "names"))

    # -- by name -------------------------------------------------------------------------------

    @property
    def by_name(self) -> Mapping[str, str]:
        """ID by name. Where two records of one file share a name, the later has it."""
        if self._by_name is None:
            result: dict[str, str] = {}
            named = self.column("names")
            step = len(self.parts)
            if len(self) < sum(map(len, self.parts)):
                # Of an ID that is there twice the last counts, where it stands.
                order = {key: (at % step, at // step) for key, at in self._places.items()}
                named = iter(sorted(named, key=lambda one: order[one[0]]))
            for record_id, cell in named:
                if not cell:
                    continue
                is_read_only = step > 1 and self.is_read_only(record_id)
                for name in cell.split(SEPARATOR)[:-1] if isinstance(cell, str) else cell:
                    if is_read_only:
                        result.setdefault(name, record_id)
                    else:
                        result[name] = record_id
            self._by_name = result
        return self._by_name

    def owner(self, name: str) -> str | None:
        """Return the ID of the record that has the name, as `by_name` does; None if none has."""
        if self._by_name is None and (texts := self._texts()) is not None:
            part, ids, names = texts
            at = column.last_line_listing(names, name)
            if at < 0:
                return None
            record_id = str(part.columns["id"][at])
            # Of an ID that is there twice the last counts, and only the index knows which.
            if column.last_line(ids, record_id) == at:
                return record_id
        return self.by_name.get(name)

    def shares_names(self) -> bool:
        """Whether two records have the same name, or one has it twice."""
        texts = self._texts() if self._by_name is None else None
        if texts is not None and not column.lists_twice(texts[2]):
            return False
        return self.count_names() != len(self.by_name)

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
        if ref in self:
            return ref
        named = self.owner(ref)
        if named is not None or not ref:
            return named
        if (texts := self._texts()) is not None:
            lines = column.first_lines_beginning(texts[1], ref)
            if len(lines) < 2:
                return next((line for line in lines if " " not in line), None)
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
