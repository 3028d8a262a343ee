"""Limits of btrfs layers: set, in force, in force with Debian's tools, and refused."""

import errno
import os
import subprocess
from collections.abc import Iterator

import pytest

from holdfs.drivers.base import DriverError
from tests.conftest import GraphRun
from tests.drivers.btrfs_roots import btrfs_roots, open_btrfs, open_btrfs_store
from tests.drivers.suite import WRITABLE, layer_id, mounted
from tests.needs import loop_mounted, needs
from tests.peers import GoStore

pytestmark = needs("root", "btrfs")


@pytest.fixture
def quota_roots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GraphRun]:
    """Give an empty pair of roots on a btrfs of its own, on which quotas can be switched on."""
    directory = str(tmp_path_factory.mktemp("quota"))
    with loop_mounted("btrfs", directory) as top, btrfs_roots(top) as made:
        yield made
    os.unlink(f"{directory}/btrfs.img")


def _fill_up(path: str, size: int) -> None:
    with open(path, "wb", buffering=0) as file:
        for _ in range(size // (1 << 20)):
            file.write(os.urandom(1 << 20))
        os.fsync(file.fileno())


def test_a_limited_layer_takes_no_more(quota_roots: GraphRun) -> None:
    driver = open_btrfs(quota_roots)
    driver.create(layer_id(1), "")
    driver.create(layer_id(2), layer_id(1), storage_options=["size=20M"])

    with mounted(driver, layer_id(2)) as top:
        _fill_up(f"{top}/fits", 8 << 20)
        with pytest.raises(OSError) as raised:
            _fill_up(f"{top}/does-not", 32 << 20)

    assert errno.EDQUOT == raised.value.errno
    with open(f"{driver.home}/quotas/{layer_id(2)}", "rb") as file:
        assert b"%d" % (20 << 20) == file.read()
    assert 0o100644 == os.stat(f"{driver.home}/quotas/{layer_id(2)}").st_mode
    driver.remove(layer_id(2))
    assert [] == os.listdir(f"{driver.home}/quotas")


def test_a_limit_is_in_force_again_at_the_next_mount(quota_roots: GraphRun) -> None:
    driver = open_btrfs(quota_roots)
    driver.create(layer_id(1), "", storage_options=["size=20M"])
    subprocess.run(["btrfs", "quota", "disable", quota_roots.graph], check=True, timeout=20)

    with mounted(driver, layer_id(1)) as top, pytest.raises(OSError) as raised:
        _fill_up(f"{top}/too-much", 40 << 20)

    assert errno.EDQUOT == raised.value.errno


def test_groups_of_removed_layers_do_not_stay(quota_roots: GraphRun) -> None:
    driver = open_btrfs(quota_roots, "btrfs.min_space=1M")
    driver.create(layer_id(1), "")
    before = _groups(quota_roots.graph)
    driver.create(layer_id(2), layer_id(1), storage_options=["size=10M"])
    made = _groups(quota_roots.graph) - before

    driver.remove(layer_id(2))

    assert 1 == len(made)
    assert before == _groups(quota_roots.graph)


def _groups(top: str) -> set[str]:
    # Newer kernels keep a group until all of its subvolume is gone, and remove it then.
    subprocess.run(
        ["btrfs", "subvolume", "sync", top], stdout=subprocess.DEVNULL, check=True, timeout=60
    )
    listed = subprocess.run(
        ["btrfs", "qgroup", "show", "--sync", top],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return {line.split()[0] for line in listed.stdout.splitlines() if line.startswith("0/")}


@pytest.mark.parametrize(
    "options, wanted, words",
    [
        (["btrfs.min_space=10M"], "size=1M", "btrfs: storage size cannot be less than 10.49MB"),
        ([], "size=0", "btrfs: invalid storage size: 0B"),
        ([], "size=much", "invalid size: 'much'"),
        ([], "inodes=3", 'unknown option inodes ("3")'),
        ([], "size", "unable to parse key/value option: size"),
    ],
)
def test_limits_that_can_not_be_are_refused(
    quota_roots: GraphRun, options: list[str], wanted: str, words: str
) -> None:
    driver = open_btrfs(quota_roots, *options)

    with pytest.raises(DriverError) as raised:
        driver.create(layer_id(1), "", storage_options=[wanted])

    assert words == raised.value.words
    assert [] == driver.list_layers()


def test_the_drivers_own_limit_is_that_of_written_layers(quota_roots: GraphRun) -> None:
    driver = open_btrfs(quota_roots, "btrfs.size=50M")
    driver.create(layer_id(1), "", read_only=True)
    driver.create(layer_id(2), layer_id(1))
    driver.create(layer_id(3), layer_id(1), storage_options=["size=60M"])

    sizes = {}
    for name in sorted(os.listdir(f"{driver.home}/quotas")):
        with open(f"{driver.home}/quotas/{name}", encoding="ascii") as file:
            sizes[name] = int(file.read())

    assert {layer_id(2): 50 << 20, layer_id(3): 60 << 20} == sizes


@needs("containers-storage")
def test_limits_on_disk_are_in_force_with_both(quota_roots: GraphRun) -> None:
    go, store = GoStore(*quota_roots, driver="btrfs"), open_btrfs_store(quota_roots)
    store.create_layer(layer_id=layer_id(1))
    store.driver.create(layer_id(2), layer_id(1), storage_options=["size=20M"])
    go.run("create-layer", "--id", layer_id(3), layer_id(1))
    with open(f"{store.driver.home}/quotas/{layer_id(3)}", "w", encoding="ascii") as file:
        file.write(str(20 << 20))

    for top in (
        go.out("mount", layer_id(3)),
        store.driver.mount(layer_id(2), WRITABLE),
    ):
        with pytest.raises(OSError) as raised:
            _fill_up(f"{top}/too-much", 40 << 20)
        assert errno.EDQUOT == raised.value.errno
    go.run("unmount", layer_id(3))
    go.run("delete-layer", layer_id(3))
    assert [layer_id(2)] == os.listdir(f"{store.driver.home}/quotas")
    store.driver.cleanup()
