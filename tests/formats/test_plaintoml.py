"""What is read as plain TOML is what tomllib reads."""

import tomllib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfs.core.formats.plaintoml import parse

KEYS = st.sampled_from(["a", "b", "driver", "remap-uids", "1", "a.b", '"a"', "", "a b", "é"])
TABLES = st.sampled_from(
    ["a", "storage", "storage.options", "a.b", "a.b.driver", " a ", "[a]", "a..b"]
)
VALUES = st.sampled_from(
    [
        *('""', '"x"', '"a#b"', '"a]b"', '"a}b"', "'x'", '"""x"""', '"\\n"', '"x" # c', '"x" y'),
        *("0", "1", "007", "-1", "1_000", "1.5", "true", "false", "True", "1 # c", "1e3", ""),
        *("[]", "[ ]", '["a"]', '["a", "b"]', '["a",]', "[,]", '["a" "b"]', "[1]", '[["a"]]', "["),
        *('[\n"a",\n"b"\n]', '[\n# c\n"a"]', '["a", # c\n"b"]', '["a"\n', '["a#"]', '["a]"]'),
        *("{}", '{a = "x"}', '{a = "x", b = "y"}', '{a = "x",}', "{a = 1}", '{a = "x" b = "y"}'),
        *('{a.b = "x"}', '{a = "x", a = "y"}', '{a = "}"}', "{", '{a = "x"} y'),
    ]
)
BLANKS = st.sampled_from(["", " ", "\t", "  "])
LINES = st.one_of(
    st.builds("[{}]{}".format, TABLES, st.sampled_from(["", " # c", " x"])),
    st.builds("{}{}{}={}{}".format, BLANKS, KEYS, BLANKS, BLANKS, VALUES),
    st.sampled_from(["", "# c", "#\x01", "[", "x", "\ufeff", "\r", "\u00a0"]),
)


@given(st.lists(LINES, max_size=8).map("\n".join))
@example('pull_options = {a = "b"}\n[pull_options]\nb = "c"')
@example('[a.b]\n[a]\nb = "x"')
def test_what_is_taken_tomllib_takes_too(text: str) -> None:
    found = parse(text.encode())

    if found is not None:
        assert tomllib.loads(text) == found


@pytest.mark.parametrize(
    "text",
    [
        '[storage]\ndriver = "overlay" # best\n\n[storage.options]\nsize = 10\nskip = true\n',
        'a = ["/x",\n  "/y",\n]\nb = {c = "d"}\n',
    ],
)
def test_plain_files_are_taken(text: str) -> None:
    assert tomllib.loads(text) == parse(text.encode())
