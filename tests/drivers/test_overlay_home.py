"""Opening the overlay home: its private mount, what it is checked for, what is noted."""

import os
import subprocess
import sys

import pytest

from holdfs.drivers.base import DriverError, MountOptions
from holdfs.native.mount import MS_BIND, bind, is_mount_point, mount, umount
from tests.conftest import GraphRun
from tests.drivers.conformance import layer_id, mounted
from tests.drivers.overlays import mount_line, open_overlay
from tests.mounts import mounts_below
from tests.needs import needs

pytestmark = needs("root", "overlay")


def _bytes_of(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def test_a_fresh_home_holds_what_the_go_tools_make(graph_run: GraphRun) -> None:
    home = open_overlay(graph_run).home

    assert {".has-mount-program", "l"} == set(os.listdir(home))
    assert b"false" == _bytes_of(f"{home}/.has-mount-program")
    assert 0o100600 == os.stat(f"{home}/.has-mount-program").st_mode
    assert 0o40755 == os.stat(f"{home}/l").st_mode
    assert 0o40700 == os.stat(f"{graph_run.run}/overlay").st_mode
    assert ["overlay"] == os.listdir(graph_run.graph)


def test_the_home_is_mounted_on_itself_once_and_privately(graph_run: GraphRun) -> None:
    top = os.path.dirname(graph_run.graph)
    bind(top, top)
    subprocess.run(["mount", "--make-shared", top], check=True, timeout=20)

    driver = open_overlay(graph_run)
    driver.create(layer_id(1), "")
    driver.create(layer_id(2), layer_id(1))

    for number in (1, 2):
        with mounted(driver, layer_id(number)):
            pass
    with mounted(open_overlay(graph_run), layer_id(1)):
        pass

    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        lines = [line for line in file if f" {driver.home} " in line]
    driver.cleanup()
    umount(top)
    assert 1 == len(lines)
    assert "shared:" not in lines[0]


def test_the_home_is_left_alone_if_that_is_asked_for(graph_run: GraphRun) -> None:
    driver = open_overlay(graph_run, "overlay.skip_mount_home=true")
    driver.create(layer_id(1), "")

    with mounted(driver, layer_id(1)):
        assert not is_mount_point(driver.home)


def test_a_home_that_is_a_link_is_mounted_once(graph_run: GraphRun) -> None:
    os.mkdir(f"{graph_run.graph}/elsewhere")
    os.symlink("elsewhere", f"{graph_run.graph}/overlay")

    driver = open_overlay(graph_run)
    driver.create(layer_id(1), "")
    for _ in range(2):
        with mounted(driver, layer_id(1)):
            pass

    found = mounts_below(graph_run.graph)
    driver.cleanup()
    assert [f"{graph_run.graph}/elsewhere"] == found
    assert [] == mounts_below(graph_run.graph)


def test_a_mount_makes_the_home_private_again_after_a_shutdown_by_others(
    graph_run: GraphRun,
) -> None:
    driver = open_overlay(graph_run)
    driver.create(layer_id(1), "")
    with mounted(driver, layer_id(1)):
        pass
    umount(driver.home)

    with mounted(driver, layer_id(1)):
        assert is_mount_point(driver.home)


def test_cleanup_removes_staging_and_the_mount_of_the_home(graph_run: GraphRun) -> None:
    driver = open_overlay(graph_run)
    driver.create(layer_id(1), "")
    with mounted(driver, layer_id(1)):
        assert is_mount_point(driver.home)
    os.makedirs(f"{driver.home}/staging/x/dir")

    driver.cleanup()

    assert not os.path.exists(f"{driver.home}/staging")
    assert [] == mounts_below(graph_run.graph)


def test_cleanup_leaves_what_a_partial_pull_has_under_way(graph_run: GraphRun) -> None:
    driver = open_overlay(graph_run)
    driver.create(layer_id(1), "")
    with mounted(driver, layer_id(1)):
        pass
    for name in ("in-use", "left"):
        os.makedirs(f"{driver.home}/staging/{name}/dir")
        with open(f"{driver.home}/staging/{name}/staging.lock", "wb"):
            pass
    code = (
        "import fcntl, sys; file = open(sys.argv[1], 'r+b'); fcntl.lockf(file, fcntl.LOCK_EX);"
        "print('locked', flush=True); sys.stdin.read()"
    )
    lock = f"{driver.home}/staging/in-use/staging.lock"
    with subprocess.Popen(
        [sys.executable, "-c", code, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout and b"locked\n" == holder.stdout.readline()
        driver.cleanup()
        left = os.listdir(f"{driver.home}/staging")
        is_private = is_mount_point(driver.home)
        holder.communicate(timeout=20)

    driver.cleanup()
    assert (["in-use"], True) == (left, is_private)
    assert not os.path.exists(f"{driver.home}/staging")
    assert not is_mount_point(driver.home)


def test_cleanup_leaves_a_disk_of_its_own_that_is_mounted_at_the_home(graph_run: GraphRun) -> None:
    os.mkdir(f"{graph_run.graph}/overlay")
    mount("none", f"{graph_run.graph}/overlay", "tmpfs", data="size=4m")
    driver = open_overlay(graph_run)
    driver.create(layer_id(1), "")
    with mounted(driver, layer_id(1)):
        pass

    driver.cleanup()

    assert is_mount_point(driver.home)
    assert driver.exists(layer_id(1))


@pytest.mark.parametrize("indicator", ["whiteout", "xattr"])
def test_a_store_written_by_a_mount_program_is_not_mounted_natively(
    graph_run: GraphRun, monkeypatch: pytest.MonkeyPatch, indicator: str
) -> None:
    monkeypatch.setenv("PATH", graph_run.run)  # no fuse-overlayfs
    driver = open_overlay(graph_run)
    driver.create(layer_id(1), "")
    content = driver.diff_path(layer_id(1))
    os.mkdir(f"{content}/d")
    if indicator == "whiteout":
        with open(f"{content}/d/.wh.gone", "wb"):
            pass
    else:
        os.setxattr(f"{content}/d", "user.containers.override_stat", b"0:0:0755")
    os.unlink(f"{driver.home}/.has-mount-program")

    driver = open_overlay(graph_run)

    assert b"true" == _bytes_of(f"{driver.home}/.has-mount-program")
    for act in (
        lambda: driver.mount(layer_id(1), MountOptions()),
        lambda: driver.mount_view(layer_id(1), graph_run.run),
    ):
        with pytest.raises(DriverError, match="mount program"):
            act()
    assert ("Native Overlay Diff", "false") in driver.status()
    assert [layer_id(1)] == driver.list_layers()


@pytest.mark.parametrize("option", ["overlay.size=1G", "overlay.inodes=100"])
def test_a_quota_where_there_is_none_is_an_error(graph_run: GraphRun, option: str) -> None:
    bind(graph_run.graph, graph_run.graph)  # some file system that is not xfs
    with pytest.raises(DriverError) as raised:
        open_overlay(graph_run, option)
    umount(graph_run.graph)

    assert raised.value.words.startswith(
        "storage option overlay.size and overlay.inodes only supported for backingFS XFS. Found "
    )


# -- features ----------------------------------------------------------------------------------


def test_what_test_mounts_found_out_is_noted_and_nothing_else_left(graph_run: GraphRun) -> None:
    driver = open_overlay(graph_run)
    status = dict(driver.status())

    noted = {
        name: _bytes_of(f"{graph_run.run}/overlay/{name}")
        for name in os.listdir(f"{graph_run.run}/overlay")
    }

    assert "true" == status["Supports d_type"]
    assert {
        "overlay-true",
        f"metacopy()-{status['Using metacopy']}",
        f"native-diff()-{status['Native Overlay Diff']}",
        f"volatile-{status['Supports volatile']}",
        f"idmapped-lower-dir-{status['Supports shifting']}",
    } == noted.keys()
    assert b"" == noted["overlay-true"]
    assert ["overlay"] == os.listdir(graph_run.graph)
    assert [] == mounts_below(graph_run.graph)


def test_what_is_noted_is_believed(graph_run: GraphRun) -> None:
    os.mkdir(f"{graph_run.run}/overlay")
    for name in ("overlay-true", "metacopy(nodev)-true", "native-diff(nodev)-false"):
        with open(f"{graph_run.run}/overlay/{name}", "wb"):
            pass

    status = dict(open_overlay(graph_run, "overlay.mountopt=nodev").status())

    assert ("true", "false") == (status["Using metacopy"], status["Native Overlay Diff"])


def test_overlay_noted_as_not_working_is_not_tried(
    graph_run: GraphRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", graph_run.run)  # no fuse-overlayfs
    os.mkdir(f"{graph_run.run}/overlay")
    with open(f"{graph_run.run}/overlay/overlay-false", "w", encoding="ascii") as file:
        file.write("kernel does not support overlay fs: told so")

    with pytest.raises(DriverError, match="told so"):
        open_overlay(graph_run)

    assert [] == os.listdir(graph_run.graph)


def test_a_mount_option_the_kernel_does_not_know_is_seen_in_the_notes(graph_run: GraphRun) -> None:
    driver = open_overlay(graph_run, "overlay.mountopt=nonsense")
    driver.create(layer_id(1), "")

    assert {"metacopy(nonsense)-false", "native-diff(nonsense)-false"} <= set(
        os.listdir(f"{graph_run.run}/overlay")
    )
    with pytest.raises(DriverError, match="nonsense"):
        driver.mount(layer_id(1), MountOptions())


def test_metacopy_is_found_out_and_used(graph_run: GraphRun) -> None:
    driver = open_overlay(graph_run, "overlay.mountopt=metacopy=on")
    driver.create(layer_id(1), "")

    assert ("Using metacopy", "true") in driver.status()
    with mounted(driver, layer_id(1), MountOptions(options=("nodev",))) as top:
        assert "metacopy=on" in mount_line(top)


def test_options_of_the_file_system_reach_it(graph_run: GraphRun) -> None:
    driver = open_overlay(graph_run, "overlay.mountopt=redirect_dir=on,index=on")
    driver.create(layer_id(1), "")
    os.mkdir(f"{driver.diff_path(layer_id(1))}/d")
    driver.create(layer_id(2), layer_id(1))

    with mounted(driver, layer_id(2)) as top:
        assert {"redirect_dir=on", "index=on"} <= set(mount_line(top).split(","))
        os.rename(f"{top}/d", f"{top}/renamed")
    assert ("Native Overlay Diff", "false") in driver.status()
    assert not driver.diff_parent_is_native(layer_id(2), layer_id(1))
    driver.create(layer_id(3), layer_id(2))
    with mounted(driver, layer_id(3)) as top:
        assert ["renamed"] == os.listdir(top)


def test_an_unused_bind_is_no_obstacle(graph_run: GraphRun) -> None:
    os.makedirs(f"{graph_run.graph}/overlay")
    mount(graph_run.graph, graph_run.graph, flags=MS_BIND)

    driver = open_overlay(graph_run)
    driver.create(layer_id(1), "")
    with mounted(driver, layer_id(1)):
        pass
    driver.cleanup()

    assert [graph_run.graph] == mounts_below(graph_run.graph)
    umount(graph_run.graph)
