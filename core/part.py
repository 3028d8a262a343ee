"""
One JSON file of records, taken apart: where each is, and what is needed of every one.

    [{"id":"a","names":["x"]},{"id":"b"}]
     ╰─ span ───────────────╯ ╰─ span ─╯      columns: id → a, b    names → x, nothing

Most files are good for certain and are read by one pass in C; all others by msgspec, which knows
what is wrong with them (unsure.py). A file of which we know an earlier state is looked at only
where it differs from that.
"""

from __future__ import annotations

import os
from sys import byteorder

from holdfs.core.column import Column
from holdfs.core.pieces import Pieces
from holdfs.native import scan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeAlias

    from holdfs.core.column import Cell
    from holdfs.core.errors import StoreDamaged
    from holdfs.core.formats.shapes import Shape

    #: (inode, mtime in ns, size) of a file that is replaced by rename; None while there is none.
    Signature: TypeAlias = tuple[int, int, int] | None
    #: The cells of one record by key.
    Row: TypeAlias = Mapping[str, Cell]
    Columns: TypeAlias = Mapping[str, Column]
    #: The mark of an earlier part; how many records are the same at the start, and at the end.
    Origin: TypeAlias = tuple[object, int, int]

#: How many states back a part is still known to be much the same.
_MOST_ORIGINS = 8

#: A file of so many bytes is worth being read by two threads.
_LARGE = 1 << 20

_NO_SPANS = memoryview(b"").cast("I")
_NO_CELLS = Column()


class Source:
    """
    One JSON file of a set.

    Attributes:
        volatile: Written without syncs; what is in it need not survive a crash.
        read_only: Belongs to an additional store.
        of_images: Belongs to the place where images and their layers are kept apart.
        data_dir: Holds the directories with the records' big data.
    """

    __slots__ = ("data_dir", "of_images", "path", "read_only", "volatile")

    def __init__(
        self,
        path: str,
        *,
        volatile: bool = False,
        read_only: bool = False,
        of_images: bool = False,
        data_dir: str = "",
    ) -> None:
        self.path = path
        self.volatile = volatile
        self.read_only = read_only
        self.of_images = of_images
        self.data_dir = data_dir


class Part:
    """
    What one source gave, never changed: changes make another.

    Attributes:
        pieces: The file's content.
        spans: Begin and end in it of each record in turn, doubles included.
        columns: The cells of each record, by key.
        broken: What is wrong with a record whose cells could not be read, by its ID.
        damage: What is wrong with the file as a whole; there are no records then.
        is_sound: Every record is wholly of its kind, for certain.
        origins: Earlier parts that this one differs from in few records, and how many records at
            the start and at the end are the same. A part is named by its `mark` alone, to be gone
            when nobody else has it.
    """

    __slots__ = (
        "broken",
        "columns",
        "damage",
        "is_sound",
        "mark",
        "origins",
        "pieces",
        "signature",
        "source",
        "spans",
    )

    def __init__(
        self,
        source: Source,
        signature: Signature = None,
        data: bytes | Pieces = b"",
        spans: memoryview = _NO_SPANS,
        columns: Columns | None = None,
        *,
        broken: Mapping[str, StoreDamaged] | None = None,
        damage: StoreDamaged | None = None,
        is_sound: bool = True,
        origins: tuple[Origin, ...] = (),
    ) -> None:
        self.source = source
        self.signature = signature
        self.pieces = data if isinstance(data, Pieces) else Pieces(data)
        self.spans = spans
        self.columns = columns or {}
        self.broken = broken or {}
        self.damage = damage
        self.is_sound = is_sound
        self.origins = origins
        self.mark = object()

    def __len__(self) -> int:
        return len(self.spans) // 2

    @property
    def data(self) -> bytes:
        """The file's content as a whole, put together if nobody has asked for it yet."""
        return self.pieces.whole()

    @property
    def ids(self) -> Sequence[Any]:
        """The ID of each record."""
        return self.columns.get("id", _NO_CELLS).cells

    def raw(self, at: int) -> bytes:
        """Return the bytes of one record."""
        return self.pieces.between(self.spans[2 * at], self.spans[2 * at + 1])

    @property
    def raws(self) -> list[bytes]:
        """The bytes of each record."""
        return [self.raw(at) for at in range(len(self))]

    # -- changes -------------------------------------------------------------------------------

    def spliced(self, begin: int, end: int, raws: Sequence[bytes], rows: Sequence[Row]) -> Part:
        """
        Return a part with these records in the place of those from `begin` to before `end`.

        All other bytes stay as they are, with blanks between records if there are any.
        """
        old, count = self.spans, len(self)
        new = b",".join(raws)
        # What goes takes a comma with it, what comes brings one.
        if not count:
            start, stop, first = 0, self.pieces.size, 1
            new = b"[" + new + b"]"
        elif begin == end:
            start = stop = first = old[2 * begin] if begin < count else old[-1]
            if begin < count:
                new += b","
            else:
                new, first = b"," + new, start + 1
        else:
            start, stop = old[2 * begin], old[2 * end - 1]
            first = start
            if not raws:
                if end < count:
                    stop = old[2 * end]
                elif begin:
                    start = old[2 * begin - 1]
        spans = bytearray(old[: 2 * begin])
        for raw in raws:
            spans += first.to_bytes(4, byteorder) + (first + len(raw)).to_bytes(4, byteorder)
            first += len(raw) + 1
        spans += scan.shifted(old[2 * end :], len(new) - (stop - start))
        before = self.columns or dict.fromkeys(rows[0] if rows else (), _NO_CELLS)
        columns = {
            key: column.replaced(begin, end, [row[key] for row in rows])
            for key, column in before.items()
        }
        return Part(
            self.source,
            self.signature,
            self.pieces.replaced(start, stop, new),
            memoryview(bytes(spans)).cast("I"),
            columns,
            broken=self.broken,
            is_sound=self.is_sound,
            origins=_origins(self, begin, count - end),
        )

    def saved(self, signature: Signature) -> Part:
        """Return the same part as it is in a file now."""
        part = Part(
            self.source,
            signature,
            self.pieces,
            self.spans,
            self.columns,
            broken=self.broken,
            is_sound=self.is_sound,
            origins=self.origins,
        )
        part.mark = self.mark
        return part


# -- reading -----------------------------------------------------------------------------------


def stat_signature(path: str) -> Signature:
    """Return what tells this content of the file from any other."""
    try:
        return signature_of(os.stat(path))
    except FileNotFoundError:
        return None


def signature_of(stat: os.stat_result) -> tuple[int, int, int]:
    """Return what of a file's status tells its content."""
    return (stat.st_ino, stat.st_mtime_ns, stat.st_size)


def read_part(source: Source, shape: Shape[Any], known: Part | None = None) -> Part:
    """
    Read one JSON file. No lock is needed: the file is replaced by rename, so it is always whole.

    A file that is damaged gives a part with `damage` set and no records; a record that is, one
    that is listed and cannot be decoded.

    Args:
        known: An earlier state of the file.
    """
    try:
        fd = os.open(source.path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return Part(source)
    try:
        signature = signature_of(os.fstat(fd))
        part = _updated(known, shape, signature, fd) if known is not None else None
        if part is not None:
            return part
        data = _read(fd, signature[2])
    finally:
        os.close(fd)
    if not data:
        return Part(source, signature)
    part = scanned(source, shape, signature, data)
    if part is None:
        from holdfs.core.unsure import parse

        part = parse(source, shape, signature, data)
    return part


def _read(fd: int, size: int) -> bytes:
    if size < _LARGE:
        # A byte more: a file of the size told takes one call, and the one that finds its end.
        chunks = []
        while chunk := os.read(fd, max(size, 0) + 1):
            chunks.append(chunk)
            size -= len(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)
    return scan.read(fd, size)


def read_data(path: str) -> bytes:
    """Return what a file of records holds, nothing if it is not there."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        return _read(fd, os.fstat(fd).st_size)
    finally:
        os.close(fd)


def scanned(source: Source, shape: Shape[Any], signature: Signature, data: bytes) -> Part | None:
    """Return the part that `data` is, None if it is not good for certain."""
    found = _scan(data, shape, shape.columns)
    return None if found is None else Part(source, signature, data, *found)


def read_columns(part: Part, shape: Shape[Any], keys: tuple[str, ...]) -> Columns | None:
    """Return further columns of a part; None if they are not good for certain."""
    found = (
        _scan(part.data, shape, keys) if part.data else (_NO_SPANS, dict.fromkeys(keys, _NO_CELLS))
    )
    return None if found is None else found[1]


def _scan(
    data: bytes, shape: Shape[Any], keys: tuple[str, ...]
) -> tuple[memoryview, Columns] | None:
    found = scan.scan_records(data, shape.spec(keys), len(keys))
    if found is None:
        return None
    spans, texts = found
    return spans, {key: Column(text) for key, text in zip(keys, texts, strict=True)}


def row_of(shape: Shape[Any], raw: bytes) -> Row | None:
    """Return the cells of one record, None if it is not good for certain."""
    part = scanned(Source(""), shape, None, b"[" + raw + b"]")
    return None if part is None else {key: column[0] for key, column in part.columns.items()}


def _updated(
    known: Part, shape: Shape[Any], signature: tuple[int, int, int], fd: int
) -> Part | None:
    """
    Return the part that the open file is, if it differs from `known` in few records.

    Only the bytes of these become memory; what was found to be the same is that of `known`.
    """
    old_size, size = known.pieces.size, signature[2]
    spans, count = known.spans, len(known)
    if not known.is_sound or not count:
        return None
    start, end = known.pieces.common(fd, size)
    if start == old_size == size:
        return known.saved(signature)
    # The records before and behind that are wholly in what is the same, with what ends them.
    before = _first(count, lambda at: spans[2 * at + 1] >= start)
    behind = _first(count, lambda at: spans[2 * at] > old_size - end)
    if behind <= before:
        return None  # nothing but blanks differs
    begin, stop = spans[2 * before], spans[2 * behind - 1]
    length = size - (old_size - stop) - begin
    # More than records differs: what is between or behind them; or so much that all is as quick.
    if begin > start or stop < old_size - end or behind - before > count // 2 + 1 or length <= 0:
        return None
    middle = os.pread(fd, length, begin)
    if len(middle) < length:
        return None  # it is cut short
    changed = scanned(known.source, shape, signature, b"[" + middle + b"]")
    if changed is None:
        return None
    columns = {
        key: column.replaced(before, behind, changed.columns[key].cells)
        for key, column in known.columns.items()
    }
    moved = (
        bytes(spans[: 2 * before])
        + scan.shifted(changed.spans, begin - 1)
        + scan.shifted(spans[2 * behind :], size - old_size)
    )
    return Part(
        known.source,
        signature,
        known.pieces.replaced(begin, stop, middle),
        memoryview(moved).cast("I"),
        columns,
        origins=_origins(known, before, count - behind),
    )


def _first(count: int, fits: Callable[[int], bool]) -> int:
    """Return the first of `count` numbers that fits, all behind it fitting too."""
    low = 0
    while low < count:
        middle = (low + count) // 2
        if fits(middle):
            count = middle
        else:
            low = middle + 1
    return low


def _origins(before: Part, start: int, end: int) -> tuple[Origin, ...]:
    """Return the origins of a part with as many records as `before` has at start and end."""
    further = before.origins[: _MOST_ORIGINS - 1]
    return (
        (before.mark, start, end),
        *((mark, min(start, of_start), min(end, of_end)) for mark, of_start, of_end in further),
    )


def differing(new: Part, old: Part) -> tuple[range, range]:
    """Return which records of both may differ: all where nothing is known."""
    if new.mark is old.mark:
        return range(0), range(0)
    for mark, start, end in new.origins:
        if mark is old.mark:
            return range(start, len(new) - end), range(start, len(old) - end)
    return range(len(new)), range(len(old))


def text_since(part: Part, mark: object) -> bytes:
    """Return the bytes of a part that may have come since it had this mark: else all."""
    if part.mark is mark:
        return b""
    for earlier, start, end in part.origins:
        if earlier is mark:
            rows = range(start, len(part) - end)
            if not rows:
                return b""
            return part.pieces.between(part.spans[2 * start], part.spans[2 * rows[-1] + 1])
    return part.data
