"""btrfs keeps the promises of every driver, and what only it promises."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from holdfs.drivers import open_driver
from holdfs.drivers.base import DriverError, DriverNotSupported, MountOptions
from holdfs.native import btrfs as native
from holdfs.native.mount import umount
from tests.conftest import GraphRun
from tests.drivers.btrfs_roots import btrfs_roots, open_btrfs
from tests.drivers.conformance import DriverConformance
from tests.drivers.suite import WRITABLE, layer_id, mounted
from tests.needs import needs

pytestmark = needs("root", "btrfs")


@pytest.fixture
def roots(loop_top: Callable[[str], str]) -> Iterator[GraphRun]:
    """Give an empty pair of roots on btrfs."""
    with btrfs_roots(loop_top("btrfs")) as made:
        yield made


def _subvolumes(top: str) -> set[str]:
    listed = subprocess.run(
        ["btrfs", "subvolume", "list", top], capture_output=True, text=True, check=True, timeout=20
    )
    return {line.split(" path ")[1] for line in listed.stdout.splitlines()}


class TestBtrfs(DriverConformance):
    driver_name = "btrfs"
    owns_by_maps = False

    @pytest.fixture
    def any_roots(self, roots: GraphRun) -> GraphRun:
        return roots


# -- where it works ----------------------------------------------------------------------------


def test_elsewhere_it_is_refused_and_leaves_nothing(graph_run: GraphRun) -> None:
    with pytest.raises(DriverNotSupported) as raised:
        open_btrfs(graph_run)

    assert raised.value.words == (
        f'"{graph_run.graph}/btrfs" is not on a btrfs filesystem: '
        "prerequisites for driver not satisfied (wrong filesystem?)"
    )
    assert [] == os.listdir(graph_run.graph)


def test_state_that_is_there_chooses_it(roots: GraphRun) -> None:
    open_btrfs(roots)

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
        open_btrfs(roots, option)

    assert words == raised.value.words


def test_mount_options_but_ro_are_refused(roots: GraphRun) -> None:
    driver = open_btrfs(roots)
    driver.create(layer_id(1), "")

    driver.mount(layer_id(1), MountOptions(options=("ro",)))
    with pytest.raises(DriverError, match="btrfs driver does not support mount options"):
        driver.mount(layer_id(1), MountOptions(options=("nodev",)))


# -- subvolumes --------------------------------------------------------------------------------


def test_layers_are_subvolumes_that_share_their_data(roots: GraphRun) -> None:
    driver = open_btrfs(roots)
    driver.create(layer_id(1), "")
    driver.create(layer_id(2), layer_id(1))

    for number in (1, 2):
        shown = os.stat(driver.mount_point(layer_id(number)))
        assert (256, 0o40555, 0, 0) == (shown.st_ino, shown.st_mode, shown.st_uid, shown.st_gid)
        assert f"{driver.home}/subvolumes/{layer_id(number)}" == driver.mount_point(
            layer_id(number)
        )


def test_subvolumes_made_in_a_layer_go_with_it(roots: GraphRun) -> None:
    driver = open_btrfs(roots)
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
    driver = open_btrfs(roots)
    os.makedirs(f"{driver.home}/subvolumes/{layer_id(1)}/d")

    driver.remove(layer_id(1))

    assert [] == driver.list_layers()


def test_a_child_of_a_layer_with_subvolumes_has_none_of_them(roots: GraphRun) -> None:
    driver = open_btrfs(roots)
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


def test_cleanup_undoes_the_private_mount_that_others_made(roots: GraphRun) -> None:
    driver = open_btrfs(roots)
    subprocess.run(["mount", "--bind", driver.home, driver.home], check=True, timeout=20)

    driver.cleanup()

    with pytest.raises(OSError):
        umount(driver.home)
