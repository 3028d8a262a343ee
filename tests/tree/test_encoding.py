"""Names of entries: each text in one spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfs.fusefs.tree.encoding import (
    LONGEST,
    BadSpelling,
    decode,
    decode_line,
    encode,
    encode_line,
    entry_name,
    is_cut,
)

TEXTS = st.text(
    alphabet=st.one_of(st.sampled_from("ab/.%\n\x7f\x85é€"), st.characters(codec="utf-8"))
)


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("plain", "plain"),
        ("docker.io/library/x:1", "docker.io%2Flibrary%2Fx:1"),
        ("", "%"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("...", "..."),
        (".hidden", ".hidden"),
        ("50%", "50%25"),
        ("%2F", "%252F"),
        ("two\nlines", "two%0Alines"),
        ("\x00\x1f\x7f", "%00%1F%7F"),
        ("\x85", "%C2%85"),
        ("é €", "é €"),
    ],
)
def test_texts_and_their_one_spelling(text: str, entry: str) -> None:
    assert entry == encode(text)
    assert text == decode(entry)


@pytest.mark.parametrize(
    "entry",
    ["%2f", "%41", "%", "a%", "%zz", "%2", "a/b", ".", "..", "%C2", "%FF", "a\nb", "%ED%A0%80"],
)
def test_other_spellings_are_nobody_s(entry: str) -> None:
    if entry == "%":
        assert "" == decode(entry)
        return
    with pytest.raises(BadSpelling):
        decode(entry)


@given(TEXTS)
def test_encoding_is_undone(text: str) -> None:
    assert text == decode(encode(text))
    assert text == decode_line(encode_line(text))


@given(TEXTS)
def test_an_entry_is_one_component_that_a_terminal_shows(text: str) -> None:
    entry = encode(text)

    assert entry not in ("", ".", "..")
    assert "/" not in entry
    assert "\n" not in encode_line(text)


@given(TEXTS)
def test_what_decodes_is_spelled_so(entry: str) -> None:
    try:
        text = decode(entry)
    except BadSpelling:
        return
    assert entry == encode(text)


@given(st.text(min_size=50, max_size=400), st.text(min_size=50, max_size=400))
def test_long_texts_are_cut_to_entries_of_their_own(one: str, other: str) -> None:
    try:
        for text in (one, other):
            text.encode()
    except UnicodeEncodeError:
        return
    entry = entry_name(one)

    assert len(entry.encode()) <= LONGEST
    assert is_cut(entry) == (len(encode(one).encode()) > LONGEST)
    assert (entry == entry_name(other)) == (one == other)


def test_a_cut_name_keeps_whole_characters() -> None:
    entry = entry_name("€" * 100)

    assert "€" * 60 == entry.partition("%~")[0]
    assert "a" * 180 == entry_name("a" * 300).partition("%~")[0]
    assert "%0A" * 60 == entry_name("\n" * 300).partition("%~")[0]
