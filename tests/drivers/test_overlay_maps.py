"""Overlay layers as containers with ID maps see them: by mapped lowers, or by a changed tree."""

import os
from collections.abc import Callable

import pytest

from holdfs.drivers.base import Driver, DriverError, MountOptions
from tests.conftest import GraphRun
from tests.drivers.manifest import fill, manifest
from tests.drivers.overlays import mount_line, open_overlay
from tests.drivers.suite import GIDMAP, UIDMAP, layer_id, mapped, mounted
from tests.mounts import mounts_below
from tests.needs import needs
from tests.peers import GoStore

pytestmark = needs("root", "overlay")

_SHIFTED = MountOptions(uidmap=UIDMAP, gidmap=GIDMAP)


@pytest.fixture
def driver(graph_run: GraphRun) -> Driver:
    """Give a driver with a full base layer and a child of it."""
    driver = open_overlay(graph_run)
    driver.create(layer_id(1), "")
    with mounted(driver, layer_id(1)) as top:
        fill(top)
    driver.create(layer_id(2), layer_id(1))
    return driver


@needs("idmap")
def test_a_container_sees_its_own_owners_and_nothing_is_changed(driver: Driver) -> None:
    with mounted(driver, layer_id(1)) as top:
        before = manifest(top)

    with mounted(driver, layer_id(2), _SHIFTED) as top:
        shown = manifest(top)
        line = mount_line(top)

    assert (100_000, 200_000) == shown.pop(".")[1]
    expected = mapped(before)
    expected.pop(".")
    # The kernel shows a capability as one of the namespace's root, which counts in there alone.
    with_capability = shown["./etc/set-id"][5]
    assert (100_000).to_bytes(4, "little") == with_capability["security.capability"][-4:]
    with_capability.update(expected["./etc/set-id"][5])
    assert expected == shown
    assert f"/{layer_id(2)}/mapped/0/l/" in line
    assert [] == os.listdir(driver.diff_path(layer_id(2)))
    assert [] == os.listdir(f"{driver.home}/{layer_id(2)}/mapped/0")
    assert [driver.home] == mounts_below(driver.home)


@needs("idmap")
def test_what_a_container_writes_has_the_hosts_ids(driver: Driver) -> None:
    with mounted(driver, layer_id(2), _SHIFTED) as top:
        os.chmod(f"{top}/etc/secret", 0o640)
        with open(f"{top}/new", "wb"):
            os.chown(f"{top}/new", 100_005, 200_005)

    upper = driver.diff_path(layer_id(2))
    copied, new = os.stat(f"{upper}/etc/secret"), os.stat(f"{upper}/new")
    assert (101_000, 300_991) == (copied.st_uid, copied.st_gid)
    assert (100_005, 200_005) == (new.st_uid, new.st_gid)


@needs("idmap")
def test_lowers_of_two_homes_are_mapped_each(driver: Driver, graph_run: GraphRun) -> None:
    other = GraphRun(f"{graph_run.graph}/other", f"{graph_run.graph}/other-run")
    for root in other:
        os.mkdir(root)
    reader = open_overlay(other, f"overlay.imagestore={graph_run.graph}")
    reader.create(layer_id(3), layer_id(1))
    with mounted(reader, layer_id(3)) as top, open(f"{top}/mine", "wb"):
        pass
    reader.create(layer_id(4), layer_id(3))

    with mounted(reader, layer_id(4), _SHIFTED) as top:
        owners = [os.stat(f"{top}/{name}").st_uid for name in ("mine", "etc", "etc/secret")]

    reader.cleanup()
    assert [100_000, 100_000, 101_000] == owners


@needs("idmap")
def test_layers_that_had_their_owners_changed_can_be_mapped(driver: Driver) -> None:
    driver.change_owner(
        layer_id(2), old_uidmap=(), old_gidmap=(), new_uidmap=((0, 5, 9_999),), new_gidmap=()
    )
    driver.create(layer_id(3), layer_id(2))

    with mounted(driver, layer_id(3), _SHIFTED) as top:
        assert 101_005 == os.stat(f"{top}/etc/secret").st_uid


@needs("idmap")
def test_a_failed_mount_leaves_no_mapped_one(driver: Driver) -> None:
    options = MountOptions(uidmap=UIDMAP, gidmap=GIDMAP, options=("nonsense",))

    with pytest.raises(DriverError, match="nonsense"):
        driver.mount(layer_id(2), options)

    assert [driver.home] == mounts_below(driver.home)


@needs("idmap")
def test_shifting_is_found_out_noted_and_can_be_switched_off(
    driver: Driver, graph_run: GraphRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert driver.supports_shifting(UIDMAP, GIDMAP)
    assert ("Supports shifting", "true") in driver.status()
    assert os.path.exists(f"{graph_run.run}/overlay/idmapped-lower-dir-true")

    monkeypatch.setenv("_CONTAINERS_OVERLAY_DISABLE_IDMAP", "yes")

    assert not driver.supports_shifting(UIDMAP, GIDMAP)
    assert ("Supports shifting", "false") in driver.status()
    with mounted(driver, layer_id(2), _SHIFTED) as top:
        assert 1000 == os.stat(f"{top}/etc/secret").st_uid


def test_a_changed_tree_lies_under_a_new_and_empty_diff(driver: Driver) -> None:
    driver.change_owner(
        layer_id(2), old_uidmap=(), old_gidmap=(), new_uidmap=UIDMAP, new_gidmap=GIDMAP
    )

    directory = f"{driver.home}/{layer_id(2)}"
    shown = os.stat(f"{directory}/diff")
    assert [] == os.listdir(f"{directory}/diff")
    assert (0o40555, 100_000, 200_000) == (shown.st_mode, shown.st_uid, shown.st_gid)
    assert "secret" in os.listdir(f"{directory}/diff1/etc")
    assert driver.diff_parent_is_native(layer_id(2), layer_id(1))
    driver.change_owner(
        layer_id(2), old_uidmap=UIDMAP, old_gidmap=GIDMAP, new_uidmap=(), new_gidmap=()
    )
    assert {"diff", "diff1", "diff2"} <= set(os.listdir(directory))


@needs("containers-storage")
def test_changed_trees_of_both_are_the_same(stores: Callable[[], GraphRun]) -> None:
    by_go, by_us = stores(), stores()
    for roots in (by_go, by_us):
        os.mkdir(f"{roots.run}/overlay")
        with open(f"{roots.run}/overlay/idmapped-lower-dir-false", "wb"):
            pass
    go, driver = GoStore(*by_go), open_overlay(by_us)
    go.run("create-layer", "--id", layer_id(1))
    driver.create(layer_id(1), "")
    for top in (f"{by_go.graph}/overlay/{layer_id(1)}/diff", driver.diff_path(layer_id(1))):
        fill(top)

    maps = [":".join(str(n) for line in ranges for n in line) for ranges in (UIDMAP, GIDMAP)]
    go.run(
        "create-layer", "--uidmap", maps[0], "--gidmap", maps[1], "--id", layer_id(2), layer_id(1)
    )
    driver.create(layer_id(2), layer_id(1), uidmap=UIDMAP, gidmap=GIDMAP)
    driver.change_owner(
        layer_id(2), old_uidmap=(), old_gidmap=(), new_uidmap=UIDMAP, new_gidmap=GIDMAP
    )

    homes = [manifest(f"{roots.graph}/overlay/{layer_id(2)}") for roots in (by_go, by_us)]
    for home in homes:
        for name in ("./link", "./lower"):
            home.pop(name)  # random
        home.pop("./merged", None)  # Debian's removes it
    assert _plain(homes[0]) == _plain(homes[1])


def _plain(shown: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    """Leave out times of directories, which the Go tools change, and the kernel's own marks."""
    found: dict[str, tuple[object, ...]] = {}
    for path, (mode, owner, device, time_ns, content, xattrs, same) in shown.items():
        assert isinstance(mode, int) and isinstance(xattrs, dict)
        marks = {name: value for name, value in xattrs.items() if ".overlay." not in name}
        has_time = path.startswith("./diff1/") and mode & 0o170000 != 0o040000
        found[path] = (mode, owner, device, time_ns if has_time else 0, content, marks, same)
    return found


@needs("idmap", "containers-storage")
def test_a_containers_mount_by_both_is_the_same(stores: Callable[[], GraphRun]) -> None:
    roots = stores()
    go, driver = GoStore(*roots), open_overlay(roots)
    go.run("create-layer", "--id", layer_id(1))
    fill(driver.diff_path(layer_id(1)))
    go.run("create-image", "--id", layer_id(5), layer_id(1))
    go.run(
        "create-container", "--uidmap", "0:100000:65536", "--gidmap", "0:200000:65536",
        "--id", layer_id(6), layer_id(5),
    )  # fmt: skip
    theirs = go.out("mount", layer_id(6))
    by_go = manifest(theirs)
    go.run("unmount", layer_id(6))
    layer = os.path.basename(os.path.dirname(theirs))

    options = MountOptions(uidmap=((0, 100_000, 65_536),), gidmap=((0, 200_000, 65_536),))
    with mounted(driver, layer, options) as top:
        assert theirs == top
        by_us = manifest(top)

    # Debian's leaves the top to the host's root, whom the container does not know.
    assert ((0, 0), (100_000, 200_000)) == (by_go.pop(".")[1], by_us.pop(".")[1])
    assert by_go == by_us
