"""
What `rootfs` leads to, tried on real stores beside the Go tools.

No FUSE here: the class is used as the tree's nodes use it, by several threads and processes.
"""

import errno
import gc
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from holdfs.core.errors import LayerMounted, NotKnown
from holdfs.core.store import Store
from holdfs.fusefs.automount import Automount
from holdfs.native.lock import lock_try
from tests.mount.scene import Scene, expire_until, is_readable
from tests.mounts import mounts_below
from tests.needs import needs

pytestmark = needs("root", "overlay", "containers-storage")


# -- where it leads ----------------------------------------------------------------------------


def test_an_image_is_shown_read_only_and_the_store_does_not_count_it(scene: Scene) -> None:
    with closing(scene.automount()) as automount:
        path = automount.target("images", scene.image)

        assert "from top\n" == Path(path, "motd").read_text()
        with pytest.raises(OSError) as refused:
            Path(path, "new").touch()
        assert errno.EROFS == refused.value.errno
        assert [] == scene.go_table()


def test_an_image_and_its_layer_share_one_view(scene: Scene) -> None:
    with closing(scene.automount()) as automount:
        path = automount.target("images", scene.image)

        assert path == automount.target("layers", scene.top)
        assert path == automount.target("images", scene.image)
        assert [path] == scene.ours()


def test_a_layer_with_children_is_shown_read_only(scene: Scene) -> None:
    with closing(scene.automount()) as automount:
        path = automount.target("layers", scene.base)

        assert os.statvfs(path).f_flag & os.ST_RDONLY
        assert [] == scene.go_table()


def test_a_container_is_the_stores_own_mount_counted_once(scene: Scene) -> None:
    with closing(scene.automount()) as automount:
        path = automount.target("containers", scene.web.id)
        automount.target("containers", scene.web.id)
        automount.target("layers", scene.web.layer)
        Path(path, "new").touch()

        assert 1 == scene.count(scene.web.layer)
        assert "web mounted" == scene.go.out("mounted", "web")
        assert scene.store.driver.mount_point(scene.web.layer) == path
    assert 0 == scene.count(scene.web.layer)


def test_a_layer_of_its_own_can_be_filled(scene: Scene) -> None:
    with closing(scene.automount()) as automount:
        Path(automount.target("layers", scene.loose), "new").touch()

        assert 1 == scene.count(scene.loose)


def test_what_another_tool_has_mounted_is_used_and_not_counted(scene: Scene) -> None:
    theirs = scene.go.out("mount", "web")
    with closing(scene.automount()) as automount:
        assert theirs == automount.target("containers", scene.web.id)
        assert 1 == scene.count(scene.web.layer)
        assert not is_readable(automount)
    assert 1 == scene.count(scene.web.layer)
    scene.go.run("unmount", "web")


def test_a_read_only_mount_changes_nothing_in_the_store(scene: Scene) -> None:
    with closing(scene.automount(read_only=True)) as automount:
        path = automount.target("containers", scene.web.id)

        assert os.statvfs(path).f_flag & os.ST_RDONLY
        assert [] == scene.go_table()


@pytest.mark.parametrize("kind", ["layers", "images", "containers"])
def test_an_unknown_object_is_not_known(scene: Scene, kind: str) -> None:
    with closing(scene.automount()) as automount, pytest.raises(NotKnown):
        automount.target(kind, "0" * 64)


def test_an_image_without_a_layer_has_no_file_system(scene: Scene) -> None:
    image = scene.store.create_image(names=["empty"])
    with closing(scene.automount()) as automount, pytest.raises(NotKnown):
        automount.target("images", image.id)


def test_vfs_shows_an_image_read_only_and_counts_a_container(vfs_scene: Scene) -> None:
    scene = vfs_scene
    with closing(scene.automount()) as automount:
        view = automount.target("images", scene.image)
        assert "from top\n" == Path(view, "motd").read_text()
        assert os.statvfs(view).f_flag & os.ST_RDONLY

        Path(automount.target("containers", scene.web.id), "new").touch()
        assert 1 == scene.count(scene.web.layer)
    assert 0 == scene.count(scene.web.layer)


# -- deletion ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["images", "containers"])
def test_before_a_deletion_an_unused_mount_goes_at_once(scene: Scene, kind: str) -> None:
    object_id = scene.image if kind == "images" else scene.web.id
    with closing(scene.automount()) as automount:
        Path(automount.target(kind, object_id), "motd").read_text()

        automount.release(kind, object_id)

        assert [] == scene.ours()
        assert [] == scene.go_table()
        assert not is_readable(automount)


@pytest.mark.parametrize("kind", ["images", "containers"])
def test_before_a_deletion_a_used_mount_is_a_refusal(scene: Scene, kind: str) -> None:
    object_id = scene.image if kind == "images" else scene.web.id
    with closing(scene.automount()) as automount:
        path = automount.target(kind, object_id)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with pytest.raises(LayerMounted):
                automount.release(kind, object_id)
            assert "from top\n" == Path(path, "motd").read_text()
        finally:
            os.close(fd)


def test_what_was_deleted_goes_at_once(scene: Scene) -> None:
    with closing(scene.automount()) as automount:
        automount.target("layers", scene.loose)
        automount.target("containers", scene.web.id)
        scene.go.run("delete-container", "web")
        view = automount.target("images", scene.image)
        scene.go.run("delete-image", "shop")
        scene.go.run("delete-layer", "loose")

        automount.expire()

        assert not os.path.lexists(view)
        assert not is_readable(automount)
        assert [] == scene.go_table()


def test_what_was_deleted_and_is_in_use_stays_until_it_is_left(scene: Scene) -> None:
    with closing(scene.automount(idle_s=0.2)) as automount:
        view = automount.target("images", scene.image)
        fd = os.open(view, os.O_RDONLY | os.O_DIRECTORY)
        try:
            scene.go.run("delete-container", "web")
            scene.go.run("delete-image", "shop")
            automount.expire()
            assert [view] == scene.ours()
        finally:
            os.close(fd)

        expire_until(automount, lambda: not is_readable(automount))


def test_nothing_is_kept_of_a_layer_whose_mount_is_gone(scene: Scene) -> None:
    def kept() -> int:
        gc.collect()
        return sum(type(each).__name__ == "_Slot" for each in gc.get_objects())

    with closing(scene.automount(idle_s=0.2)) as automount:
        before = kept()
        automount.target("images", scene.image)
        automount.target("containers", scene.web.id)
        mounted = kept()
        expire_until(automount, lambda: not is_readable(automount))

        assert (2, 0) == (mounted - before, kept() - before)


# -- many at once, crashes, the end -------------------------------------------------------------


def test_many_links_followed_at_once_make_one_mount_each(scene: Scene) -> None:
    asked = [("images", scene.image), ("layers", scene.base), ("containers", scene.web.id)] * 40
    with closing(scene.automount()) as automount, ThreadPoolExecutor(12) as pool:
        paths = list(pool.map(lambda wanted: automount.target(*wanted), asked))

        assert 3 == len(set(paths))
        assert 2 == len(scene.ours())
        assert 1 == scene.count(scene.web.layer)


def test_links_are_followed_while_mounts_expire(scene: Scene) -> None:
    """Whoever is given a path finds the content there, never the bare mount point."""
    stop = threading.Event()
    with closing(scene.automount(idle_s=0.02)) as automount:

        def expire() -> None:
            while not stop.is_set():
                automount.expire()

        thread = threading.Thread(target=expire)
        thread.start()
        try:
            until = time.monotonic() + 3
            while time.monotonic() < until:
                path = automount.target("images", scene.image)
                fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    assert "motd" in os.listdir(fd)
                finally:
                    os.close(fd)
        finally:
            stop.set()
            thread.join()


def test_what_a_crashed_daemon_left_is_cleared_and_given_back(scene: Scene) -> None:
    scene.go.run("mount", "web")
    scene.go.run("unmount", "web")
    script = (
        "import os, sys\n"
        "from holdfs.core.config import load_options\n"
        "from holdfs.core.store import Store\n"
        "from holdfs.fusefs.automount import Automount\n"
        "graph, run, image, web = sys.argv[1:]\n"
        "options = load_options(graph_root=graph, run_root=run, driver='overlay')\n"
        "automount = Automount(Store.open(options), idle_s=60)\n"
        "automount.target('images', image)\n"
        "automount.target('containers', web)\n"
        "os._exit(0)\n"
    )
    roots = [scene.go.graph, scene.go.run_root]
    subprocess.run(
        [sys.executable, "-c", script, *roots, scene.image, scene.web.id], check=True, timeout=60
    )
    assert 1 == scene.count(scene.web.layer)
    assert 1 == len(scene.ours())

    with closing(scene.automount()):
        assert 0 == scene.count(scene.web.layer)
        assert [] == scene.ours()


def test_a_living_daemons_mounts_are_left_alone(scene: Scene) -> None:
    with closing(scene.automount()) as first:
        view = first.target("images", scene.image)
        first.target("containers", scene.web.id)

        scene.automount().close()

        assert "from top\n" == Path(view, "motd").read_text()
        assert 1 == scene.count(scene.web.layer)


def test_the_end_takes_everything_down_also_what_is_in_use(scene: Scene) -> None:
    with closing(scene.automount()) as automount:
        path = automount.target("images", scene.image)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        automount.target("containers", scene.web.id)
    try:
        assert [] == mounts_below(scene.go.run_root)
        assert [] == scene.go_table()
        assert not os.path.lexists(path)
        assert ["lock"] == os.listdir(f"{scene.go.run_root}/holdfs")
        assert "motd" in os.listdir(fd)
    finally:
        os.close(fd)


def test_what_cannot_be_given_back_at_the_end_is_by_the_next_daemon(scene: Scene) -> None:
    hurried = Store.open(scene.store.options, lock_timeout_s=0.2)
    automount = Automount(hurried, idle_s=60)
    automount.target("containers", scene.web.id)
    automount.target("layers", scene.loose)
    automount.target("images", scene.image)
    fd = os.open(f"{scene.go.graph}/overlay-layers/layers.lock", os.O_RDWR | os.O_CLOEXEC)
    try:
        assert lock_try(fd, exclusive=True)
        automount.close()
    finally:
        os.close(fd)
    assert [] == scene.ours()
    assert (1, 1) == (scene.count(scene.web.layer), scene.count(scene.loose))

    scene.automount().close()

    assert (0, 0) == (scene.count(scene.web.layer), scene.count(scene.loose))


def test_it_leaves_no_descriptor(scene: Scene) -> None:
    before = os.listdir("/proc/self/fd")
    with closing(scene.automount()) as automount:
        automount.target("images", scene.image)
        automount.target("containers", scene.web.id)

    assert before == os.listdir("/proc/self/fd")


def test_views_do_not_reach_other_namespaces(scene: Scene) -> None:
    with closing(scene.automount()) as automount:
        automount.target("images", scene.image)
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        ours = [line for line in lines if f"{scene.go.run_root}/holdfs/" in line]

        assert 2 == len(ours)
        assert not [line for line in ours if "shared:" in line or "master:" in line]
