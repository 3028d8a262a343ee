"""Which driver a graph root gets."""

import os
import subprocess
import sys

import pytest

from holdfs.drivers import find_state, open_driver
from holdfs.drivers.base import Driver, DriverError, DriverNotSupported
from tests.conftest import GraphRun
from tests.mounts import detach
from tests.needs import needs


def _open(roots: GraphRun, name: str = "", priority: tuple[str, ...] = ()) -> Driver:
    return open_driver(
        name, graph_root=roots.graph, run_root=roots.run, options=(), priority=priority
    )


@needs("root", "overlay")
def test_an_empty_graph_root_gets_overlay(graph_run: GraphRun) -> None:
    assert "overlay" == _open(graph_run).name
    assert "overlay" == _open(graph_run).name


@needs("root")
def test_an_empty_graph_root_gets_the_first_of_the_configured_list(graph_run: GraphRun) -> None:
    assert "vfs" == _open(graph_run, priority=("vfs", "overlay")).name
    assert not os.path.exists(f"{graph_run.graph}/overlay")


@needs("root")
def test_overlay2_is_overlay(graph_run: GraphRun) -> None:
    assert "overlay" == _open(graph_run, "overlay2").name


@pytest.mark.parametrize(
    "states, priority, found",
    [
        ([], (), ""),
        (["overlay"], (), "overlay"),
        (["btrfs"], (), "btrfs"),
        (["vfs"], (), ""),
        (["vfs"], ("overlay", "vfs"), "vfs"),
        (["overlay"], ("vfs",), ""),
        (["overlay-images"], (), ""),
    ],
)
def test_the_state_that_is_there_decides(
    graph_run: GraphRun, states: list[str], priority: tuple[str, ...], found: str
) -> None:
    for state in states:
        os.mkdir(f"{graph_run.graph}/{state}")

    assert found == find_state(graph_run.graph, priority)


@pytest.mark.parametrize("states", [("btrfs", "overlay"), ("overlay", "vfs")])
def test_the_state_of_several_drivers_is_an_error(
    graph_run: GraphRun, states: tuple[str, str]
) -> None:
    for state in states:
        os.mkdir(f"{graph_run.graph}/{state}")

    with pytest.raises(DriverError) as raised:
        _open(graph_run)

    assert (
        f"{graph_run.graph} contains several valid graphdrivers: {', '.join(states)}; "
        "Please cleanup or explicitly choose storage driver (-s <DRIVER>)" == raised.value.words
    )
    assert "choose one with --storage-driver" in str(raised.value)


@pytest.mark.parametrize("name", ["zfs", "nonsense"])
def test_a_driver_we_do_not_have_is_refused_by_name(graph_run: GraphRun, name: str) -> None:
    with pytest.raises(DriverNotSupported, match=name) as raised:
        _open(graph_run, name)

    assert (
        f"failed to GetDriver graph {name} {graph_run.graph}: driver not supported"
        == raised.value.words
    )
    assert [] == os.listdir(graph_run.graph)


def test_a_graph_root_with_the_state_of_btrfs_is_not_taken_for_another(graph_run: GraphRun) -> None:
    os.mkdir(f"{graph_run.graph}/btrfs")

    with pytest.raises(DriverNotSupported, match="btrfs"):
        _open(graph_run)

    assert ["btrfs"] == os.listdir(graph_run.graph)


@needs("root", "overlay")
def test_where_overlay_can_not_be_another_driver_is_taken_and_nothing_left(
    graph_run: GraphRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/sbin:/sbin")  # without fuse-overlayfs, which could
    # An overlay can't be the upper directory of another.
    graph = graph_run.graph
    for name in ("lower", "upper", "work", "merged"):
        os.mkdir(f"{graph}/{name}")
    options = f"lowerdir={graph}/lower,upperdir={graph}/upper,workdir={graph}/work"
    subprocess.run(
        ["/usr/bin/mount", "-t", "overlay", "x", "-o", options, f"{graph}/merged"],
        check=True,
        timeout=20,
    )
    try:
        roots = GraphRun(f"{graph}/merged", graph_run.run)
        with pytest.raises(DriverNotSupported, match="overlayfs") as raised:
            _open(roots, "overlay")
        driver = _open(roots)
        left = os.listdir(f"{graph}/merged")
    finally:
        detach(f"{graph}/merged")

    assert (
        "'overlay' is not supported over overlayfs, a mount_program is required: "
        "backing file system is unsupported for this graph driver" == raised.value.words
    )
    assert ("vfs", ["vfs"]) == (driver.name, left)


def test_importing_the_package_loads_no_driver() -> None:
    code = (
        "import sys; before = set(sys.modules); import holdfs.drivers;"
        "print(*sorted(set(sys.modules) - before))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )

    allowed = {"__future__", "holdfs", "holdfs.drivers"}
    assert allowed >= set(done.stdout.split())
