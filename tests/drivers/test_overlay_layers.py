"""Overlay layers on disk and mounted: bytes, lost links, options, kernel quirks."""

import errno
import os
import stat
import subprocess
import sys

import pytest

from holdfs.drivers.base import Driver, DriverError, MountOptions
from holdfs.drivers.overlay.links import recover_links
from holdfs.native.mount import mount, umount
from tests.conftest import GraphRun
from tests.drivers.conformance import layer_id, mounted
from tests.drivers.overlays import mount_line, open_overlay
from tests.needs import needs

pytestmark = needs("root", "overlay")


@pytest.fixture
def driver(graph_run: GraphRun) -> Driver:
    """Give a driver with a chain of three layers, file f<n> in the diff of layer n."""
    driver = open_overlay(graph_run)
    parent = ""
    for number in (1, 2, 3):
        driver.create(layer_id(number), parent)
        parent = layer_id(number)
        with open(f"{driver.diff_path(parent)}/f{number}", "wb"):
            pass
    return driver


def _read(driver: Driver, number: int, name: str) -> str:
    with open(f"{driver.home}/{layer_id(number)}/{name}", encoding="ascii") as file:
        return file.read()


def _shown(driver: Driver, number: int, options: MountOptions | None = None) -> list[str]:
    with mounted(driver, layer_id(number), options or MountOptions()) as top:
        return sorted(os.listdir(top))


def _mount_line(driver: Driver, number: int, options: MountOptions) -> str:
    with mounted(driver, layer_id(number), options) as top:
        return mount_line(top)


# -- on disk -----------------------------------------------------------------------------------


def test_directories_and_files_are_those_of_the_go_tools(driver: Driver) -> None:
    base = f"{driver.home}/{layer_id(1)}"
    child = f"{driver.home}/{layer_id(2)}"

    assert {"diff", "empty", "link", "merged", "work"} == set(os.listdir(base))
    assert {"diff", "link", "lower", "merged", "work"} == set(os.listdir(child))
    for name, mode in (
        ("", 0o40700),
        ("diff", 0o40555),
        ("work", 0o40700),
        ("merged", 0o40700),
        ("link", 0o100644),
    ):
        assert mode == os.stat(f"{base}/{name}").st_mode
    links = [_read(driver, number, "link") for number in (1, 2, 3)]
    assert f"l/{links[1]}:l/{links[0]}" == _read(driver, 3, "lower")
    assert [f"../{layer_id(n)}/diff" for n in (1, 2, 3)] == [
        os.readlink(f"{driver.home}/l/{link}") for link in links
    ]


def test_a_childs_diff_has_mode_and_owner_of_its_parents(driver: Driver) -> None:
    os.chmod(driver.diff_path(layer_id(3)), 0o2750)
    os.chown(driver.diff_path(layer_id(3)), 1000, 1001)

    driver.create(layer_id(4), layer_id(3))

    shown = os.stat(driver.diff_path(layer_id(4)))
    assert (0o40750, 1000, 1001) == (shown.st_mode, shown.st_uid, shown.st_gid)


def test_removing_a_layer_removes_its_link_and_no_other(driver: Driver) -> None:
    links = {_read(driver, number, "link") for number in (1, 2)}

    driver.remove(layer_id(3))

    assert links == set(os.listdir(f"{driver.home}/l"))


@pytest.mark.parametrize("name", ["l", "staging", "tempdirs", ".has-mount-program", "", ".."])
def test_what_the_home_has_for_itself_is_no_layer(driver: Driver, name: str) -> None:
    before = (sorted(os.listdir(driver.home)), sorted(os.listdir(f"{driver.home}/l")))

    with pytest.raises(DriverError, match="can't be the ID"):
        driver.check_id(name)
    driver.remove(name)

    assert before == (sorted(os.listdir(driver.home)), sorted(os.listdir(f"{driver.home}/l")))


def test_a_link_file_that_names_something_else_removes_nothing_else(driver: Driver) -> None:
    with open(f"{driver.home}/{layer_id(3)}/link", "w", encoding="ascii") as file:
        file.write(f"../{layer_id(1)}/link")

    driver.remove(layer_id(3))

    assert 26 == len(_read(driver, 1, "link"))


def test_what_is_no_layer_is_not_listed(driver: Driver) -> None:
    for name in ("staging", "tempdirs", "compat123"):
        os.mkdir(f"{driver.home}/{name}")

    assert [layer_id(n) for n in (1, 2, 3)] == driver.list_layers()


# -- lost links --------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["one link", "all links", "the directory", "link files", "torn"])
def test_lost_links_are_made_anew_when_they_are_needed(driver: Driver, lost: str) -> None:
    lower = _read(driver, 3, "lower")
    links_dir = f"{driver.home}/l"
    for name in ("staging", "tempdirs"):
        os.mkdir(f"{driver.home}/{name}")  # by newer Go tools; the older ones fail over them
    if lost == "one link":
        os.unlink(f"{links_dir}/{_read(driver, 1, 'link')}")
    elif lost in ("all links", "the directory"):
        for name in os.listdir(links_dir):
            os.unlink(f"{links_dir}/{name}")
    if lost == "the directory":
        os.rmdir(links_dir)
    elif lost == "link files":
        for number in (1, 2):
            os.unlink(f"{driver.home}/{layer_id(number)}/link")
    elif lost == "torn":
        os.truncate(f"{driver.home}/{layer_id(3)}/link", 0)

    driver.create(layer_id(4), layer_id(3))

    assert ["f1", "f2", "f3"] == _shown(driver, 4)
    assert _read(driver, 4, "lower") == f"l/{_read(driver, 3, 'link')}:{lower}"


def test_a_malformed_link_is_replaced(driver: Driver) -> None:
    link = f"{driver.home}/l/{_read(driver, 1, 'link')}"
    os.unlink(link)
    os.symlink("/etc", link)
    os.unlink(f"{driver.home}/l/{_read(driver, 2, 'link')}")

    assert ["f1", "f2", "f3"] == _shown(driver, 3)
    assert f"../{layer_id(1)}/diff" == os.readlink(link)


def test_links_to_layers_that_are_gone_are_removed(driver: Driver) -> None:
    os.symlink(f"../{layer_id(9)}/diff", f"{driver.home}/l/{'A' * 26}")

    recover_links(driver.home)

    assert {_read(driver, n, "link") for n in (1, 2, 3)} == set(os.listdir(f"{driver.home}/l"))


def test_a_layer_with_two_links_keeps_both(driver: Driver) -> None:
    other = "A" * 26
    os.symlink(f"../{layer_id(1)}/diff", f"{driver.home}/l/{other}")
    before = _read(driver, 1, "link")

    recover_links(driver.home)

    assert before == _read(driver, 1, "link")
    assert {other, before} <= set(os.listdir(f"{driver.home}/l"))


def test_a_lower_layer_lost_for_good_is_named(driver: Driver) -> None:
    link = _read(driver, 1, "link")
    driver.remove(layer_id(1))

    with pytest.raises(DriverError, match=link) as raised:
        driver.mount(layer_id(3), MountOptions())

    assert errno.EIO == raised.value.errno


@pytest.mark.parametrize("content", ["/etc", "l/../../x", "l/A:m/B"])
def test_a_lower_file_that_leads_elsewhere_is_refused(driver: Driver, content: str) -> None:
    with open(f"{driver.home}/{layer_id(3)}/lower", "w", encoding="ascii") as file:
        file.write(content)

    with pytest.raises(DriverError, match=layer_id(3)):
        driver.mount(layer_id(3), MountOptions())


def test_more_than_500_lowers_are_too_deep(driver: Driver) -> None:
    with open(f"{driver.home}/{layer_id(3)}/lower", "w", encoding="ascii") as file:
        file.write(":".join([_read(driver, 2, "lower")] * 501))

    with pytest.raises(DriverError) as raised:
        driver.mount(layer_id(3), MountOptions())

    assert "max depth exceeded" == raised.value.words


# -- mounting ----------------------------------------------------------------------------------


def test_deletions_are_stored_as_the_kernel_and_the_go_tools_do(driver: Driver) -> None:
    os.mkdir(f"{driver.diff_path(layer_id(1))}/d")
    with mounted(driver, layer_id(3)) as top:
        os.unlink(f"{top}/f1")
        os.rmdir(f"{top}/d")
        os.mkdir(f"{top}/d")

    content = driver.diff_path(layer_id(3))
    whiteout = os.lstat(f"{content}/f1")
    assert (True, 0) == (stat.S_ISCHR(whiteout.st_mode), whiteout.st_rdev)
    assert b"y" == os.getxattr(f"{content}/d", "trusted.overlay.opaque")


def test_directories_left_by_a_change_of_id_maps_are_shown(driver: Driver) -> None:
    for number, name in ((1, "diff1"), (3, "diff1"), (3, "diff2")):
        os.mkdir(f"{driver.home}/{layer_id(number)}/{name}")
        with open(f"{driver.home}/{layer_id(number)}/{name}/{name}-of-{number}", "wb"):
            pass

    assert ["diff1-of-1", "diff1-of-3", "diff2-of-3", "f1", "f2", "f3"] == _shown(driver, 3)
    assert driver.has_content(layer_id(3))


def test_directories_that_are_missing_are_made(driver: Driver) -> None:
    for number, name in ((2, "merged"), (2, "work"), (1, "empty")):
        os.rmdir(f"{driver.home}/{layer_id(number)}/{name}")

    assert ["f1", "f2"] == _shown(driver, 2)
    assert ["f1"] == _shown(driver, 1)


def test_configured_options_count_unless_the_mount_brings_its_own(graph_run: GraphRun) -> None:
    driver = open_overlay(graph_run, "overlay.mountopt=nodev,noexec")
    driver.create(layer_id(1), "")

    configured = _mount_line(driver, 1, MountOptions()).split()[5].split(",")
    own = _mount_line(driver, 1, MountOptions(options=("nosuid",))).split()[5].split(",")

    assert {"nodev", "noexec"} <= set(configured)
    assert {"nodev", "noexec"}.isdisjoint(own) and "nosuid" in own


@pytest.mark.parametrize(
    "options", [MountOptions(read_only=True), MountOptions(options=("ro",), volatile=True)]
)
def test_a_read_only_mount_has_no_upper(driver: Driver, options: MountOptions) -> None:
    line = _mount_line(driver, 3, options)

    assert "upperdir" not in line
    assert "ro" in line.split()[5].split(",")
    assert ["f1", "f2", "f3"] == _shown(driver, 3, options)


def test_a_volatile_mount_can_be_made_again_and_without(driver: Driver) -> None:
    volatile = MountOptions(volatile=True)

    lines = [_mount_line(driver, 3, options) for options in (volatile, volatile, MountOptions())]

    assert [True, True, False] == ["volatile" in line for line in lines]


def test_a_label_without_selinux_is_the_kernels_refusal(driver: Driver) -> None:
    if os.path.exists("/sys/fs/selinux/enforce"):
        pytest.skip("this kernel has SELinux")
    label = "system_u:object_r:container_file_t:s0:c1,c2"

    with pytest.raises(DriverError) as raised:
        driver.mount(layer_id(1), MountOptions(label=label))

    directory = f"{driver.home}/{layer_id(1)}"
    assert errno.EINVAL == raised.value.errno
    assert (
        f'creating overlay mount to {directory}/merged, mount_data="lowerdir={directory}/empty,'
        f'upperdir={directory}/diff,workdir={directory}/work,context=\\"{label}\\"": '
        "invalid argument" == raised.value.words
    )


def test_a_mount_that_another_program_undid_is_unmounted_already(driver: Driver) -> None:
    umount(driver.mount(layer_id(3), MountOptions()))

    assert not driver.is_mounted(layer_id(3))
    driver.unmount(layer_id(3))
    assert ["f1", "f2", "f3"] == _shown(driver, 3)


def test_the_mount_point_stays_empty_and_can_be_removed_while_a_file_is_open(
    driver: Driver,
) -> None:
    top = driver.mount(layer_id(3), MountOptions())
    with open(f"{top}/f1", "rb"):
        driver.unmount(layer_id(3))

        assert [] == os.listdir(top)
        assert 0o40700 == os.stat(top).st_mode
        driver.remove(layer_id(3))

    assert not driver.exists(layer_id(3))


def test_a_stray_mount_of_id_mapped_lowers_is_undone(driver: Driver) -> None:
    mapped = f"{driver.home}/{layer_id(3)}/mapped/0"
    os.makedirs(mapped)
    mount("none", mapped, "tmpfs", data="size=64k")

    driver.unmount(layer_id(3))

    driver.remove(layer_id(3))
    assert not driver.exists(layer_id(3))


def test_a_users_own_store_is_mounted_with_that_users_marks(graph_run: GraphRun) -> None:
    os.mkdir(f"{graph_run.graph}/overlay")
    os.chown(f"{graph_run.graph}/overlay", 1000, 1000)
    driver = open_overlay(graph_run)
    driver.create(layer_id(1), "")

    assert "userxattr" in _mount_line(driver, 1, MountOptions())


_IN_A_NAMESPACE = """
import os, shutil, sys
from holdfs.drivers import open_driver
from holdfs.drivers.base import MountOptions
graph, run = sys.argv[1:]
driver = open_driver("overlay", graph_root=graph, run_root=run, options=())
driver.create("a" * 64, "")
top = driver.mount("a" * 64, MountOptions())
os.mkdir(f"{top}/d")
open(f"{top}/d/lower", "w").close()
driver.unmount("a" * 64)
driver.create("b" * 64, "a" * 64)
top = driver.mount("b" * 64, MountOptions(volatile=True))
shutil.rmtree(f"{top}/d")
os.mkdir(f"{top}/d")
print(os.listdir(f"{top}/d"), [n for n in os.listxattr(f"{driver.diff_path('b' * 64)}/d")])
driver.unmount("b" * 64)
os.mkdir(f"{run}/view")
driver.mount_view("b" * 64, f"{run}/view")
print(os.listdir(f"{run}/view/d"))
"""


@needs("userns")
def test_in_a_user_namespace_marks_are_those_a_user_may_set(graph_run: GraphRun) -> None:
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", _IN_A_NAMESPACE,
         *graph_run],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert "[] ['user.overlay.opaque']\n[]\n" == done.stdout, done.stderr
