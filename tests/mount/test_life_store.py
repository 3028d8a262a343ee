"""A mount beside other users of its store: damage, changes, quiet."""

import errno
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import GraphRun
from tests.mount.daemons import (
    PATIENCE_S,
    Daemon,
    eventually,
    serving,
)
from tests.needs import needs
from tests.peers import GoStore

pytestmark = needs("root", "overlay", "fuse", "containers-storage")


# -- beside the store --------------------------------------------------------------------------


def test_a_damaged_store_is_mounted_all_the_same(graph_run: GraphRun, root: Path) -> None:
    store = GoStore(*graph_run)
    store.run("create-layer", "-n", "base")
    damaged = Path(graph_run.graph, "overlay-images", "images.json")
    damaged.write_text('[{"id": "x"')
    with serving(*graph_run, root):
        assert "base" in os.listdir(root / "layers" / "by-name")
        with pytest.raises(OSError) as refused:
            os.listdir(root / "images")
        assert errno.EIO == refused.value.errno
    assert '[{"id": "x"' == damaged.read_text()


def test_a_change_by_another_tool_shows(daemon: Daemon, graph_run: GraphRun) -> None:
    by_name = daemon.root / "images" / "by-name"
    assert [] == os.listdir(by_name)

    GoStore(*graph_run).run("create-image", "-n", "shop")

    eventually(lambda: os.listdir(by_name) == ["shop"])


def test_a_change_through_the_mount_shows_to_others(daemon: Daemon, graph_run: GraphRun) -> None:
    os.mkdir(daemon.root / "layers" / "base")

    assert "base" in GoStore(*graph_run).out("layers")


def test_a_store_removed_and_made_again_is_followed(daemon: Daemon, graph_run: GraphRun) -> None:
    store = GoStore(*graph_run)
    store.run("create-image", "-n", "old")
    eventually(lambda: "old" in os.listdir(daemon.root / "images" / "by-name"))
    daemon.expected.append("could not be looked at")

    for name in ("overlay-images", "overlay-layers", "overlay-containers"):
        Path(graph_run.graph, name).rename(Path(graph_run.graph, f"{name}.aside"))
    store.run("create-image", "-n", "new")

    eventually(lambda: os.listdir(daemon.root / "images" / "by-name") == ["new"])


def test_it_sleeps_while_nothing_happens(daemon: Daemon) -> None:
    def switches() -> str:
        text = Path(f"/proc/{daemon.pid}/status").read_text()
        return "".join(line for line in text.splitlines() if "ctxt_switches" in line)

    os.listdir(daemon.root / "layers")
    time.sleep(0.3)  # what the last request has set off may end
    before = switches()
    time.sleep(1.5)

    assert before == switches()


def test_each_request_is_logged_if_asked(graph_run: GraphRun, root: Path) -> None:
    with serving(*graph_run, root, "debug") as daemon:
        os.listdir(root / "images")

        assert "DEBUG" in daemon.log()


def test_its_descriptors_stay_the_same(daemon: Daemon, graph_run: GraphRun) -> None:
    store = GoStore(*graph_run)
    store.run("create-layer", "-n", "base")
    eventually(lambda: os.path.exists(daemon.root / "layers" / "base"))
    subprocess.run(
        ["find", str(daemon.root)], check=True, timeout=PATIENCE_S, stdout=subprocess.DEVNULL
    )
    before = daemon.fds()

    for number in range(5):
        store.run("create-image", "-n", f"image{number}", "base")
        subprocess.run(
            ["find", str(daemon.root)], check=True, timeout=PATIENCE_S, stdout=subprocess.DEVNULL
        )

    assert before == daemon.fds()
