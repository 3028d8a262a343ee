"""Directories that go away under a store that is open."""

import os
import shutil
from pathlib import Path

import pytest

from holdfs.core.errors import StoreError
from holdfs.core.store import Store
from holdfs.drivers.base import DriverError
from tests.conftest import GraphRun
from tests.faults.acts import TOP, WEB, make_template, open_store
from tests.faults.states import Roots, broken
from tests.mounts import unmount_below
from tests.needs import needs
from tests.peers import GoStore

pytestmark = needs("root", "overlay")


@pytest.fixture(params=["overlay", "vfs"])
def roots(request: pytest.FixtureRequest, graph_run: GraphRun) -> Roots:
    roots = Roots(*graph_run, request.param)
    make_template(roots)
    return roots


def _empty(store: Store) -> bool:
    snapshot = store.snapshot()
    return not (snapshot.layers.ids or snapshot.images.ids or snapshot.containers.ids)


@pytest.mark.parametrize("kind", ["layers", "images", "containers"])
def test_a_kind_whose_directory_vanished_is_empty_and_can_be_filled_anew(
    roots: Roots, kind: str
) -> None:
    store = open_store(roots)
    store.snapshot()
    shutil.rmtree(f"{roots.graph}/{roots.driver}-{kind}")
    assert 0 == len(getattr(store.snapshot(), kind))
    store.create_layer(names=["fresh"])
    store.create_image(names=["fresh"], big_data=[("manifest", b"{}")])
    store.create_container(names=["fresh"])
    assert "fresh" in getattr(store.snapshot(), kind).by_name


def test_a_store_that_vanished_whole_is_empty_and_comes_back(roots: Roots) -> None:
    store = open_store(roots)
    aside = f"{roots.graph}-aside"
    unmount_below(roots.graph)
    os.rename(roots.graph, aside)
    assert _empty(store)
    for ref in ("shop", "web"):
        with pytest.raises(StoreError):
            store.delete(ref)
    # Locks were made anew there, nothing else.
    assert [] == [p for p in Path(roots.graph).rglob("*.json") if p.is_file()]
    shutil.rmtree(roots.graph)
    os.rename(aside, roots.graph)
    assert "shop" in store.snapshot().images.by_name
    assert b"old\n" == store.read_big_data("images", "shop", "notes")


@needs("containers-storage")
def test_a_store_made_anew_in_the_same_place_is_the_one_that_is_served(roots: Roots) -> None:
    store = open_store(roots)
    store.snapshot()
    unmount_below(roots.graph)
    for root in (roots.graph, roots.run):
        shutil.rmtree(root)
    go = GoStore(roots.graph, roots.run, roots.driver)
    made = go.out("create-layer", "--name", "theirs").split("\n")[0]
    assert (made,) == tuple(store.snapshot().layers.ids)
    ours = store.create_layer(parent="theirs", names=["ours"])
    assert {made, ours.id} == {found["id"] for found in go.json("layers")}


def test_the_run_root_may_go_as_at_a_reboot(roots: Roots) -> None:
    store = open_store(roots)
    store.mount("web")
    unmount_below(roots.graph)
    shutil.rmtree(roots.run)
    assert 0 == store.mounted("web")
    path = store.mount("web")
    assert os.path.exists(f"{path}/etc/00000001")
    assert 1 == store.mounted("web")
    store.unmount("web")


def test_a_layer_whose_directory_vanished_can_be_deleted_but_not_mounted(roots: Roots) -> None:
    store = open_store(roots)
    own = store.snapshot().containers.head(WEB).layer
    top = f"{roots.graph}/{'vfs/dir' if roots.driver == 'vfs' else 'overlay'}"
    shutil.rmtree(f"{top}/{own}")
    with pytest.raises((DriverError, OSError)) as refused:
        store.mount("web")
    assert own in str(refused.value)
    assert 0 == store.mounted("web")
    store.delete_container("web")
    assert own not in store.snapshot().layers


def test_a_layer_whose_parent_vanished_is_refused_by_name(roots: Roots) -> None:
    store = open_store(roots)
    top = f"{roots.graph}/{'vfs/dir' if roots.driver == 'vfs' else 'overlay'}"
    shutil.rmtree(f"{top}/{TOP}")
    with pytest.raises((DriverError, OSError)):
        store.create_layer(parent="top", names=["on-nothing"])
    assert "on-nothing" not in store.snapshot().layers.by_name
    assert [] == broken(roots)


def test_big_data_whose_file_vanished_is_told_and_can_be_written_again(roots: Roots) -> None:
    store = open_store(roots)
    image = store.snapshot().images.by_name["shop"]
    shutil.rmtree(f"{roots.graph}/{roots.driver}-images/{image}")
    with pytest.raises(StoreError, match="notes"):
        store.read_big_data("images", "shop", "notes")
    store.set_big_data("images", "shop", "notes", b"new\n")
    assert b"new\n" == store.read_big_data("images", "shop", "notes")
