"""btrfs keeps the promises of every driver, and what only it promises."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from tempfile import TemporaryDirectory

import pytest

from holdfs.core.config import load_options
from holdfs.core.store import Store
from holdfs.drivers import open_driver
from holdfs.drivers.base import Driver, DriverError, DriverNotSupported, MountOptions
from holdfs.native import btrfs as native
from holdfs.native.mount import umount
from tests.conftest import GraphRun
from tests.drivers.conformance import (
    GIDMAP,
    UIDMAP,
    WRITABLE,
    DriverConformance,
    layer_id,
    mounted,
)
from tests.drivers.manifest import fill, manifest
from tests.mounts import unmount_below
from tests.needs import loop_mounted, needs
from tests.peers import GoStore

pytestmark = needs("root", "btrfs")


@pytest.fixture
def roots(loop_top: Callable[[str], str]) -> Iterator[GraphRun]:
    """Give an empty pair of roots on btrfs."""
    with TemporaryDirectory(prefix="holdfs", dir=loop_top("btrfs")) as top:
        yield _make_roots(top)
        left = unmount_below(top)
        assert not left, f"left mounted: {left}"


@pytest.fixture
def quota_roots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GraphRun]:
    """Give an empty pair of roots on a btrfs of its own, on which quotas can be switched on."""
    directory = str(tmp_path_factory.mktemp("quota"))
    with loop_mounted("btrfs", directory) as top:
        for name in ("graph", "run"):
            os.mkdir(f"{top}/{name}", 0o700)
        yield GraphRun(f"{top}/graph", f"{top}/run")
    os.unlink(f"{directory}/btrfs.img")


def _open(roots: GraphRun, *options: str) -> Driver:
    return open_driver("btrfs", graph_root=roots.graph, run_root=roots.run, options=options)


def _subvolumes(top: str) -> set[str]:
    listed = subprocess.run(
        ["btrfs", "subvolume", "list", top], capture_output=True, text=True, check=True, timeout=20
    )
    return {line.split(" path ")[1] for line in listed.stdout.splitlines()}


def _fill_up(path: str, size: int) -> None:
    with open(path, "wb", buffering=0) as file:
        for _ in range(size // (1 << 20)):
            file.write(os.urandom(1 << 20))
        os.fsync(file.fileno())


class TestBtrfs(DriverConformance):
    driver_name = "btrfs"
    owns_by_maps = False

    @pytest.fixture
    def any_roots(self, roots: GraphRun) -> GraphRun:
        return roots


# -- where it works ----------------------------------------------------------------------------


def test_elsewhere_it_is_refused_and_leaves_nothing(graph_run: GraphRun) -> None:
    with pytest.raises(DriverNotSupported) as raised:
        _open(graph_run)

    assert raised.value.words == (
        f'"{graph_run.graph}/btrfs" is not on a btrfs filesystem: '
        "prerequisites for driver not satisfied (wrong filesystem?)"
    )
    assert [] == os.listdir(graph_run.graph)


def test_state_that_is_there_chooses_it(roots: GraphRun) -> None:
    _open(roots)

    chosen = open_driver("", graph_root=roots.graph, run_root=roots.run, options=())

    assert "btrfs" == chosen.name


@pytest.mark.parametrize(
    "option, words",
    [
        ("btrfs.mountopt=nodev", "btrfs driver does not support mount options"),
        ("btrfs.foo=1", 'unknown option "foo" ("btrfs.foo=1")'),
        ("btrfs.min_space=x", "invalid size: 'x'"),
    ],
)
def test_wrong_options_are_refused(roots: GraphRun, option: str, words: str) -> None:
    with pytest.raises(DriverError) as raised:
        _open(roots, option)

    assert words == raised.value.words


def test_mount_options_but_ro_are_refused(roots: GraphRun) -> None:
    driver = _open(roots)
    driver.create(layer_id(1), "")

    driver.mount(layer_id(1), MountOptions(options=("ro",)))
    with pytest.raises(DriverError, match="btrfs driver does not support mount options"):
        driver.mount(layer_id(1), MountOptions(options=("nodev",)))


# -- subvolumes --------------------------------------------------------------------------------


def test_layers_are_subvolumes_that_share_their_data(roots: GraphRun) -> None:
    driver = _open(roots)
    driver.create(layer_id(1), "")
    driver.create(layer_id(2), layer_id(1))

    for number in (1, 2):
        shown = os.stat(driver.mount_point(layer_id(number)))
        assert (256, 0o40555, 0, 0) == (shown.st_ino, shown.st_mode, shown.st_uid, shown.st_gid)
        assert f"{driver.home}/subvolumes/{layer_id(number)}" == driver.mount_point(
            layer_id(number)
        )


def test_subvolumes_made_in_a_layer_go_with_it(roots: GraphRun) -> None:
    driver = _open(roots)
    driver.create(layer_id(1), "")
    driver.create(layer_id(2), layer_id(1))
    top = driver.mount(layer_id(2), WRITABLE)
    os.makedirs(f"{top}/a/b")
    for path in ("a/one", "a/b/two"):
        subprocess.run(
            ["btrfs", "-q", "subvolume", "create", f"{top}/{path}"], check=True, timeout=20
        )
    os.mkdir(f"{top}/a/one/deep")
    for number in range(300):
        fd = os.open(f"{top}/a/one/deep", os.O_RDONLY)
        native.create_subvolume(fd, f"n{number}")
        os.close(fd)
    with open(f"{top}/a/one/deep/n0/file", "wb"):
        pass
    before = len(_subvolumes(roots.graph))

    driver.remove(layer_id(2))

    assert 303 == before - len(_subvolumes(roots.graph))
    assert [layer_id(1)] == driver.list_layers()


def test_a_layer_that_is_a_plain_directory_is_removed_too(roots: GraphRun) -> None:
    driver = _open(roots)
    os.makedirs(f"{driver.home}/subvolumes/{layer_id(1)}/d")

    driver.remove(layer_id(1))

    assert [] == driver.list_layers()


def test_a_child_of_a_layer_with_subvolumes_has_none_of_them(roots: GraphRun) -> None:
    driver = _open(roots)
    driver.create(layer_id(1), "")
    top = driver.mount(layer_id(1), WRITABLE)
    subprocess.run(["btrfs", "-q", "subvolume", "create", f"{top}/inner"], check=True, timeout=20)
    with open(f"{top}/inner/file", "wb"):
        pass

    driver.create(layer_id(2), layer_id(1))

    with mounted(driver, layer_id(2)) as child:
        assert [] == os.listdir(f"{child}/inner")
    driver.remove(layer_id(2))
    assert ["file"] == os.listdir(f"{top}/inner")


def test_no_name_that_is_too_long_reaches_the_kernel(roots: GraphRun) -> None:
    fd = os.open(roots.graph, os.O_RDONLY)
    for act in (native.create_subvolume, native.destroy_subvolume):
        for name in ("x" * 256, ""):
            with pytest.raises(OSError) as raised:
                act(fd, name)
            assert errno.ENAMETOOLONG == raised.value.errno
    os.close(fd)


_IN_A_NAMESPACE = """
import os, sys
from holdfs.drivers import open_driver
from holdfs.drivers.base import MountOptions
graph, run = sys.argv[1:]
driver = open_driver("btrfs", graph_root=graph, run_root=run, options=())
driver.create("a" * 64, "")
driver.create("b" * 64, "a" * 64)
os.mkdir(driver.mount("b" * 64, MountOptions()) + "/d")
driver.create("c" * 64, "b" * 64)
print(os.listdir(driver.mount_point("c" * 64)), len(driver.list_layers()))
for name in "cba":
    driver.remove(name * 64)
print(driver.list_layers())
"""


@needs("userns")
def test_in_a_user_namespace_layers_are_made_and_removed(roots: GraphRun) -> None:
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", _IN_A_NAMESPACE,
         *roots],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert "['d'] 3\n[]\n" == done.stdout, done.stderr


# -- limits ------------------------------------------------------------------------------------


def test_a_limited_layer_takes_no_more(quota_roots: GraphRun) -> None:
    driver = _open(quota_roots)
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
    driver = _open(quota_roots)
    driver.create(layer_id(1), "", storage_options=["size=20M"])
    subprocess.run(["btrfs", "quota", "disable", quota_roots.graph], check=True, timeout=20)

    with mounted(driver, layer_id(1)) as top, pytest.raises(OSError) as raised:
        _fill_up(f"{top}/too-much", 40 << 20)

    assert errno.EDQUOT == raised.value.errno


def test_groups_of_removed_layers_do_not_stay(quota_roots: GraphRun) -> None:
    driver = _open(quota_roots, "btrfs.min_space=1M")
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
    driver = _open(quota_roots, *options)

    with pytest.raises(DriverError) as raised:
        driver.create(layer_id(1), "", storage_options=[wanted])

    assert words == raised.value.words
    assert [] == driver.list_layers()


def test_the_drivers_own_limit_is_that_of_written_layers(quota_roots: GraphRun) -> None:
    driver = _open(quota_roots, "btrfs.size=50M")
    driver.create(layer_id(1), "", read_only=True)
    driver.create(layer_id(2), layer_id(1))
    driver.create(layer_id(3), layer_id(1), storage_options=["size=60M"])

    sizes = {}
    for name in sorted(os.listdir(f"{driver.home}/quotas")):
        with open(f"{driver.home}/quotas/{name}", encoding="ascii") as file:
            sizes[name] = int(file.read())

    assert {layer_id(2): 50 << 20, layer_id(3): 60 << 20} == sizes


def test_cleanup_undoes_the_private_mount_that_others_made(roots: GraphRun) -> None:
    driver = _open(roots)
    subprocess.run(["mount", "--bind", driver.home, driver.home], check=True, timeout=20)

    driver.cleanup()

    with pytest.raises(OSError):
        umount(driver.home)


# -- beside the Go tools -----------------------------------------------------------------------


@needs("containers-storage")
def test_status_is_the_same(roots: GraphRun) -> None:
    store = _store(roots)
    ours = [f"{key}: {value}" for key, value in store.status()]

    theirs = GoStore(*roots, driver="btrfs").run("status").stderr.splitlines()

    store.driver.cleanup()
    assert theirs == ours


@needs("containers-storage")
def test_homes_made_by_both_are_the_same(
    loop_top: Callable[[str], str],
) -> None:
    homes = []
    for by_go in (True, False):
        with TemporaryDirectory(prefix="holdfs", dir=loop_top("btrfs")) as top:
            roots = _make_roots(top)
            go, store = GoStore(*roots, driver="btrfs"), _store(roots)
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


@needs("containers-storage")
def test_what_one_wrote_the_other_shows_and_removes(roots: GraphRun) -> None:
    go, store = GoStore(*roots, driver="btrfs"), _store(roots)
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


@needs("containers-storage")
def test_changed_trees_of_both_are_the_same(roots: GraphRun) -> None:
    go, store = GoStore(*roots, driver="btrfs"), _store(roots)
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


@needs("containers-storage")
def test_limits_on_disk_are_in_force_with_both(quota_roots: GraphRun) -> None:
    go, store = GoStore(*quota_roots, driver="btrfs"), _store(quota_roots)
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


def _store(roots: GraphRun) -> Store:
    return Store.open(load_options(graph_root=roots.graph, run_root=roots.run, driver="btrfs"))


def _make_roots(top: str) -> GraphRun:
    roots = GraphRun(f"{top}/graph", f"{top}/run")
    for directory in roots:
        os.mkdir(directory, 0o700)
    return roots
