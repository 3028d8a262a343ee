"""One btrfs store, used in turn by our driver and by Debian's containers-storage."""

import os
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import GraphRun
from tests.drivers.btrfs_roots import btrfs_roots, open_btrfs_store
from tests.drivers.manifest import fill, manifest
from tests.drivers.suite import GIDMAP, UIDMAP, layer_id, mounted
from tests.needs import needs
from tests.peers import GoStore

pytestmark = needs("root", "btrfs", "containers-storage")


@pytest.fixture
def roots(loop_top: Callable[[str], str]) -> Iterator[GraphRun]:
    """Give an empty pair of roots on btrfs."""
    with btrfs_roots(loop_top("btrfs")) as made:
        yield made


def test_status_is_the_same(roots: GraphRun) -> None:
    store = open_btrfs_store(roots)
    ours = [f"{key}: {value}" for key, value in store.status()]

    theirs = GoStore(*roots, driver="btrfs").run("status").stderr.splitlines()

    store.driver.cleanup()
    assert theirs == ours


def test_homes_made_by_both_are_the_same(
    loop_top: Callable[[str], str],
) -> None:
    homes = []
    for by_go in (True, False):
        with btrfs_roots(loop_top("btrfs")) as roots:
            go, store = GoStore(*roots, driver="btrfs"), open_btrfs_store(roots)
            for number, parent in ((1, 0), (2, 1), (3, 2), (4, 1)):
                parent_id = layer_id(parent) if parent else ""
                if by_go:
                    named = [parent_id] if parent else []
                    go.run("create-layer", "--id", layer_id(number), *named)
                else:
                    store.create_layer(parent=parent_id, layer_id=layer_id(number))
            if by_go:
                go.run("delete-layer", layer_id(4))
            else:
                store.delete_layer(layer_id(4))
            homes.append(manifest(f"{roots.graph}/btrfs", with_directory_times=False))
            store.driver.cleanup()

    assert homes[0] == homes[1]


def test_what_one_wrote_the_other_shows_and_removes(roots: GraphRun) -> None:
    go, store = GoStore(*roots, driver="btrfs"), open_btrfs_store(roots)
    go.run("create-layer", "--id", layer_id(1))
    fill(go.out("mount", layer_id(1)))
    go.run("unmount", layer_id(1))

    store.create_layer(parent=layer_id(1), layer_id=layer_id(2))
    with mounted(store.driver, layer_id(2)) as top:
        os.unlink(f"{top}/sparse")
        os.rename(f"{top}/dangling", f"{top}/moved")
        ours = manifest(top)
    go.run("create-layer", "--id", layer_id(3), layer_id(2))
    top = go.out("mount", layer_id(3))
    theirs = manifest(top)
    go.run("unmount", layer_id(3))
    with mounted(store.driver, layer_id(3)) as ours_too:
        assert top == ours_too

    assert ours == theirs
    store.delete_layer(layer_id(3))
    for number in (2, 1):
        go.run("delete-layer", layer_id(number))
    assert [] == store.driver.list_layers()
    store.driver.cleanup()


def test_changed_trees_of_both_are_the_same(roots: GraphRun) -> None:
    go, store = GoStore(*roots, driver="btrfs"), open_btrfs_store(roots)
    go.run("create-layer", "--id", layer_id(1))
    fill(go.out("mount", layer_id(1)))
    go.run("unmount", layer_id(1))
    maps = [":".join(str(n) for line in ranges for n in line) for ranges in (UIDMAP, GIDMAP)]
    go.run(
        "create-layer", "--uidmap", maps[0], "--gidmap", maps[1], "--id", layer_id(2), layer_id(1)
    )

    driver = store.driver
    driver.create(layer_id(3), layer_id(1), uidmap=UIDMAP, gidmap=GIDMAP)
    driver.change_owner(
        layer_id(3), old_uidmap=(), old_gidmap=(), new_uidmap=UIDMAP, new_gidmap=GIDMAP
    )

    shown = [
        manifest(driver.mount_point(layer_id(number)), with_directory_times=False)
        for number in (2, 3)
    ]
    assert shown[0] == shown[1]
    driver.cleanup()
