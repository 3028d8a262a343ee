"""The option syntax, word for word that of the Go tools (their pkg/mflag)."""

from collections.abc import Sequence

import pytest

from holdfs.core.cli.options import Given, HelpRequested, Option, UsageError, parse

TREE = Option("--tree", "-t", help="")
JSON = Option("--json", "-j", help="")
GRAPH = Option("--graph", "-g", kind="text", help="")
OPT = Option("--storage-opt", kind="list", help="")
READ_ONLY = Option("--read-only", "--ro", "-r", help="")
OPTIONS = (TREE, JSON, GRAPH, OPT, READ_ONLY)


def parsed(words: Sequence[str]) -> tuple[str, list[str]]:
    """Return what was given, as text, and the arguments left."""
    given = Given()
    rest = parse(words, OPTIONS, given)
    flags = "".join(
        letter
        for letter, key in (("t", "tree"), ("j", "json"), ("r", "read-only"))
        if given.flag(key)
    )
    texts = [given.text("graph")] if given.text("graph") else []
    return " ".join([flags, *texts, *given.entries("storage-opt")]).strip(), rest


@pytest.mark.parametrize(
    ("words", "given", "rest"),
    [
        ([], "", []),
        (["-t"], "t", []),
        (["--tree", "--json"], "tj", []),
        (["--ro"], "r", []),
        (["--read-only"], "r", []),
        # Values.
        (["--graph", "DIR"], "DIR", []),
        (["--graph=DIR"], "DIR", []),
        (["-g", "DIR"], "DIR", []),
        (["-g=DIR"], "DIR", []),
        (["-g", "-t"], "-t", []),
        (["--graph", "--"], "--", []),
        (["--graph="], "", []),
        (["--graph", ""], "", []),
        (["--graph=a=b"], "a=b", []),
        (['--graph="a b"'], "a b", []),
        (["--graph='a'"], "a", []),
        (["--graph=\"'a'\""], "'a'", []),
        (["--graph='a\""], "'a\"", []),
        (['--graph="'], '"', []),
        (["--graph", '"a"'], '"a"', []),
        (["-g", "a", "-g", "b"], "b", []),
        # Lists add up and are not split.
        (["--storage-opt", "a", "--storage-opt=b,c"], "a b,c", []),
        # Booleans.
        (["-t=false"], "", []),
        (["-t=0"], "", []),
        (["-t=F"], "", []),
        (["-t=True"], "t", []),
        (["-t=1"], "t", []),
        (["--json='true'"], "j", []),
        (["-t", "-t=false"], "", []),
        (["-t=false", "-t"], "t", []),
        (["-t", "false"], "t", ["false"]),
        # Clusters.
        (["-tj"], "tj", []),
        (["-t-j"], "tj", []),
        (["-tg", "DIR"], "t DIR", []),
        (["-gt", "DIR"], "t DIR", []),
        (["-tj=false"], "tj", []),
        # The end of options.
        (["a", "-t"], "", ["a", "-t"]),
        (["-t", "a", "-j"], "t", ["a", "-j"]),
        (["-", "-t"], "", ["-", "-t"]),
        (["--", "-t"], "", ["-t"]),
        (["-t", "--", "--", "-j"], "t", ["--", "-j"]),
        (["", "-t"], "", ["", "-t"]),
    ],
)
def test_words_are_read_as_the_go_tools_read_them(
    words: list[str], given: str, rest: list[str]
) -> None:
    assert (given, rest) == parsed(words)


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (["--nope"], ["flag provided but not defined: --nope"]),
        (["--nope=1"], ["flag provided but not defined: --nope"]),
        (["--g", "DIR"], ["flag provided but not defined: --g"]),
        (["---json"], ["flag provided but not defined: ---json"]),
        (["--=x"], ["flag provided but not defined: --"]),
        (["-z"], ["flag provided but not defined: -z"]),
        (["-jz"], ["flag provided but not defined: -jz"]),
        (
            ["-gDIR"],
            ["flag needs an argument: -g", "flag provided but not defined: -gDIR"],
        ),
        (["-json"], ["flag provided but not defined: -json"]),
        (["-=x"], ["bad flag syntax: -=x"]),
        (["-g"], ["flag needs an argument: -g"]),
        (["-t", "--graph"], ["flag needs an argument: --graph"]),
        (["-tg"], ["flag needs an argument: -g", "flag provided but not defined: -tg"]),
        (["-jh"], ["flag provided but not defined: -jh"]),
        (
            ["--json=maybe"],
            [
                'invalid boolean value "maybe" for  --json: '
                'strconv.ParseBool: parsing "maybe": invalid syntax'
            ],
        ),
        (
            ["-j="],
            ['invalid boolean value "" for  -j: strconv.ParseBool: parsing "": invalid syntax'],
        ),
    ],
)
def test_a_wrong_word_is_refused_in_the_go_tools_words(
    words: list[str], messages: list[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(words)
    assert messages == list(caught.value.messages)


@pytest.mark.parametrize("word", ["--help", "-h", "-help", "--help=x"])
def test_help_is_asked_for_where_no_option_has_its_name(word: str) -> None:
    with pytest.raises(HelpRequested):
        parsed([word])


def test_help_within_a_cluster_shows_the_usage_and_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        parsed(["-jh"])
    assert caught.value.wants_usage
