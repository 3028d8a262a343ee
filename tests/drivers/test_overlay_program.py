"""Overlay layers that a mount program shows: fuse-overlayfs."""

import os
import shutil
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from holdfs.drivers import open_driver
from holdfs.drivers.base import Driver, DriverError, MountOptions
from holdfs.drivers.whiteouts import WhiteoutStyle
from tests.conftest import GraphRun
from tests.drivers.conformance_stores import StoresConformance
from tests.drivers.manifest import fill
from tests.drivers.overlays import mount_line, open_overlay
from tests.drivers.suite import GIDMAP, UIDMAP, layer_id, mounted, viewed
from tests.mounts import mounts_below
from tests.needs import needs
from tests.peers import GoStore

pytestmark = needs("root", "fuse", "fuse-overlayfs")

_PROGRAM = shutil.which("fuse-overlayfs") or "/usr/bin/fuse-overlayfs"
_OPTION = f"overlay.mount_program={_PROGRAM}"


class TestFuseOverlay(StoresConformance):
    driver_name = "overlay"

    def open(self, roots: GraphRun, *options: str, image_store: str = "") -> Driver:
        return open_driver(
            "overlay",
            graph_root=roots.graph,
            run_root=roots.run,
            options=(_OPTION, *options),
            image_store=image_store,
        )

    def kept(self, shown: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        # It copies directories and symbolic links up without their times.
        return {
            path: entry if stat.S_ISREG(entry[0]) else (*entry[:3], 0, *entry[4:])
            for path, entry in shown.items()
        }

    def fill_for_owners(self, top: str) -> None:
        fill(top)
        # Its faults, met by the Go tools as well: it can't copy up the first three, and a file with
        # several names keeps its owner when it is linked again.
        for name in ("null", "socket", "etc/pipe", "etc/deep/second-name"):
            os.unlink(f"{top}/{name}")


def _flag(driver: Driver) -> bytes:
    with open(f"{driver.home}/.has-mount-program", "rb") as file:
        return file.read()


def test_the_home_notes_it_and_all_later_ones_use_it(graph_run: GraphRun) -> None:
    driver = open_overlay(graph_run, _OPTION)
    driver.create(layer_id(1), "")

    assert b"true" == _flag(driver)
    for later in (driver, open_overlay(graph_run)):
        with mounted(later, layer_id(1)) as top:
            assert " fuse.fuse-overlayfs " in mount_line(top)
        assert [
            ("Native Overlay Diff", "false"),
            ("Using metacopy", "false"),
            ("Supports shifting", "true"),
            ("Supports volatile", "true"),
        ] == later.status()[2:]
        assert WhiteoutStyle.FILES == later.whiteout_style
        assert not later.diff_parent_is_native(layer_id(1), "")


def test_the_programs_daemon_ends_with_the_mount(graph_run: GraphRun) -> None:
    driver = open_overlay(graph_run, _OPTION)
    driver.create(layer_id(1), "")

    top = driver.mount(layer_id(1), MountOptions())
    during = _daemons(top)
    driver.unmount(layer_id(1))

    assert 1 == during
    deadline = time.monotonic() + 10
    while _daemons(top) and time.monotonic() < deadline:
        time.sleep(0.01)  # nothing else tells when a stranger's process ends
    assert 0 == _daemons(top)


def _daemons(target: str) -> int:
    count = 0
    for process in Path("/proc").iterdir():
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        count += process.name.isdecimal() and os.fsencode(target) in words
    return count


def test_deletions_are_files_and_shown_as_deletions(graph_run: GraphRun) -> None:
    driver = open_overlay(graph_run, _OPTION)
    driver.create(layer_id(1), "")
    for name in ("gone", "hidden/old"):
        os.makedirs(os.path.dirname(f"{driver.diff_path(layer_id(1))}/{name}"), exist_ok=True)
        with open(f"{driver.diff_path(layer_id(1))}/{name}", "wb"):
            pass
    driver.create(layer_id(2), layer_id(1))
    os.mkdir(f"{driver.diff_path(layer_id(2))}/hidden")
    for name in (".wh.gone", "hidden/.wh..wh..opq"):
        with open(f"{driver.diff_path(layer_id(2))}/{name}", "wb"):
            pass

    with viewed(driver, layer_id(2), f"{graph_run.run}/view") as view:
        assert ["hidden"] == os.listdir(view)
        assert [] == os.listdir(f"{view}/hidden")


def test_a_container_sees_its_own_owners(graph_run: GraphRun) -> None:
    driver = open_overlay(graph_run, _OPTION)
    driver.create(layer_id(1), "")
    with mounted(driver, layer_id(1)) as top, open(f"{top}/f", "wb"):
        os.chown(f"{top}/f", 5, 6)
    driver.create(layer_id(2), layer_id(1))
    options = MountOptions(uidmap=((0, 100_000, 65_536),), gidmap=((0, 200_000, 65_536),))

    with mounted(driver, layer_id(2), options) as top:
        shown = os.stat(f"{top}/f")

    assert (100_005, 200_006) == (shown.st_uid, shown.st_gid)
    assert driver.supports_shifting(UIDMAP) and not driver.supports_shifting(UIDMAP, GIDMAP)


@pytest.mark.parametrize("mask, mode", [("shared", 0o755), ("private", 0o700), ("711", 0o711)])
def test_with_a_mask_everything_is_stored_with_that_mode(
    graph_run: GraphRun, mask: str, mode: int
) -> None:
    driver = open_overlay(graph_run, _OPTION, f"overlay.force_mask={mask}")
    driver.create(layer_id(1), "")
    assert mode == os.stat(driver.diff_path(layer_id(1))).st_mode & 0o7777

    with mounted(driver, layer_id(1)) as top:
        with open(f"{top}/f", "wb"):
            os.chmod(f"{top}/f", 0o600)
        assert 0o600 == os.stat(f"{top}/f").st_mode & 0o7777

    stored = f"{driver.diff_path(layer_id(1))}/f"
    assert mode == driver.force_mask
    assert 0o600 != os.stat(stored).st_mode & 0o7777
    assert any("override_stat" in name for name in os.listxattr(stored))


def test_a_mask_without_a_program_is_refused(graph_run: GraphRun) -> None:
    with pytest.raises(DriverError) as raised:
        open_overlay(graph_run, "overlay.force_mask=shared")

    assert "'force_mask' is supported only with 'mount_program'" == raised.value.words
    assert [] == os.listdir(graph_run.graph)


def test_mount_options_and_a_read_only_mount_reach_it(graph_run: GraphRun) -> None:
    driver = open_overlay(graph_run, _OPTION, "overlay.mountopt=nodev,noexec,fsync=0")
    driver.create(layer_id(1), "")

    with mounted(driver, layer_id(1)) as top:
        flags = mount_line(top).split()[5].split(",")
    with mounted(driver, layer_id(1), MountOptions(read_only=True)) as top:
        read_only = mount_line(top).split()[5].split(",")

    assert {"nodev", "noexec", "rw"} <= set(flags)
    assert "ro" in read_only


def test_a_program_that_fails_is_quoted(graph_run: GraphRun, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nprintf 'lazytime ignored\\nno such luck\\n' >&2\nexit 3\n")
    program.chmod(0o755)
    driver = open_overlay(graph_run, f"overlay.mount_program={program}")
    driver.create(layer_id(1), "")

    with pytest.raises(DriverError, match="no such luck") as raised:
        driver.mount(layer_id(1), MountOptions())

    assert str(raised.value).endswith(f" with {program}: no such luck")
    said = "lazytime ignored\nno such luck"
    assert f"using mount program {program}: {said}: exit status 3" == raised.value.words
    assert [driver.home] == mounts_below(graph_run.graph)


def test_a_program_that_can_not_be_run_is_named(graph_run: GraphRun, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.touch()
    driver = open_overlay(graph_run, f"overlay.mount_program={program}")
    driver.create(layer_id(1), "")

    with pytest.raises(DriverError, match=str(program)):
        driver.mount(layer_id(1), MountOptions())


def test_where_the_kernels_overlay_can_not_the_program_is_used(graph_run: GraphRun) -> None:
    graph = graph_run.graph
    for name in ("lower", "upper", "work", "merged"):
        os.mkdir(f"{graph}/{name}")
    options = f"lowerdir={graph}/lower,upperdir={graph}/upper,workdir={graph}/work"
    subprocess.run(
        ["mount", "-t", "overlay", "x", "-o", options, f"{graph}/merged"], check=True, timeout=20
    )
    driver = open_overlay(GraphRun(f"{graph}/merged", graph_run.run))
    driver.create(layer_id(1), "")

    with mounted(driver, layer_id(1)) as top:
        assert " fuse.fuse-overlayfs " in mount_line(top)
    driver.cleanup()
    assert b"true" == _flag(driver)


@needs("containers-storage")
def test_what_one_wrote_the_other_shows(graph_run: GraphRun) -> None:
    go, driver = GoStore(*graph_run, options=[_OPTION]), open_overlay(graph_run, _OPTION)
    go.run("create-layer", "--id", layer_id(1))
    top = go.out("mount", layer_id(1))
    for name in ("one", "two"):
        with open(f"{top}/{name}", "wb"):
            pass
    assert driver.is_mounted(layer_id(1))
    go.run("unmount", layer_id(1))
    assert not driver.is_mounted(layer_id(1))
    driver.create(layer_id(2), layer_id(1))
    with mounted(driver, layer_id(2)) as top:
        os.unlink(f"{top}/one")
    with viewed(driver, layer_id(2), f"{graph_run.run}/view") as view:
        assert ["two"] == os.listdir(view)

    # Only known to the driver so far: their record is another layer's on the same directory.
    go.run("create-layer", "--id", layer_id(3), layer_id(1))
    top = go.out("mount", layer_id(3))
    assert {"one", "two"} == set(os.listdir(top))
    os.unlink(f"{top}/two")
    go.run("unmount", layer_id(3))
    with mounted(driver, layer_id(3)) as top:
        assert ["one"] == os.listdir(top)
