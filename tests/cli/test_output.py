"""JSON and trees as they are printed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfs.core.cli import output, tree
from holdfs.core.formats.records import encode_value

texts = st.text(max_size=12)
documents = st.recursive(
    st.one_of(texts, st.integers(-(2**53), 2**53), st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)


@given(documents)
def test_small_documents_are_encoded_as_records_are(value: output.Json) -> None:
    encoded = output.json_text(value)

    assert encode_value(value) == encoded.encode()
    assert value == json.loads(encoded)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\b\f\n\r\t", r'"\b\f\n\r\t"'),
        ("\x00\x1f\x7f", '"\\u0000\\u001f\x7f"'),
        ("<a & b>", r'"\u003ca \u0026 b\u003e"'),
        ("\u2027\u2028\u2029\u202a", '"\u2027\\u2028\\u2029\u202a"'),
        ('"\\/', r'"\"\\/"'),
        ("a\udcff\udce9b", r'"a\ufffd\ufffdb"'),
    ],
)
def test_strings_are_escaped_as_by_go(text: str, expected: str) -> None:
    assert expected == output.json_text(text)


def test_fields_keep_their_order_and_maps_are_sorted() -> None:
    assert '{"z":1,"a":{"a":true,"b":[]}}' == output.json_object(
        (("z", 1), ("a", {"b": [], "a": True}))
    )


def test_each_missing_parent_heads_a_tree_and_the_smallest_comes_first() -> None:
    parents = {"a": "", "b": "a", "c": "gone", "d": "", "e": "b"}

    assert [
        "gone",
        "└─c",
        "(base)",
        "├─a",
        "│ name: A",
        "│ └─b",
        "│   name: B",
        "│   └─e",
        "└─d",
        "  name: D",
    ] == list(tree.lines(parents, {"a": ["name: A"], "b": ["name: B"], "d": ["name: D"]}))


def test_a_chain_deeper_than_pythons_stack_is_shown() -> None:
    parents = {str(i): str(i - 1) if i else "" for i in range(3000)}

    lines = list(tree.lines(parents, {}))

    assert 3001 == len(lines)
    assert " " * 2 * 2999 + "└─2999" == lines[-1]


def test_layers_that_are_their_own_ancestors_end_the_tree() -> None:
    assert ["(base)", "└─c"] == list(tree.lines({"a": "b", "b": "a", "c": ""}, {}))
