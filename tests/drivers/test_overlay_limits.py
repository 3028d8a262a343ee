"""Limits of overlay layers: refused in the Go tools' words where there are no project quotas."""

import os
from collections.abc import Callable, Iterator
from tempfile import TemporaryDirectory

import pytest

from holdfs.drivers.base import DriverError
from tests.conftest import GraphRun
from tests.drivers.conformance import layer_id
from tests.drivers.overlays import open_overlay
from tests.mounts import unmount_below
from tests.needs import needs
from tests.peers import GoStore

pytestmark = needs("root", "overlay")

_WHERE = "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"


@pytest.fixture
def xfs_roots(loop_top: Callable[[str], str]) -> Iterator[GraphRun]:
    """Give an empty pair of roots on xfs, mounted without quotas."""
    with TemporaryDirectory(prefix="holdfs", dir=loop_top("xfs")) as top:
        for name in ("graph", "run"):
            os.mkdir(f"{top}/{name}")
        yield GraphRun(f"{top}/graph", f"{top}/run")
        unmount_below(top)  # Debian's leaves its home mounted


@needs("xfs", "containers-storage")
@pytest.mark.parametrize("option", ["overlay.size=1G", "overlay.inodes=100"])
def test_on_xfs_without_quotas_a_limit_for_all_is_refused(xfs_roots: GraphRun, option: str) -> None:
    said = GoStore(*xfs_roots, options=[option]).run("status", check=False)

    with pytest.raises(DriverError) as raised:
        open_overlay(xfs_roots, option)

    assert f"error initializing: {raised.value.words}" == said.stdout.strip()


@pytest.mark.parametrize("wanted", ["size=1G", "inodes=5"])
def test_elsewhere_a_layers_own_limit_is_refused(graph_run: GraphRun, wanted: str) -> None:
    driver = open_overlay(graph_run)

    with pytest.raises(DriverError) as raised:
        driver.create(layer_id(1), "", storage_options=[wanted])

    assert _WHERE == raised.value.words
    assert [] == driver.list_layers()


@needs("xfs")
def test_on_xfs_without_quotas_a_layers_own_limit_is_refused(xfs_roots: GraphRun) -> None:
    driver = open_overlay(xfs_roots)

    with pytest.raises(DriverError) as raised:
        driver.create(layer_id(1), "", storage_options=["size=1G"])

    assert _WHERE == raised.value.words
    assert [] == driver.list_layers()


@pytest.mark.parametrize(
    "wanted, words",
    [
        ("size=1G", "--storage-opt size is only supported for ReadWrite Layers"),
        ("speed=1", 'unknown option speed ("1")'),
    ],
)
def test_limits_that_make_no_sense_are_refused(
    graph_run: GraphRun, wanted: str, words: str
) -> None:
    driver = open_overlay(graph_run)

    with pytest.raises(DriverError) as raised:
        driver.create(layer_id(1), "", read_only=True, storage_options=[wanted])

    assert words == raised.value.words
