"""A store of our own to work on, and the Go tool on the same bytes."""

from collections.abc import Iterator

import pytest

from holdfs.core.config import load_options
from holdfs.core.store import Store
from tests.conftest import GraphRun
from tests.peers import GoStore


@pytest.fixture(params=["overlay", "vfs"])
def store(request: pytest.FixtureRequest, graph_run: GraphRun) -> Iterator[Store]:
    """Give an empty store on each of two drivers; unmounted and shut down at the end."""
    graph, run = graph_run
    options = load_options(graph_root=graph, run_root=run, driver=request.param)
    store = Store.open(options, lock_timeout_s=5)
    yield store
    for layer_id in store.snapshot().mounts:
        store.unmount(layer_id, force=True)
    store.shutdown()


@pytest.fixture
def go(store: Store) -> GoStore:
    """Give the Go tool on `store`."""
    return GoStore(store.graph_root, store.run_root, driver=store.driver.name)
