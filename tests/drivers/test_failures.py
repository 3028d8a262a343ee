"""Creating a layer fails in the middle: nothing is left, and the next try works."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator

import pytest

from holdfs.drivers import open_driver
from holdfs.drivers.base import Driver
from tests.conftest import GraphRun
from tests.drivers.conformance import layer_id
from tests.drivers.manifest import manifest
from tests.needs import needs

pytestmark = needs("root", "overlay")

Limit = Callable[[str], None]


@pytest.fixture
def limit(graph_run: GraphRun) -> Iterator[Limit]:
    """Put the graph root on a tmpfs, and give a function that sets its limits."""

    def set_options(options: str) -> None:
        subprocess.run(
            ["mount", "-o", f"remount,{options}", graph_run.graph], check=True, timeout=20
        )

    subprocess.run(["mount", "-t", "tmpfs", "x", graph_run.graph], check=True, timeout=20)
    yield set_options
    subprocess.run(["umount", "-l", graph_run.graph], check=True, timeout=20)


def _driver(name: str, roots: GraphRun) -> Driver:
    driver = open_driver(name, graph_root=roots.graph, run_root=roots.run, options=())
    driver.create(layer_id(1), "")
    content = driver.diff_path(layer_id(1)) or driver.mount_point(layer_id(1))
    for number in range(10):
        with open(f"{content}/f{number}", "wb") as file:
            file.write(b"x" * 100_000)
    return driver


def _used_inodes(path: str) -> int:
    shown = os.statvfs(path)
    return shown.f_files - shown.f_ffree


@pytest.mark.parametrize("name", ["overlay", "vfs"])
def test_a_creation_that_runs_out_of_inodes_leaves_nothing(
    graph_run: GraphRun, limit: Limit, name: str
) -> None:
    driver = _driver(name, graph_run)
    before = manifest(driver.home, with_directory_times=False)

    for free in range(7):
        limit(f"nr_inodes={_used_inodes(graph_run.graph) + free}")
        with pytest.raises(OSError) as raised:
            driver.create(layer_id(2), layer_id(1))
        assert errno.ENOSPC == raised.value.errno
        assert before == manifest(driver.home, with_directory_times=False)

    limit("nr_inodes=1000")
    driver.create(layer_id(2), layer_id(1))
    assert driver.exists(layer_id(2))


def test_a_copy_that_fills_the_disk_leaves_nothing(graph_run: GraphRun, limit: Limit) -> None:
    driver = _driver("vfs", graph_run)
    before = manifest(driver.home, with_directory_times=False)
    limit("size=1500k")

    with pytest.raises(OSError) as raised:
        driver.create(layer_id(2), layer_id(1))

    assert errno.ENOSPC == raised.value.errno
    assert before == manifest(driver.home, with_directory_times=False)


@pytest.mark.parametrize("name", ["overlay", "vfs"])
def test_whatever_a_killed_creation_left_is_removed_or_replaced(
    graph_run: GraphRun, name: str
) -> None:
    driver = _driver(name, graph_run)
    layers = driver.home if name == "overlay" else f"{driver.home}/dir"
    for left in ((), ("diff",), ("diff", "work"), ("diff", "work", "merged")):
        os.mkdir(f"{layers}/{layer_id(2)}")
        for part in left:
            os.mkdir(f"{layers}/{layer_id(2)}/{part}")
        with open(f"{layers}/{layer_id(2)}/link", "wb"):
            pass

        driver.unmount(layer_id(2))
        if len(left) % 2:
            driver.remove(layer_id(2))
            assert not driver.exists(layer_id(2))
        driver.create(layer_id(2), layer_id(1))
        assert not driver.has_content(layer_id(2), layer_id(1))
        driver.remove(layer_id(2))
