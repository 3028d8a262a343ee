"""Each index, cut off at every byte: refused, never written over, the other kinds still served."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfs.core.errors import StoreDamaged
from holdfs.core.store import Store
from tests.conftest import GraphRun
from tests.faults.acts import open_store
from tests.faults.states import Roots
from tests.needs import needs

pytestmark = needs("root", "overlay")

_INDEXES = {
    "layers": "graph/overlay-layers/layers.json",
    "images": "graph/overlay-images/images.json",
    "containers": "graph/overlay-containers/containers.json",
    "volatile containers": "graph/overlay-containers/volatile-containers.json",
    "mounts": "run/overlay-layers/mountpoints.json",
}


@pytest.fixture
def small(graph_run: GraphRun) -> Roots:
    """Give a store with one short record in each index."""
    roots = Roots(*graph_run, "overlay")
    store = open_store(roots)
    store.create_layer(names=["a"])
    store.create_image(layer="a", names=["b"])
    store.create_container(names=["c"])
    store.mount("a")
    volatile = Path(roots.graph, "overlay-containers", "volatile-containers.json")
    volatile.write_bytes(Path(volatile.with_name("containers.json")).read_bytes())
    record = volatile.read_bytes().replace(b'"c"', b'"d"').replace(b'"id":"', b'"id":"0')
    volatile.write_bytes(record)
    return roots


@pytest.mark.parametrize(
    "index",
    [
        pytest.param(index, marks=[pytest.mark.whole] if "volatile" in index else [])
        for index in _INDEXES
    ],
)
def test_an_index_cut_off_anywhere_is_refused_and_kept(small: Roots, index: str) -> None:
    path = Path(os.path.dirname(small.graph), _INDEXES[index])
    whole = path.read_bytes()
    store = open_store(small)
    for length in range(1, len(whole)):
        cut = whole[:length]
        _replace(path, cut)
        fresh = open_store(small)
        for each in (store, fresh):
            _check_served(each, index)
            _check_refused(each, index)
        assert cut == path.read_bytes(), length
    _replace(path, whole)
    store.set_metadata("layers", "a", "whole again")
    assert 1 == store.mounted("a")


def _replace(path: Path, content: bytes) -> None:
    other = path.with_name("other")
    other.write_bytes(content)
    other.rename(path)


def _check_served(store: Store, index: str) -> None:
    snapshot = store.snapshot()
    damage = {
        "layers": snapshot.layers.damage,
        "images": snapshot.images.damage,
        "containers": snapshot.containers.damage,
        "mounts": snapshot.mounts_damage,
    }
    kind = index.removeprefix("volatile ")
    assert [kind] == [name for name, found in damage.items() if found is not None]
    for name, records in (("layers", snapshot.layers), ("images", snapshot.images)):
        if name != kind:
            assert len(records) > 0


def _check_refused(store: Store, index: str) -> None:
    acts: dict[str, tuple[Callable[[], object], ...]] = {
        "layers": (
            lambda: store.create_layer(),
            lambda: store.delete_layer("a"),
            lambda: store.create_image(layer="a"),
            lambda: store.wipe(),
        ),
        "images": (
            lambda: store.set_names("images", "b", ["x"]),
            lambda: store.delete_layer("a"),
            lambda: store.create_image(),
            lambda: store.wipe(),
        ),
        "containers": (
            lambda: store.set_metadata("containers", "c", "x"),
            lambda: store.create_container(),
            lambda: store.create_layer(parent="a"),
            lambda: store.delete_layer("a"),
            lambda: store.wipe(),
        ),
        "mounts": (
            lambda: store.mount("a"),
            lambda: store.unmount("a"),
            lambda: store.shutdown(force=True),
        ),
    }
    for act in acts[index.removeprefix("volatile ")]:
        with pytest.raises(StoreDamaged):
            act()
