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

from holdfs.core.column import entries
from holdfs.core.errors import StoreDamaged
from holdfs.core.formats.generic import Generic, R
from holdfs.core.index import Index
from holdfs.core.part import Part, read_columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from holdfs.core.column import Cell
    from holdfs.core.errors import StoreError
    from holdfs.core.formats.shapes import Shape
    from holdfs.core.part import Signature

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


class Records(Index, Generic[R]):
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
        self.token = token
        super().__init__(parts, known)
        #: What is wrong with a file of this kind as a whole.
        self.damage = next((part.damage for part in self.parts if part.damage is not None), None)

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
        try:
            part, at = self.place(record_id)
        except KeyError:
            return None
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
        try:
            if self.place(record_id)[0].is_sound:
                return None
        except KeyError:
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

    # -- what is known of every record ---------------------------------------------------------

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
        cells = [[columns[key].cells for key in keys] for columns in found]
        return (
            (record_id, tuple(of_key[place // step] for of_key in cells[place % step]))
            for record_id, place in self._places.items()
        )

    def head(self, record_id: str) -> Head:
        """Return the record's head. KeyError for an ID that is not there."""
        return Head(*self.place(record_id))

    def heads(self) -> Iterator[Head]:
        """Yield each record's head, in file order."""
        return (Head(*self.place(record_id)) for record_id in self._places)

    def created_ns(self, record_id: str) -> int:
        """Return when the record was made; 0 for a damaged or absent time."""
        created = str(self.cell(record_id, "created"))
        if created in _ZERO_TIMES:
            return 0
        from holdfs.core.formats import times

        return times.parse_time(created)

    def data_dir(self, record_id: str) -> str:
        """Return the directory that holds the record's own, with its big data."""
        return self.source(record_id).data_dir
