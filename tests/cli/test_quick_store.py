"""The store that is opened quickly, beside the whole one: the same answers, the same bytes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cli.holdctl import Holdctl
from tests.conftest import GraphRun
from tests.needs import needs

pytestmark = needs("root")

NAMES = st.lists(st.sampled_from(("a", "b:1", "é", "x y", "manifest")), unique=True, max_size=3)
LAYER_IDS = tuple(f"{n}" * 64 for n in range(3))
IMAGE_IDS = tuple(c * 64 for c in "abc")
DIGESTS = tuple("sha256:" + c * 64 for c in "123")


@st.composite
def images(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Give images with data items, whose digests may be theirs, and may repeat."""
    found: list[dict[str, Any]] = []
    taken: set[str] = set()
    for image_id in IMAGE_IDS[: draw(st.integers(0, 3))]:
        names = [name for name in draw(NAMES) if name not in taken]
        taken.update(names)
        keys = draw(
            st.lists(st.sampled_from(("manifest", "manifest-1", "manifest-2", "sig")), unique=True)
        )
        layer = draw(st.sampled_from(("", *LAYER_IDS)))
        mapped = draw(st.lists(st.sampled_from(LAYER_IDS), unique=True, max_size=2))
        found.append(
            {
                "id": image_id,
                "digest": draw(st.sampled_from(("", *DIGESTS))),
                "names": names,
                "layer": layer,
                "mapped-layers": [other for other in mapped if other != layer],
                "big-data-names": keys,
                "big-data-digests": {key: draw(st.sampled_from(DIGESTS)) for key in keys},
                "big-data-sizes": dict.fromkeys(keys, 1),
                "created": "2026-01-01T00:00:00Z",
            }
        )
    return found


def commands(graph: str, run: str, *words: str) -> tuple[str, str]:
    """Return what the quick and what the whole store say; --debug opens the whole one."""
    tool = Holdctl(graph, run)
    quick = tool.run(*words, check=False)
    whole = tool.run("--debug", *words, check=False)
    assert quick.returncode == whole.returncode
    return quick.stdout, whole.stdout


@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(images())
def test_listings_are_those_of_the_whole_store(
    graph_run: GraphRun, found: list[dict[str, Any]]
) -> None:
    graph, run = map(str, graph_run)
    Holdctl(graph, run).run("layers")
    layers = [{"id": i, "created": "2026-01-01T00:00:00Z"} for i in LAYER_IDS]
    for kind, records in (("layers", layers), ("images", found)):
        Path(graph, f"overlay-{kind}", f"{kind}.json").write_text(json.dumps(records))

    for words in (["layers"], ["images", "--json"]):
        quick, whole = commands(graph, run, *words)
        assert whole == quick
    # The lines of images are made by one way in both.
    assert shown(found) == Holdctl(graph, run).run("images").stdout


def shown(found: list[dict[str, Any]]) -> str:
    """Return what `images` says of these."""
    lines = []
    for image in found:
        keys, digests = image["big-data-names"], image["big-data-digests"]
        manifests = [digests[key] for key in keys if key.startswith("manifest")]
        lines += [image["id"], *(f"\tname: {name}" for name in image["names"])]
        lines += [f"\tdigest: {d}" for d in dict.fromkeys((image["digest"], *manifests)) if d]
        lines += [f"\tdata: {key}" for key in keys]
    return "".join(f"{line}\n" for line in lines)


def test_a_change_writes_the_bytes_that_the_whole_store_writes(graph_run: GraphRun) -> None:
    graph, run = map(str, graph_run)
    tool = Holdctl(graph, run)
    layer = tool.run("create-layer", "-n", "base").stdout.split()[0]
    tool.run("create-image", "-n", "one", layer)
    tool.run("create-container", "-n", "box", "one")
    copy = f"{graph}-copy"
    written = []
    for flags in ([], ["--debug"]):
        shutil.copytree(graph, copy, symlinks=True)
        try:
            for words in (
                ["add-names", "-n", "two", "one"],
                ["set-metadata", "-m", "text<>", "box"],
                ["set-names", "-n", "other", layer],
            ):
                Holdctl(copy, run).run(*flags, *words)
            written.append(
                [
                    Path(copy, f"overlay-{kind}", f"{kind}.json").read_bytes()
                    for kind in ("layers", "images", "containers")
                ]
            )
        finally:
            shutil.rmtree(copy)

    assert written[0] == written[1]


def test_what_is_made_quickly_is_used_by_the_whole_store(graph_run: GraphRun) -> None:
    graph, run = map(str, graph_run)
    tool = Holdctl(graph, run)
    tool.run("layers")
    base = tool.run("create-layer").stdout.strip()
    child = tool.run("create-layer", base).stdout.strip()

    assert os.path.isdir(f"{graph}/overlay/{child}/diff")
    assert "" == tool.run("check").stdout
    assert [base, child] == [record["id"] for record in tool.json("layers")]


#: What takes longer to load than all that a short command does.
SLOW = {"typing", "dataclasses", "contextlib", "logging", "re", "enum", "msgspec", "shutil"}


@needs("overlay")
@pytest.mark.parametrize(
    "words",
    [
        ["layers"],
        ["exists", "base"],
        ["add-names", "-n", "other", "base"],
        ["set-metadata", "-m", "text", "base"],
        ["create-layer"],
        ["create-container", ""],
    ],
    ids=lambda words: words[0],
)
def test_a_short_command_loads_nothing_slow(graph_run: GraphRun, words: list[str]) -> None:
    tool = Holdctl(*graph_run)
    tool.run("create-layer", "-n", "base")
    command = [sys.executable, "-IS", "-X", "importtime", *tool.command(*words)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)

    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "holdfs.core.quick" in loaded
    assert set() == loaded & SLOW
