"""Columns of records: what is found in their text is what is found once they are taken apart."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from holdfs.core import column
from holdfs.core.column import Column, entries
from holdfs.core.formats.records import Image
from holdfs.core.formats.shapes import IMAGES
from holdfs.core.part import Source, scanned
from holdfs.core.reading import Records

#: Some begin like others, or end like them; none is a control sign.
WORDS = st.sampled_from(("", "a", "ab", "b", "ba", "a b", "é", "ab/é"))
LISTS = st.lists(WORDS, max_size=3)
#: What no record can hold, and no text can be, may be asked for too.
SOUGHT = WORDS | st.sampled_from(("c", "a\n", "\na", "a\x1f", "a\x1fb", "\x1f", "\udcff"))


def lines(cells: list[str]) -> bytes:
    return "".join(f"{cell}\n" for cell in cells).encode()


def joined(words: list[str]) -> str:
    return "".join(f"{word}\x1f" for word in words)


@given(cells=st.lists(WORDS, max_size=40), at=st.integers(0, 39))
def test_a_cell_is_the_same_in_the_text_and_apart(cells: list[str], at: int) -> None:
    found = Column(lines(cells))

    assert len(cells) == len(found)
    if at < len(cells):
        assert [cells[at]] * 40 == [found[at] for _ in range(40)]
    assert cells == list(found)
    assert len(cells) == len(found)


@given(
    cells=st.lists(WORDS, max_size=5),
    begin=st.integers(0, 5),
    length=st.integers(0, 3),
    new=st.lists(WORDS | st.sampled_from(("x\n", "\udcff")), max_size=2),
    is_apart=st.booleans(),
)
def test_a_changed_column_has_the_others_as_before(
    cells: list[str], begin: int, length: int, new: list[str], is_apart: bool
) -> None:
    begin = min(begin, len(cells))
    end = min(begin + length, len(cells))
    before = Column(cells=cells) if is_apart else Column(lines(cells))

    after = before.replaced(begin, end, new)

    assert [*cells[:begin], *new, *cells[end:]] == list(after)
    assert (cells[begin:end] == new) == (after is before)
    assert cells == list(before)


@given(cells=st.lists(WORDS, max_size=6), sought=SOUGHT)
def test_the_last_line_and_those_that_begin_so_are_found(cells: list[str], sought: str) -> None:
    expected = max((at for at, cell in enumerate(cells) if cell == sought), default=-1)

    assert expected == column.last_line(lines(cells), sought)
    beginning = [cell for cell in cells if cell.startswith(sought)]
    assert beginning[:2] == column.first_lines_beginning(lines(cells), sought)


@given(lists=st.lists(LISTS, max_size=6), sought=SOUGHT)
def test_the_last_list_with_an_entry_is_found(lists: list[list[str]], sought: str) -> None:
    text = lines([joined(words) for words in lists])
    expected = max((at for at, words in enumerate(lists) if sought in words), default=-1)

    assert expected == column.last_line_listing(text, sought)
    every = [word for words in lists for word in words]
    if len(set(every)) < len(every):
        assert column.lists_twice(text)


@given(
    records=st.lists(st.tuples(WORDS, LISTS), max_size=5),
    others=st.lists(st.tuples(WORDS, LISTS), max_size=1),
    sought=SOUGHT,
)
@example(records=[("ab", []), ("", ["a"]), ("ab", ["a"])], others=[], sought="a")
def test_a_record_is_found_alike_with_an_index_and_without(
    records: list[tuple[str, list[str]]], others: list[tuple[str, list[str]]], sought: str
) -> None:
    def read() -> Records[Image]:
        parts = []
        for each in (records, others):
            data = json.dumps([{"id": i, "names": names} for i, names in each])
            part = scanned(Source(""), IMAGES, None, data.encode())
            assert part is not None
            parts.append(part)
        return Records(IMAGES, parts)

    indexed = read()
    # From here on it has both.
    assert {*indexed.by_name.values()} <= {*indexed.ids}

    assert indexed.resolve(sought) == read().resolve(sought)
    assert indexed.by_name.get(sought) == read().owner(sought)
    assert (sought in indexed.ids) == (sought in read())
    assert (indexed.count_names() != len(indexed.by_name)) == read().shares_names()
    if sought in indexed:
        assert indexed.raw(sought) == read().raw(sought)
        assert indexed.names_of(sought) == entries(read().cell(sought, "names"))
