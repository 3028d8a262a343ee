"""Stores for the differential tests."""

from collections.abc import Callable

import pytest

from tests.conftest import GraphRun
from tests.differential.live import Live, copy


@pytest.fixture
def live(graph_run: GraphRun) -> Live:
    """Give an empty store with the overlay driver, open to all."""
    return Live(graph_run, "overlay")


@pytest.fixture(params=["vfs", "overlay"])
def twins_on_each_driver(
    request: pytest.FixtureRequest, stores: Callable[[], GraphRun]
) -> tuple[Live, Live]:
    """Give `twins` on vfs and on overlay."""
    first = Live(stores(), request.param)
    fill(first)
    first.go.run("shutdown")
    return first, copy(first, stores())


@pytest.fixture
def twins(stores: Callable[[], GraphRun]) -> tuple[Live, Live]:
    """
    Give two equal stores that the Go tool filled, on vfs, where a copy of the files is a copy.

        base ── child ── top ── (c1's layer)        lone        (c0's layer)
         └ two   └ one                                          images none: no layer
    """
    first = Live(stores(), "vfs")
    fill(first)
    return first, copy(first, stores())


def fill(live: Live) -> None:
    """Make the store that the acts start from."""
    go = live.go
    go.run("create-layer", "-i", "base", "-n", "base-name", "-n", "base<other>")
    go.run("create-layer", "-i", "child", "-n", "child-name", "base")
    go.run("create-layer", "-i", "top", "child")
    go.run("create-layer", "-i", "lone", "-n", "lone-name")
    go.run("create-image", "-i", "one", "-n", "a", "-n", "b", "-m", "old", "top")
    go.run("set-image-data", "one", "manifest", input='{"schemaVersion":2}')
    go.run("set-image-data", "one", "odd key", input="odd")
    go.run("create-image", "-i", "two", "-n", "c", "base")
    go.run("create-image", "-i", "none", "-d", "sha256:" + "1" * 64)
    go.run("create-image", "-i", "spare", "-n", "spare-name", "top")
    go.run("create-container", "-i", "c1", "-n", "first", "-n", "uno", "-m", "{}", "one")
    go.run("create-container", "-i", "c0", "-n", "zero", "--volatile", "")
    go.run("set-container-data", "c1", "config.json", input="{}")
    go.run("set-layer-data", "base", "some-data", input="x")
