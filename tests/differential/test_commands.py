"""
holdctl and the real tool, command line for command line, on two equal stores.

Compared are exit status, both streams, and what is in the stores afterwards. Where the newest
behaviour, which we follow, is not 1.43's, the expectation is changed by name in `NEWEST`.
"""

import json
import os
from collections.abc import Callable, Sequence

import pytest

from tests.differential.live import Comparable, Live
from tests.needs import needs
from tests.peers import Peer

pytestmark = needs("root", "overlay", "containers-storage")


def outcome(live: Live, tool: Peer, words: Sequence[str]) -> list[object]:
    """Return exit status, stdout and stderr, with the store's roots named alike."""
    done = tool.run_bytes(*words, check=False)
    streams = [
        os.fsdecode(stream)
        .replace(live.roots.graph, "GRAPH")
        .replace(live.roots.run, "RUN")
        .replace("containers-storage", "holdctl")
        for stream in (done.stdout, done.stderr)
    ]
    return [done.returncode, *streams]


LISTS = [
    ["layers"],
    ["layers", "--json"],
    ["layers", "--tree"],
    ["layers", "-tj"],
    ["layers", "-t", "ignored", "-j"],
    ["images"],
    ["images", "--json"],
    ["images", "--quiet"],
    ["images", "-qj"],
    ["containers"],
    ["containers", "--json"],
    ["status"],
    ["status", "--json"],
    ["status", "ignored"],
    ["status", "--json=false"],
]


@pytest.mark.parametrize("words", LISTS, ids=" ".join)
def test_a_listing_is_the_real_tools(
    twins_on_each_driver: tuple[Live, Live], words: list[str]
) -> None:
    theirs, ours = twins_on_each_driver

    assert newest(words, outcome(theirs, theirs.go, words)) == outcome(ours, ours.holdctl, words)
    # And on one store, right after each other.
    assert newest(words, outcome(ours, ours.go, words)) == outcome(ours, ours.holdctl, words)


@pytest.mark.parametrize("words", LISTS, ids=" ".join)
def test_a_listing_of_an_empty_store_is_the_real_tools(live: Live, words: list[str]) -> None:
    assert newest(words, outcome(live, live.go, words)) == outcome(live, live.holdctl, words)


def newest(words: list[str], outcome: list[object]) -> list[object]:
    """Return what the newest tool gives where 1.43 gave `outcome`."""
    for begins, change in NEWEST:
        if words[: len(begins)] == begins:
            change(outcome)
    return outcome


def _null_for_no_layers(outcome: list[object]) -> None:
    if outcome[1] == "[]\n":
        outcome[1] = "null\n"


def _more_status(outcome: list[object]) -> None:
    assert isinstance(outcome[1], str)
    assert isinstance(outcome[2], str)
    # Of what the tests' kernels can do.
    more = {"Supports shifting": "true", "Supports volatile": "true"}
    if "Using metacopy: " in outcome[2]:
        outcome[2] += "".join(f"{key}: {value}\n" for key, value in more.items())
    if "Using metacopy" in outcome[1]:
        pairs = [*json.loads(outcome[1]), *([key, value] for key, value in more.items())]
        outcome[1] = json.dumps(pairs, separators=(",", ":")) + "\n"


NEWEST: list[tuple[list[str], Callable[[list[object]], None]]] = [
    (["layers", "--json"], _null_for_no_layers),
    (["layers", "-tj"], _null_for_no_layers),
    (["status"], _more_status),
]

#: Command lines in a row, on one store each.
MOUNTS = [
    [["mount", "c1"], ["layers", "-t"], ["unmount", "c1"], ["layers", "-t"]],
    [["mount", "c1", "nope", "lone"], ["unmount", "lone", "nope", "c1"]],
    [["mount", "-j", "c1", "nope", "lone"], ["unmount", "-j", "lone", "nope", "c1"]],
    [["mount", "first", "c1"], ["umount", "uno"], ["umount", "-j", "c1"], ["umount", "c1"]],
    [["mount", "c1", "c1", "c1"], ["unmount", "--force", "c1"], ["unmount", "c1"]],
    [["mount", ""], ["unmount", ""], ["mount", "--json", ""], ["unmount", "-j", ""]],
    [["mount", "--ro", "nope", "none"], ["mount", "-jr", "nope", "none"]],
    [["unmount", "one", "nope", "c1"], ["unmount", "-j", "one"]],
    [["mount", "-o", "ro,noexec", "c1"], ["umount", "c1"]],
    [["mount", "c0"], ["umount", "c0"]],
]


@pytest.mark.parametrize("row", MOUNTS, ids=lambda row: ", ".join(map(" ".join, row)))
def test_mounting_is_the_real_tools(
    twins_on_each_driver: tuple[Live, Live], row: list[list[str]]
) -> None:
    theirs, ours = twins_on_each_driver
    base = b"".join(map(ours.file, ("layers", "images", "containers")))

    for words in row:
        expected = outcome(theirs, theirs.go, words)
        assert expected == outcome(ours, ours.holdctl, words)
        mounted = [Comparable(live, base).content()["mountpoints.json"] for live in (theirs, ours)]
        assert mounted[0] == mounted[1]


def test_an_image_is_mounted_read_only_and_unmounted(live: Live) -> None:
    live.go.run("create-layer", "-i", "layer")
    live.go.run("create-image", "-i", "image", "-n", "name", "layer")

    path = live.holdctl.out("mount", "--read-only", "name")

    assert f"{live.roots.graph}/overlay/layer/merged" == path == live.go.out("mount", "-r", "image")
    assert os.statvfs(path).f_flag & os.ST_RDONLY
    assert 2 == live.count("layer")
    assert "" == live.holdctl.out("unmount", "image")
    assert "" == live.go.out("unmount", "image")
    assert not live.mounts()
    assert not os.path.ismount(path)


def test_quick_prints_ids_only(live: Live) -> None:
    # 1.43 has no --quick.
    live.go.run("create-layer", "-i", "one", "-n", "name")
    live.go.run("create-layer", "-i", "two", "one")

    assert "one\ntwo\n" == live.holdctl.run("layers", "--quick").stdout
    assert "one\ntwo\n" == live.holdctl.run("layers", "-q", "--tree").stdout


def test_version_says_which_on_stderr(live: Live) -> None:
    # 1.43 prints nothing, and [].
    said = live.holdctl.run("version")

    assert "" == said.stdout
    assert said.stderr.startswith("Version: ")
    [[key, value]] = live.holdctl.json("version")
    assert f"{key}: {value}\n" == said.stderr


def test_debug_names_the_store_first_and_on_stderr(live: Live) -> None:
    words = ["-D", "images", "--storage-opt", "overlay.mountopt=nodev"]

    theirs = live.go.run(*words)
    ours = live.holdctl.run(*words)

    def first_four(text: str) -> list[str]:
        return [line.partition(" ")[2] for line in text.split("\n")[:4]]

    assert first_four(theirs.stderr) == first_four(ours.stderr)
    assert theirs.stdout == ours.stdout
