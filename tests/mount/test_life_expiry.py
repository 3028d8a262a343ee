"""Mounts on demand go when they are idle, and never while somebody uses them."""

import os
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.mount.scene import Scene, expire_until, is_readable
from tests.needs import needs

pytestmark = needs("root", "overlay", "containers-storage")


# -- expiry ------------------------------------------------------------------------------------


def test_what_is_idle_goes_and_its_mount_point_too(scene: Scene) -> None:
    with closing(scene.automount(idle_s=0.2)) as automount:
        view = automount.target("images", scene.image)
        counted = automount.target("containers", scene.web.id)
        assert is_readable(automount)

        expire_until(automount, lambda: not is_readable(automount))

        assert not os.path.lexists(view)
        assert not scene.store.driver.is_mounted(scene.web.layer)
        assert counted == scene.store.driver.mount_point(scene.web.layer)
        assert 0 == scene.count(scene.web.layer)


def test_vfs_gives_its_count_back_when_idle(vfs_scene: Scene) -> None:
    with closing(vfs_scene.automount(idle_s=0.2)) as automount:
        automount.target("containers", vfs_scene.web.id)

        expire_until(automount, lambda: not is_readable(automount))

        assert 0 == vfs_scene.count(vfs_scene.web.layer)


@pytest.mark.parametrize("kind", ["images", "containers"])
def test_what_is_in_use_stays(scene: Scene, kind: str) -> None:
    object_id = scene.image if kind == "images" else scene.web.id
    with closing(scene.automount(idle_s=0.1)) as automount:
        path = automount.target(kind, object_id)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            until = time.monotonic() + 1
            while time.monotonic() < until:
                time.sleep(automount.expire())
            assert "from top\n" == Path(path, "motd").read_text()
        finally:
            os.close(fd)

        expire_until(automount, lambda: not is_readable(automount))


def test_each_use_begins_the_idle_time_anew(scene: Scene) -> None:
    with closing(scene.automount(idle_s=0.4)) as automount:
        path = automount.target("images", scene.image)
        until = time.monotonic() + 2
        while time.monotonic() < until:
            # By the path, as a program does that has once followed the link.
            assert Path(path, "motd").exists()
            time.sleep(min(0.1, automount.expire()))


def test_each_reading_of_the_link_begins_the_idle_time_anew(scene: Scene) -> None:
    with closing(scene.automount(idle_s=0.4)) as automount:
        path = automount.target("images", scene.image)
        until = time.monotonic() + 2
        while time.monotonic() < until:
            assert path == automount.target("images", scene.image)
            assert [path] == scene.ours()
            time.sleep(min(0.2, automount.expire()))


def test_a_count_of_another_tool_outlives_ours(scene: Scene) -> None:
    with closing(scene.automount(idle_s=0.2)) as automount:
        automount.target("containers", scene.web.id)
        theirs = scene.go.out("mount", "web")
        assert 2 == scene.count(scene.web.layer)

        expire_until(automount, lambda: not is_readable(automount))

        assert 1 == scene.count(scene.web.layer)
        assert "from top\n" == Path(theirs, "motd").read_text()
    assert 1 == scene.count(scene.web.layer)
    scene.go.run("unmount", "web")


def test_two_daemons_count_each_for_itself(scene: Scene) -> None:
    with closing(scene.automount(idle_s=0.2)) as first, closing(scene.automount()) as second:
        view = first.target("images", scene.image)
        assert view != second.target("images", scene.image)
        path = first.target("containers", scene.web.id)
        # The second finds it mounted by another program, which the first is to it.
        assert path == second.target("containers", scene.web.id)

        expire_until(first, lambda: not is_readable(first))

        assert path == second.target("containers", scene.web.id)
        assert 1 == scene.count(scene.web.layer)
    assert 0 == scene.count(scene.web.layer)


def test_idle_0_never_expires(scene: Scene) -> None:
    with closing(scene.automount(idle_s=0)) as automount:
        automount.target("images", scene.image)

        assert not is_readable(automount)


def test_what_others_unmounted_is_mounted_again(scene: Scene) -> None:
    with closing(scene.automount()) as automount:
        view = automount.target("images", scene.image)
        subprocess.run(["umount", view], check=True, timeout=10)
        assert "from top\n" == Path(automount.target("images", scene.image), "motd").read_text()

        automount.target("containers", scene.web.id)
        scene.go.run("unmount", "--force", "web")
        path = automount.target("containers", scene.web.id)
        assert "from top\n" == Path(path, "motd").read_text()
        assert 1 == scene.count(scene.web.layer)

        subprocess.run(["umount", path], check=True, timeout=10)
        assert (
            "from top\n" == Path(automount.target("containers", scene.web.id), "motd").read_text()
        )
        assert 1 == scene.count(scene.web.layer)
    assert 0 == scene.count(scene.web.layer)
