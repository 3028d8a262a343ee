"""Every example runs, and real tools agree with what it made."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.conftest import GraphRun
from tests.house.sources import TOP
from tests.needs import needs
from tests.peers import Buildah, Podman

pytestmark = needs("root", "overlay", "busybox")


def run_example(name: str, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", TOP / "examples" / name, *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
        text=True,
    )
    assert 0 == done.returncode, done.stdout
    return done.stdout


@pytest.fixture
def demo_roots(graph_run: GraphRun) -> GraphRun:
    """Give a store that make_demo_store.py has filled."""
    run_example("make_demo_store.py", *graph_run)
    return graph_run


@needs("podman", "buildah")
def test_make_demo_store_makes_what_podman_and_buildah_use(demo_roots: GraphRun) -> None:
    (image,) = Podman(*demo_roots).json("images")
    (container,) = Podman(*demo_roots).json("ps", "--all", "--external")
    buildah = Buildah(*demo_roots)
    working = buildah.out("from", "--pull-never", "localhost/demo:latest")
    top = buildah.out("mount", working)

    assert ["localhost/demo:latest"] == image["Names"]
    assert ["web"] == container["Names"]
    with open(f"{top}/etc/os-release", encoding="utf-8") as f:
        assert 'PRETTY_NAME="holdfs demo"\n' == f.readline()
    shell = subprocess.run(
        ["chroot", top, "/bin/sh", "-c", "echo $((6 * 7))"], capture_output=True, timeout=20
    )
    assert b"42\n" == shell.stdout


def test_make_demo_store_makes_it_once(demo_roots: GraphRun) -> None:
    assert "localhost/demo:latest is there already\n" == run_example(
        "make_demo_store.py", *demo_roots
    )


def test_list_images_shows_layers_and_containers(demo_roots: GraphRun) -> None:
    name, *lines = run_example("list_images.py", *demo_roots).splitlines()

    assert "localhost/demo:latest" == name
    assert ["layer", "layer", "container"] == [line.split()[0] for line in lines]
    assert "web" == lines[-1].split()[1]


def test_every_example_is_run_by_a_test() -> None:
    text = "".join(p.read_text(encoding="utf-8") for p in (TOP / "tests").rglob("test_*.py"))

    assert [] == [p.name for p in (TOP / "examples").glob("*") if f'"{p.name}"' not in text]


def test_a_store_without_images_is_listed_as_nothing(stores: Callable[[], GraphRun]) -> None:
    assert "" == run_example("list_images.py", *stores())
