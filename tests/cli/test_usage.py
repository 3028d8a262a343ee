"""
Help and wrong command lines, beside the real tool: the same texts, streams and exit statuses.

Differences, by name: the program's name; options and commands that 1.43 lacks or that are not built
yet; how wide the columns are, which follows from the longest option.
"""

import re
import shlex
import subprocess
from collections.abc import Collection
from pathlib import Path

import pytest

from holdfs.core.cli import table
from holdfs.core.cli.command import GLOBAL_OPTIONS
from holdfs.core.cli.options import Given, parse
from tests.cli.holdctl import Holdctl
from tests.conftest import GraphRun
from tests.needs import needs
from tests.peers import GoStore, Peer

#: Options that 1.43 doesn't have.
NEWER = ("--image-store", "--transient-store", "--quick", "--unshare")
#: And commands.
NEWER_COMMANDS = {
    "applydiff-using-staging-dir",
    "check",
    "config",
    "create-storage-layer",
    "dedup",
    "export",
    "gc",
    "get-image-dir",
    "get-image-run-dir",
    "import",
    "remove-names",
    "storage-layers",
    "unshare",
}
#: Every command of ours that writes no data itself has --json; with these the original has not.
ONLY_OURS_HAS_JSON = {
    "get-image-data-size",
    "get-image-data-digest",
    "get-container-data-size",
    "get-container-data-digest",
    "set-image-data",
    "set-container-data",
    "set-layer-data",
    "get-container-dir",
    "get-container-run-dir",
    "set-metadata",
    "applydiff",
    "diffsize",
}

WRONG = [
    [],
    ["--help"],
    ["-h"],
    ["--help=false"],
    ["--debug"],
    ["--nope"],
    ["--nope", "layers"],
    ["-jh"],
    ["--graph"],
    ["--debug=maybe", "layers"],
    ["nope"],
    [""],
    ["-"],
    ["--", "nope"],
    ["Layers"],
    ["layer-s", "--help"],
    ["layers", "--help"],
    ["layers", "-h"],
    ["layers", "-help"],
    ["layers", "--help=false"],
    ["layers", "--nope"],
    ["layers", "--nope=x"],
    ["layers", "-z"],
    ["layers", "-jz"],
    ["layers", "-jh"],
    ["layers", "-tg"],
    ["layers", "-gDIR"],
    ["layers", "--=x"],
    ["layers", "-=x"],
    ["layers", "---json"],
    ["layers", "--json=maybe"],
    ["layers", "--json="],
    ["layers", "-j=maybe"],
    ["layers", "--graph"],
    ["layers", "-jt", "--graph", "/else", "--help"],
    ["images", "--help"],
    ["images", "-j", "-h"],
    ["containers", "--help"],
    ["status", "--help"],
    ["version", "--help"],
    ["mount"],
    ["mount", "--"],
    ["mount", "--help"],
    ["mount", "-l"],
    ["mount", "-j"],
    ["unmount"],
    ["umount"],
    ["umount", "-f"],
    ["umount", "--help"],
    ["unmount", "--nope"],
    ["create-container"],
    ["create-layer", "a", "b"],
    ["create-image", "a", "b", "c"],
    ["set-metadata", "a", "b"],
    ["get-image-data", "a"],
    ["images-by-digest", "a", "b"],
    ["list-layer-data", "a", "b"],
    ["exists", "-lix"],
    ["create-layer", "-n"],
    ["delete-image", "-t=maybe", "a"],
]


def outcome(tool: Peer, words: list[str], roots: list[str]) -> tuple[int, list[str], list[str]]:
    """Return the exit status and, line by line and made comparable, what was printed where."""
    done = subprocess.run(
        [tool.program, *roots, *words], capture_output=True, text=True, timeout=30, check=False
    )
    dropped = {*NEWER, *(["--json"] if ONLY_OURS_HAS_JSON.intersection(words) else [])}
    return done.returncode, comparable(done.stdout, dropped), comparable(done.stderr, dropped)


def comparable(text: str, dropped: Collection[str] = NEWER) -> list[str]:
    """Return the lines without what the original lacks: some options and commands, examples."""
    lines = []
    text = re.sub(r"^Example:\n\n.*\n\n", "", text, flags=re.MULTILINE)
    for line in text.replace("containers-storage", "holdctl").split("\n"):
        option = line.strip().partition(" ")[0].rstrip(",").partition("=")[0]
        command = re.fullmatch(r"  ([a-z-]+) {2,}\S.*", line)
        if option in dropped or (command and command[1] in NEWER_COMMANDS):
            continue
        lines.append(re.sub(r"(?<=\S) {2,}", "  ", line).replace("--read-only, ", ""))
    return lines


@needs("containers-storage")
@pytest.mark.parametrize("words", WRONG, ids=" ".join)
@pytest.mark.parametrize("with_roots", [True, False], ids=["roots", "no roots"])
def test_usage_and_its_errors_are_those_of_the_real_tool(
    graph_run: GraphRun, words: list[str], with_roots: bool
) -> None:
    roots = ["--graph", graph_run.graph, "--run", graph_run.run] if with_roots else []

    expected = outcome(GoStore(*graph_run), words, roots)
    found = outcome(Holdctl(*graph_run), words, roots)

    assert expected == found


@needs("containers-storage")
@pytest.mark.parametrize("name", [command.names[0] for command in table.COMMANDS])
def test_the_help_of_every_command_is_that_of_the_real_tool(graph_run: GraphRun, name: str) -> None:
    said = outcome(Holdctl(*graph_run), [name, "--help"], [])

    assert 125 == said[0]
    # 1.43 fails at copy's option without a long name.
    if name not in {*NEWER_COMMANDS, "copy"}:
        assert outcome(GoStore(*graph_run), [name, "--help"], []) == said


def test_the_examples_of_the_help_are_command_lines_of_the_table() -> None:
    for command in table.COMMANDS:
        word, *words = shlex.split(command.example)
        assert word == command.names[0]
        arguments = parse(words, (*GLOBAL_OPTIONS, *command.options), Given())
        assert command.min_args <= len(arguments)
        assert command.max_args is None or len(arguments) <= command.max_args


def test_options_are_sorted_and_show_what_was_set_before_the_command(graph_run: GraphRun) -> None:
    tool = Holdctl(*graph_run, driver="vfs", options=["a=b", "c"])

    said = tool.run("layers", "--tree", "--json=false", "--help", check=False)

    assert 125 == said.returncode
    assert (
        "Usage: holdctl layers [options [...]]\n\nList layers\n\n"
        "Example:\n\n  holdctl layers --tree\n\nOptions:\n"
    ) == said.stdout
    width = len(f"  --graph, -g={graph_run.graph}") + 4
    shown = [(line[:width].strip(), line[width:]) for line in said.stderr.split("\n")[1:-1]]
    assert [
        ("--debug, -D", "Print debugging information"),
        (f"--graph, -g={graph_run.graph}", "Root of the storage tree"),
        ("--image-store", "Root of the image store, separate from the storage tree"),
        ("--json, -j", "Prefer JSON output"),
        ("--quick, -q", "Only print IDs"),
        (f"--run, -R={graph_run.run}", "Root of the runtime state tree"),
        ("--storage-driver, -s=vfs", "Storage driver to use ($STORAGE_DRIVER)"),
        ("--storage-opt=[a=b c]", "Set storage driver options ($STORAGE_OPTS)"),
        ("--transient-store", "Keep container records in the runtime state tree"),
        ("--tree, -t", "Use a tree"),
        ("--unshare, -U", "Run in a user namespace; as a user, the default"),
    ] == shown


def test_the_home_directory_is_shown_as_a_tilde(graph_run: GraphRun) -> None:
    tool = Holdctl(*graph_run)

    said = tool.run(
        "layers", "--help", check=False, env={"HOME": graph_run.graph.rpartition("/")[0]}
    )

    assert "--graph, -g=~/graph " in said.stderr


def test_a_wrong_command_line_leaves_no_trace_on_disk(graph_run: GraphRun) -> None:
    tool = Holdctl(f"{graph_run.graph}/new", f"{graph_run.run}/new")

    for words in WRONG[1:]:
        tool.run(*words, check=False)

    assert not list(Path(graph_run.graph).iterdir())
    assert not list(Path(graph_run.run).iterdir())
