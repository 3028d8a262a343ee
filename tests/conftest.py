"""
Fixtures for every test: stores of their own, and nothing left mounted.

The machine's own store and configuration are out of reach: all tools get explicit roots, and what
forgets them finds, by CONTAINERS_STORAGE_CONF, a store that no test has made.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings

from tests.mounts import unmount_below
from tests.needs import loop_mounted, missing, needs, skips_are_failures
from tests.peers import GoStore, build_demo_image


class GraphRun(NamedTuple):
    """The two roots of a store, absolute paths of directories that exist and are empty."""

    graph: str
    run: str


# -- needs -------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*names): what the machine must offer; tests/needs.py")
    # No test fails for having taken long on a busy machine.
    settings.register_profile("holdfs", deadline=None)
    settings.load_profile("holdfs")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            if reason := missing(name):
                said = f"needs {name}: {reason}"
                if skips_are_failures():
                    pytest.fail(f"{said} (a skip is a failure in CI)", pytrace=False)
                pytest.skip(said)


# -- nothing of the machine's, nothing left ------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def _closed_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the machine's configuration; at the end see that nothing is mounted any more."""
    top = tmp_path_factory.mktemp("environment")
    conf = top / "storage.conf"
    conf.write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{top}/forgot-graph"\n'
        f'runroot = "{top}/forgot-run"\n'
    )
    patch = pytest.MonkeyPatch()
    for name in ("CONTAINERS_STORAGE_CONF_OVERRIDE", "STORAGE_DRIVER", "STORAGE_OPTS"):
        patch.delenv(name, raising=False)
    patch.setenv("CONTAINERS_STORAGE_CONF", str(conf))
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        patch.setenv(name, str(top))
    yield
    patch.undo()
    _fail_if_mounted(tmp_path_factory.getbasetemp(), "the session")
    assert not (top / "forgot-graph").exists(), "something was run without naming its store"


@pytest.fixture(autouse=True)
def _nothing_stays_mounted(tmp_path: Path) -> Iterator[None]:
    """
    Fail a test that leaves a mount in its directory, and take the mount away.

    It asks for tmp_path so that this runs before pytest removes that directory: a removal must
    never walk into what is mounted there.
    """
    yield
    _fail_if_mounted(tmp_path, "the test")


def _fail_if_mounted(top: Path, who: str) -> None:
    if left := unmount_below(str(top)):
        pytest.fail(f"{who} left mounted: {', '.join(left)}", pytrace=False)


# -- stores ------------------------------------------------------------------------------------


@pytest.fixture
def stores() -> Iterator[Callable[[], GraphRun]]:
    """
    Give a function that makes a fresh pair of roots each time it is called.

    They are not in tmp_path: podman takes no run root longer than 50 characters. At the end they
    are removed. Below a graph root drivers may leave their mounts (the home that overlay mounts on
    itself, layers that stay mounted), which are detached; a mount left anywhere else is a failure.
    """
    made: list[str] = []

    def make() -> GraphRun:
        top = os.path.realpath(tempfile.mkdtemp(prefix="holdfs"))
        made.append(top)
        roots = GraphRun(f"{top}/graph", f"{top}/run")
        for directory in roots:
            os.mkdir(directory, 0o700)
        return roots

    yield make
    left = []
    for top in made:
        left += [p for p in unmount_below(top) if not p.startswith(f"{top}/graph/")]
        shutil.rmtree(top)
    if left:
        pytest.fail(f"the test left mounted: {', '.join(left)}", pytrace=False)


@pytest.fixture
def graph_run(stores: Callable[[], GraphRun]) -> GraphRun:
    """Give one fresh pair of roots: `graph, run = graph_run`."""
    return stores()


@pytest.fixture(scope="session")
def btrfs_top(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give a directory on a btrfs of its own; ask for @needs("btrfs") yourself."""
    directory = str(tmp_path_factory.mktemp("btrfs"))
    with loop_mounted("btrfs", directory, size=4 << 30) as top:
        yield top
    os.unlink(f"{directory}/btrfs.img")


class DriverRoots(NamedTuple):
    """Fresh roots, and the driver that is to work there."""

    driver: str
    roots: GraphRun


@pytest.fixture(params=["overlay", "vfs", pytest.param("btrfs", marks=needs("btrfs"))])
def driver_roots(
    request: pytest.FixtureRequest, stores: Callable[[], GraphRun]
) -> Iterator[DriverRoots]:
    """Give each driver in turn fresh roots on a file system that it can work on."""
    roots = stores()
    if request.param != "btrfs":
        yield DriverRoots(request.param, roots)
        return
    top = tempfile.mkdtemp(dir=request.getfixturevalue("btrfs_top"))
    yield DriverRoots("btrfs", GraphRun(f"{top}/graph", roots.run))
    unmount_below(top)
    shutil.rmtree(top)


@pytest.fixture
def go_store(graph_run: GraphRun) -> GoStore:
    """Give containers-storage on `graph_run`, driver overlay; ask for @needs yourself."""
    return GoStore(*graph_run)


@pytest.fixture
def demo_store(graph_run: GraphRun) -> GoStore:
    """
    Give `graph_run` as buildah left it after making the two-layer image `DEMO_IMAGE`.

    Needs root, overlay, buildah and busybox: mark the test so.
    """
    build_demo_image(*graph_run)
    return GoStore(*graph_run)
