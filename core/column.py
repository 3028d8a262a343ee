"""
What all records of a file have under one key: a cell each.

    names     "a\\x1fb\\x1f\\n" "\\n" "c\\x1f\\n"     a text of lines, as the scanner has it
              ["a\\x1fb\\x1f", "", "c\\x1f"]        taken apart, once all cells are asked for

A command that looks for one name or ID finds it in the text; taking ten thousand cells apart, and
indexing them, would be a third of its time.
"""

from __future__ import annotations

from holdfs.core.formats.shapes import SEPARATOR
from holdfs.native import scan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    #: A text; of a list of texts each followed by SEPARATOR, or the list itself.
    Cell: TypeAlias = str | tuple[str, ...]

_SEPARATOR = SEPARATOR.encode()
#: So many cells are cut out of the text; whoever wants more is likely to want all.
_FEW = 16
#: Lines may hold whatever JSON text can, and what is looked for may be no text at all.
_ERRORS = "surrogatepass"


def entries(cell: Cell) -> tuple[str, ...]:
    """Return the list of texts that a cell holds."""
    if not cell:
        return ()
    return tuple(cell.split(SEPARATOR)[:-1]) if isinstance(cell, str) else cell


class Column:
    """
    The cells of one key, never changed; the same objects every time.

    Args:
        text: All of them, a line each.
        cells: Or the cells themselves: only these may be lists, or hold line ends.
    """

    __slots__ = ("_asked", "_cells", "_text")

    def __init__(self, text: bytes | None = None, cells: Sequence[Cell] = ()) -> None:
        self._text = text
        self._cells = cells
        self._asked = 0

    @property
    def text(self) -> bytes | None:
        """All cells, a line each; None once they were taken apart."""
        return self._text

    @property
    def cells(self) -> Sequence[Cell]:
        """All cells."""
        text = self._text
        if text is not None:
            # Behind the end of the last line is nothing.
            self._cells = text.decode("utf-8", _ERRORS).split("\n")[:-1]
            self._text = None
        return self._cells

    def __len__(self) -> int:
        text = self._text
        return len(self._cells) if text is None else text.count(b"\n")

    def __iter__(self) -> Iterator[Cell]:
        return iter(self.cells)

    def __getitem__(self, at: int) -> Cell:
        text = self._text
        if text is None:
            return self._cells[at]
        self._asked += 1
        if self._asked > _FEW:
            return self.cells[at]
        begin = scan.line_at(text, at)
        return text[begin : text.index(b"\n", begin)].decode("utf-8", _ERRORS)

    def replaced(self, begin: int, end: int, new: Sequence[Cell]) -> Column:
        """Return a column with other cells in the place of some: this one if these are equal."""
        text = self._text
        lines = _lines(new) if text is not None else None
        if text is None or lines is None:
            if self.cells[begin:end] == new:
                return self
            cells = list(self.cells)
            cells[begin:end] = new
            return Column(cells=cells)
        first = scan.line_at(text, begin)
        last = first + scan.line_at(text[first:], end - begin) if begin < end else first
        if text[first:last] == lines:
            return self
        return Column(b"".join((text[:first], lines, text[last:])))


def _lines(cells: Sequence[Cell]) -> bytes | None:
    """Return the cells as lines, None where they can't be that."""
    lines = b""
    for cell in cells:
        if not isinstance(cell, str) or "\n" in cell:
            return None
        lines += cell.encode("utf-8", _ERRORS) + b"\n"
    return lines


# -- looking for one in a text of lines --------------------------------------------------------


def last_line(text: bytes, cell: str) -> int:
    """Return the number of the last line that is this cell, -1 if none is."""
    if "\n" in cell:
        return -1
    line = cell.encode("utf-8", _ERRORS) + b"\n"
    at = text.rfind(b"\n" + line)
    if at >= 0:
        return text.count(b"\n", 0, at + 1)
    return 0 if text.startswith(line) else -1


def last_line_listing(text: bytes, entry: str) -> int:
    """Return the number of the last line that is a list with this entry, -1 if none is."""
    if "\n" in entry or SEPARATOR in entry:
        return -1
    sought = entry.encode("utf-8", _ERRORS) + _SEPARATOR
    at = text.rfind(sought)
    while at > 0 and text[at - 1] not in b"\n\x1f":
        at = text.rfind(sought, 0, at + len(sought) - 1)
    return text.count(b"\n", 0, at) if at >= 0 else -1


def first_lines_beginning(text: bytes, start: str) -> list[str]:
    """Return the first two lines that begin so, or as many as there are."""
    if "\n" in start:
        return []
    sought = start.encode("utf-8", _ERRORS)
    found: list[str] = []
    at = 0 if text.startswith(sought) else text.find(b"\n" + sought) + 1 or -1
    while 0 <= at < len(text) and len(found) < 2:
        found.append(text[at : text.index(b"\n", at)].decode("utf-8", _ERRORS))
        at = text.find(b"\n" + sought, at) + 1 or -1
    return found


def lists_twice(text: bytes) -> bool:
    """Whether two lists, or one of them twice, have the same entry."""
    found = text.replace(b"\n", b"").split(_SEPARATOR)
    return len(set(found)) < len(found)
