"""
One store, used in turn by our drivers and by Debian's containers-storage.

Each does the same to stores of its own, which then must look the same, or takes over what the other
made. Differences that are meant are named where they are allowed.
"""

import os
import re
from collections.abc import Callable

import pytest

from holdfs.core.config import load_options
from holdfs.core.store import Store
from holdfs.drivers.base import MountOptions
from tests.conftest import GraphRun
from tests.drivers.conformance import layer_id, mounted, viewed
from tests.drivers.manifest import fill, manifest
from tests.mounts import mounts_below
from tests.needs import needs
from tests.peers import GoStore

pytestmark = needs("root", "overlay", "containers-storage")

# Status of the newest Go tools; Debian's does not have it yet.
_NEW_STATUS = {"Supports shifting", "Supports volatile"}
# Debian's makes it when it creates a layer, since it can map IDs while mounting.
_OTHER_FEATURES = {"idmapped-lower-dir-true", "idmapped-lower-dir-false", "volatile-true"}


def _open(roots: GraphRun, driver: str = "overlay", *options: str) -> Store:
    return Store.open(
        load_options(
            graph_root=roots.graph, run_root=roots.run, driver=driver, driver_options=options
        )
    )


def _home_listing(graph: str) -> list[tuple[object, ...]]:
    """Return the overlay home's entries, the random names of links replaced by their layers'."""
    home = f"{graph}/overlay"
    names = {
        link: os.readlink(f"{home}/l/{link}").split("/")[1][-4:] for link in os.listdir(f"{home}/l")
    }
    found = []
    for path, entry in manifest(home, with_directory_times=False).items():
        mode, owner, device, _, content, xattrs, _ = entry
        xattrs.pop("trusted.overlay.uuid", None)  # the kernel's, random
        shown = content
        if path.endswith(("/link", "/lower")):
            with open(f"{home}/{path}", encoding="ascii") as file:
                shown = re.sub("[A-Z2-7]{26}", lambda m: names[m[0]], file.read())
        directory, name = os.path.split(path)
        found.append((f"{directory}/{names.get(name, name)}", mode, owner, device, shown, xattrs))
    return sorted(found, key=lambda entry: str(entry[0]))


def _build(go: GoStore | None, roots: GraphRun) -> None:
    """Make a chain of three layers and one beside it, remove that again, by Go or by us."""
    store = None if go else _open(roots)
    for number, parent in ((1, 0), (2, 1), (3, 2), (4, 1)):
        parent_id = layer_id(parent) if parent else ""
        if go:
            go.run("create-layer", "--id", layer_id(number), *([parent_id] if parent else []))
        elif store:
            store.create_layer(parent=parent_id, layer_id=layer_id(number))
    if go:
        go.run("delete-layer", layer_id(4))
    elif store:
        store.delete_layer(layer_id(4))


def test_status_is_the_same(graph_run: GraphRun, go_store: GoStore) -> None:
    ours = [f"{key}: {value}" for key, value in _open(graph_run).status() if key not in _NEW_STATUS]

    assert go_store.run("status").stderr.splitlines() == ours


@pytest.mark.parametrize("mountopt", ["", "nodev", "nodev,metacopy=on", "nonsense"])
def test_test_mounts_come_to_the_same_notes(stores: Callable[[], GraphRun], mountopt: str) -> None:
    options = [f"overlay.mountopt={mountopt}"] if mountopt else []
    by_go, by_us = stores(), stores()
    GoStore(*by_go, options=options).run("status")
    _open(by_us, "overlay", *options)

    notes = [
        {
            name: os.path.getsize(f"{roots.run}/overlay/{name}") > 0
            for name in os.listdir(f"{roots.run}/overlay")
            if name not in _OTHER_FEATURES
        }
        for roots in (by_go, by_us)
    ]

    assert notes[0] == notes[1]
    assert 3 == len(notes[0])


def test_homes_made_by_both_are_the_same(stores: Callable[[], GraphRun]) -> None:
    by_go, by_us = stores(), stores()
    _build(GoStore(*by_go), by_go)
    _build(None, by_us)

    assert _home_listing(by_go.graph) == _home_listing(by_us.graph)


def test_homes_are_the_same_after_mounting_and_writing(stores: Callable[[], GraphRun]) -> None:
    by_go, by_us = stores(), stores()
    go = GoStore(*by_go)
    _build(go, by_go)
    _build(None, by_us)
    store = _open(by_us)

    for path in (go.out("mount", layer_id(3)), store.mount(layer_id(3))):
        with open(f"{path}/f", "wb"):
            pass
    go.run("unmount", layer_id(3))
    store.unmount(layer_id(3))

    merged = f"./{layer_id(3)}/merged"
    # Debian's removes `merged` when unmounting; the newest keep it, as we do.
    ours = [entry for entry in _home_listing(by_us.graph) if entry[0] != merged]
    assert _home_listing(by_go.graph) == ours


@pytest.mark.parametrize("mountopt", ["", "nodev"])
def test_what_one_wrote_the_other_shows(graph_run: GraphRun, mountopt: str) -> None:
    options = [f"overlay.mountopt={mountopt}"] if mountopt else []
    go, store = GoStore(*graph_run, options=options), _open(graph_run, "overlay", *options)
    go.run("create-layer", "--id", layer_id(1))
    fill(go.out("mount", layer_id(1)))
    go.run("unmount", layer_id(1))

    store.create_layer(parent=layer_id(1), layer_id=layer_id(2))
    with mounted(store.driver, layer_id(2)) as top:
        os.unlink(f"{top}/sparse")
        os.rename(f"{top}/dangling", f"{top}/moved")
        ours = manifest(top)
    go.run("create-layer", "--id", layer_id(3), layer_id(2))
    theirs = manifest(go.out("mount", layer_id(3)))
    go.run("unmount", layer_id(3))
    with viewed(store.driver, layer_id(3), f"{graph_run.run}/view") as view:
        viewed_by_us = manifest(view)

    assert ours == theirs == viewed_by_us


def test_a_mount_made_by_one_is_known_to_the_other(graph_run: GraphRun, go_store: GoStore) -> None:
    store = _open(graph_run)
    store.create_layer(layer_id=layer_id(1))

    path = go_store.out("mount", layer_id(1))

    assert store.driver.is_mounted(layer_id(1))
    assert path == store.driver.mount(layer_id(1), MountOptions())
    go_store.run("unmount", layer_id(1))
    assert not store.driver.is_mounted(layer_id(1))
    with mounted(store.driver, layer_id(1)) as top:
        assert path == top


def test_after_a_shutdown_by_one_the_other_goes_on(graph_run: GraphRun, go_store: GoStore) -> None:
    store = _open(graph_run)
    store.create_layer(layer_id=layer_id(1))

    go_store.run("shutdown")
    shut_down = mounts_below(graph_run.graph)
    with mounted(store.driver, layer_id(1)):
        mounts_of_ours = mounts_below(graph_run.graph)
    store.driver.cleanup()
    go_store.run("mount", layer_id(1))
    go_store.run("unmount", layer_id(1))

    assert [] == shut_down
    assert [store.driver.home, f"{store.driver.home}/{layer_id(1)}/merged"] == mounts_of_ours


def test_links_lost_by_one_are_made_anew_by_the_other(
    graph_run: GraphRun, go_store: GoStore
) -> None:
    store = _open(graph_run)
    _build(go_store, graph_run)

    for by_us in (True, False):
        for name in os.listdir(f"{store.driver.home}/l"):
            os.unlink(f"{store.driver.home}/l/{name}")
        if by_us:
            with mounted(store.driver, layer_id(3)):
                pass
        else:
            go_store.run("mount", layer_id(3))
            go_store.run("unmount", layer_id(3))
        assert 3 == len(os.listdir(f"{store.driver.home}/l"))


def test_a_chain_of_100_layers_of_ours_is_mounted_by_debians(
    graph_run: GraphRun, go_store: GoStore
) -> None:
    store = _open(graph_run)
    for number in range(1, 101):
        store.create_layer(
            parent=layer_id(number - 1) if number > 1 else "", layer_id=layer_id(number)
        )
        with open(f"{store.driver.diff_path(layer_id(number))}/f{number}", "wb"):
            pass

    shown = os.listdir(go_store.out("mount", layer_id(100)))
    go_store.run("unmount", layer_id(100))

    assert 100 == len(shown)


def test_a_volatile_mount_of_one_is_no_obstacle_to_the_other(
    graph_run: GraphRun, go_store: GoStore
) -> None:
    store = _open(graph_run)
    store.create_layer(layer_id=layer_id(1))

    options = MountOptions(volatile=True)
    with mounted(store.driver, layer_id(1), options) as top, open(f"{top}/f", "wb"):
        pass
    shown = os.listdir(go_store.out("mount", layer_id(1)))
    go_store.run("unmount", layer_id(1))

    assert ["f"] == shown


def test_vfs_children_of_both_are_the_same(graph_run: GraphRun) -> None:
    go, store = GoStore(*graph_run, driver="vfs"), _open(graph_run, "vfs")
    go.run("create-layer", "--id", layer_id(1))
    fill(f"{store.driver.home}/dir/{layer_id(1)}")
    # Debian's makes no copy of a socket, and fails then.
    os.unlink(f"{store.driver.home}/dir/{layer_id(1)}/socket")

    go.run("create-layer", "--id", layer_id(2), layer_id(1))
    store.create_layer(parent=layer_id(1), layer_id=layer_id(3))

    parent, theirs, ours = (
        manifest(f"{store.driver.home}/dir/{layer_id(number)}") for number in (1, 2, 3)
    )
    assert parent == ours
    assert theirs == ours
    assert 0o40700 == os.stat(f"{store.driver.home}/dir").st_mode


def test_vfs_homes_made_by_both_are_the_same(stores: Callable[[], GraphRun]) -> None:
    by_go, by_us = stores(), stores()
    GoStore(*by_go, driver="vfs").run("create-layer", "--id", layer_id(1))
    _open(by_us, "vfs").create_layer(layer_id=layer_id(1))

    homes = [manifest(f"{roots.graph}/vfs", with_directory_times=False) for roots in (by_go, by_us)]

    assert homes[0] == homes[1]


def test_vfs_status_is_the_same(graph_run: GraphRun) -> None:
    ours = [f"{key}: {value}" for key, value in _open(graph_run, "vfs").status()]

    assert GoStore(*graph_run, driver="vfs").run("status").stderr.splitlines() == ours
