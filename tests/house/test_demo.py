"""`make demo` shows a tree, leaves it mounted, and what it tells the user to try works."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.conftest import GraphRun
from tests.house.sources import TOP
from tests.mounts import mounts_below, unmount_below
from tests.needs import needs
from tests.peers import DEMO_IMAGE, GoStore

pytestmark = needs("root", "overlay", "fuse", "busybox", "podman")


class Demo:
    """A demo with its mount and its store in the directory of a test's store."""

    def __init__(self, top: str) -> None:
        self.top = top
        self.mount_point = f"{top}/mnt"
        self.store = f"{top}/graph/demo"

    def run(self) -> str:
        return shell(f"{sys.executable} .make/demo.py {self.mount_point} {self.store}")

    def wait_for_its_end(self) -> None:
        """Wait until the daemon has taken away its mounts: umount returns before."""
        deadline = time.monotonic() + 20
        while left := [p for p in mounts_below(self.top) if "/run/holdfs/" in p]:
            assert time.monotonic() < deadline, left
            time.sleep(0.02)


def shell(command: str) -> str:
    done = subprocess.run(
        ["bash", "-ec", command],
        cwd=TOP,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=100,
        check=False,
        text=True,
    )
    assert 0 == done.returncode, done.stdout
    return done.stdout


def commands_to_try(shown: str) -> list[str]:
    return [line.strip() for line in shown.splitlines() if line.startswith("    ")]


@pytest.fixture
def demo(graph_run: GraphRun, monkeypatch: pytest.MonkeyPatch) -> Iterator[Demo]:
    """Give a demo on a machine whose own store is `graph_run`."""
    top = os.path.dirname(graph_run.graph)
    with open(f"{top}/storage.conf", "w", encoding="utf-8") as f:
        f.write(f'[storage]\ngraphroot = "{graph_run.graph}"\nrunroot = "{graph_run.run}"\n')
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", f"{top}/storage.conf")
    demo = Demo(top)
    yield demo
    unmount_below(demo.mount_point)
    demo.wait_for_its_end()


def test_a_machine_without_images_is_shown_a_store_made_for_it(demo: Demo) -> None:
    shown = demo.run()
    look, make, show_all = commands_to_try(shown)

    assert 'PRETTY_NAME="holdfs demo"' in shown
    assert "bin" in shell(look).split()
    assert "" == shell(make)
    assert "mine" in shell(show_all).split()


def test_the_machines_own_images_are_shown_when_it_has_some(
    demo: Demo, demo_store: GoStore
) -> None:
    shown = demo.run()
    make = commands_to_try(shown)[1]
    shell(make)

    assert "store of this machine" in shown
    assert not os.path.exists(demo.store)
    assert ["mine"] == demo_store.json("containers")[0]["names"]
    assert DEMO_IMAGE in demo_store.out("images")


def test_a_demo_takes_the_place_of_the_one_before_and_ends_as_it_says(demo: Demo) -> None:
    demo.run()
    shown = demo.run()

    assert [demo.mount_point] == mounts_below(demo.mount_point)
    shell(shown.splitlines()[-1].removeprefix("To end it: "))
    assert [] == mounts_below(demo.mount_point)
