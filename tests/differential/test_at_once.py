"""
Two writers at once on one store: our process and containers-storage calls. Nothing is lost.

Names are not added by the Go side here: `add-names` of 1.43 reads first and sets in a second hold
of the lock, so it loses other writers' names by itself (spec 5).
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.differential.live import Live, assert_same_views
from tests.needs import needs

pytestmark = [needs("root", "overlay", "containers-storage"), pytest.mark.timeout(300)]

CHANGES = 200


@pytest.fixture
def writer(live: Live) -> Iterator[subprocess.Popen[str]]:
    """Give our writing process, ready to start."""
    live.go.run("create-layer", "-i", "shared")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.differential.writer",
            *live.roots,
            live.driver,
            str(CHANGES),
        ],
        cwd=Path(__file__).resolve().parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def go_change(live: Live, i: int) -> None:
    """One change by a Go process of its own; what it refuses fails the test."""
    name = f"theirs-{{}}-{i:04d}".format
    match i % 4:
        case 0:
            live.go.run("create-layer", "-i", name("layer"), "-n", name("l"), "shared")
        case 1:
            before = f"theirs-layer-{i - 1:04d}"
            live.go.run("create-image", "-i", name("image"), "-n", name("i"), before)
        case 2:
            live.go.run("set-image-data", f"theirs-image-{i - 1:04d}", "manifest", input=str(i))
        case 3:
            live.go.run("mount", "shared")


def test_two_writers_at_once_lose_nothing(live: Live, writer: subprocess.Popen[str]) -> None:
    assert writer.stdin is not None
    writer.stdin.write("go\n")
    writer.stdin.flush()
    for i in range(CHANGES):
        go_change(live, i)
    said, _ = writer.communicate("stop\n", timeout=120)
    made, more = map(int, said.split())
    assert CHANGES == made
    assert more > 0, "ours had not ended before theirs: it did not write all the time"

    quarter = range(0, CHANGES, 4)
    layers, images = live.records("layers"), live.records("images")
    containers = live.records("containers")
    for i in quarter:
        for who in ("ours", "theirs"):
            layer = layers[f"{who}-layer-{i:04d}"]
            assert ([f"{who}-l-{i:04d}"], "shared") == (layer["names"], layer["parent"])
            assert "flags" not in layer
        ours, theirs = images[f"ours-image-{i:04d}"], images[f"theirs-image-{i + 1:04d}"]
        assert [f"ours-i-{i:04d}"] == ours["names"]
        assert [f"theirs-i-{i + 1:04d}"] == theirs["names"]
        assert {"manifest": len(str(i + 1))} == ours["big-data-sizes"]
        assert {"manifest": len(str(i + 2))} == theirs["big-data-sizes"]
        assert str(i + 2) == containers[f"ours-container-{i + 2:04d}"]["metadata"]
    assert f"again {more - 1}" == images["ours-image-0000"]["metadata"]
    # shared, a layer of each writer a quarter, and those of our containers.
    assert 1 + 3 * len(quarter) == len(layers)
    assert 2 * len(quarter) == len(images)
    assert len(quarter) == len(containers)
    assert 2 * len(quarter) == live.count("shared")
    for kind in ("layers", "images", "containers"):
        assert len(live.records(kind)) == len(json.loads(live.file(kind))), "a record twice"
        assert not list(live.path(kind).parent.glob(".tmp-*"))
    assert_same_views(live)
    live.store.unmount("shared", force=True)


def test_both_delete_what_they_made_at_once(live: Live, writer: subprocess.Popen[str]) -> None:
    for i in range(0, CHANGES, 8):
        live.go.run("create-layer", "-i", f"gone-{i}", "shared")
    assert writer.stdin is not None
    writer.stdin.write("go\n")
    writer.stdin.flush()
    for i in range(0, CHANGES, 8):
        live.go.run("delete-layer", f"gone-{i}")
    writer.communicate("stop\n", timeout=120)

    assert not [layer for layer in live.records("layers") if layer.startswith("gone")]
    assert CHANGES // 4 == len(live.records("images"))
    assert CHANGES // 4 == live.count("shared")
    assert_same_views(live)
    live.store.unmount("shared", force=True)
