"""Stores in less usual states: half-made layers, doubles, files that are missing."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfs.core.config import load_options
from holdfs.core.store import Store
from tests.conftest import GraphRun
from tests.differential.conftest import fill
from tests.differential.live import KINDS, Live, assert_same_views
from tests.needs import needs

pytestmark = needs("root", "overlay", "containers-storage")


# -- what a crash leaves --------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["ours", "theirs"])
def test_a_half_made_layer_is_deleted_by_the_next_writer(live: Live, who: str) -> None:
    fill(live)
    records = list(live.records("layers").values())
    [lone] = [record for record in records if record["id"] == "lone"]
    lone["flags"] = {"incomplete": True}
    live.path("layers").write_text(json.dumps(records))
    live.path("layers", "layers.lock").write_bytes(b"x" * 64)

    if who == "ours":
        live.store.set_metadata("layers", "base", "x")
    else:
        live.go.run("set-metadata", "-m", "x", "base")

    assert "lone" not in live.records("layers")
    assert not Path(live.roots.graph, "overlay", "lone").exists()
    assert_same_views(live)


@pytest.mark.parametrize("kind", KINDS)
def test_of_two_owners_of_a_name_the_later_keeps_it(live: Live, kind: str) -> None:
    fill(live)
    records = list(live.records(kind).values())
    name = records[0]["names"][0]
    records[-1].setdefault("names", []).append(name)
    live.path(kind).write_text(json.dumps(records))
    live.path(kind, f"{kind}.lock").write_bytes(b"x" * 64)
    store = live.store

    assert records[-1]["id"] == getattr(store.snapshot(), kind).by_name[name]
    store.set_metadata(kind, records[1]["id"], "x")  # type: ignore[arg-type]

    fixed = live.records(kind)
    assert name not in fixed[records[0]["id"]]["names"]
    assert name in fixed[records[-1]["id"]]["names"]
    assert_same_views(live)


# -- what is missing ------------------------------------------------------------------------------


def test_a_store_that_nobody_has_opened_yet_is_made_as_the_go_tool_makes_it(
    stores: Callable[[], GraphRun],
) -> None:
    theirs, ours = (Live(stores(), "vfs") for _ in range(2))
    theirs.go.run("layers")

    assert () == ours.store.snapshot().layers.ids

    # 1.43 makes these two, the newest does not. Ours has the directory of layers from the start.
    for name in ("mounts", "tmp"):
        Path(theirs.roots.graph, name).rmdir()
    Path(ours.roots.graph, "vfs/dir").rmdir()
    for root in ("graph", "run"):
        assert _tree(getattr(theirs.roots, root)) == _tree(getattr(ours.roots, root))


def test_json_files_that_are_missing_or_empty_are_no_records(live: Live) -> None:
    fill(live)
    live.path("images").write_bytes(b"")
    live.path("containers").unlink()
    for kind in ("images", "containers"):
        live.path(kind, f"{kind}.lock").write_bytes(b"x" * 64)

    assert_same_views(live)
    live.store.create_image(image_id="image", layer="base")
    live.store.create_container(container_id="container", image="image")
    assert_same_views(live)


def test_lock_files_of_a_store_may_be_missing(live: Live) -> None:
    fill(live)
    for kind in KINDS:
        live.path(kind, f"{kind}.lock").unlink()

    live.store.create_layer(layer_id="new")

    assert "new" in live.records("layers")
    assert_same_views(live)


def _tree(top: str) -> dict[str, str]:
    found = subprocess.run(
        ["find", top, "-mindepth", "1", "-printf", "%P %y %m\n"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return dict(line.split(" ", 1) for line in found.stdout.splitlines())


def test_options_behind_the_command_reach_the_store(live: Live) -> None:
    options = load_options(
        graph_root=live.roots.graph,
        run_root=live.roots.run,
        driver="overlay",
        driver_options=["overlay.mountopt=nodev"],
    )
    store = Store.open(options)
    store.create_layer(layer_id="layer")

    path = store.mount("layer")

    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        [mount] = [line.split(" ") for line in file if f" {path} " in line]
    assert "nodev" in mount[5].split(",")
    store.unmount("layer")
