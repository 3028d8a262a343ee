"""`files` while things change: what is mounted for it, when that goes, what others do meanwhile."""

import errno
import os
import resource
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfs.core.config import load_options
from holdfs.core.store import Store
from holdfs.fusefs.opentrees import OpenTrees
from tests.conftest import DriverRoots
from tests.mount.daemons import PATIENCE_S, eventually, serving
from tests.mount.scene import Scene
from tests.mount.shop import Shop
from tests.mounts import mounts_below
from tests.needs import needs

pytestmark = needs("root", "fuse", "overlay", "containers-storage")


@pytest.fixture
def served(scene: Scene, root: Path) -> Iterator[Shop]:
    """Give the small store, mounted with `files`; what is idle goes after a quarter of a second."""
    with serving(scene.go.graph, scene.go.run_root, root, "files", "idle=0.25") as daemon:
        yield Shop(scene, daemon)


def trees(shop: Shop) -> int:
    """Return of how many trees the daemon holds the top."""
    # Of a mount that is nowhere the path starts at its own top.
    return shop.daemon.fds().count("/")


# -- mounts ------------------------------------------------------------------------------------


def test_looking_counts_nothing_and_is_seen_nowhere(served: Shop) -> None:
    for path in (served.images / "shop", served.layers / "base", served.containers / "web"):
        os.listdir(path / "files")
    os.listdir(served.layers / "loose" / "files")

    assert [] == served.scene.go_table()
    assert [] == [p for p in mounts_below(served.go.run_root) if "holdfs" in p]
    assert [] == [n for n in os.listdir(served.go.run_root) if n.startswith("holdfs-view")]


def test_what_is_idle_goes_and_an_open_file_is_read_on(served: Shop) -> None:
    before = trees(served)
    with (served.images / "shop" / "files" / "motd").open("rb", buffering=0) as file:
        assert trees(served) > before
        eventually(lambda: trees(served) == before, "an idle tree stays")
        assert b"from top\n" == file.read()
    assert "from top\n" == (served.images / "shop" / "files" / "motd").read_text()


def test_an_image_and_its_layer_share_one_tree(served: Shop) -> None:
    before = trees(served)
    os.listdir(served.images / "shop" / "files")
    os.listdir(served.layers / "top" / "files")
    assert trees(served) <= before + 1


# -- what may change ---------------------------------------------------------------------------


def test_a_container_shows_what_is_written_through_its_mount(served: Shop) -> None:
    files = served.containers / "web" / "files"
    assert not (files / "new").exists()
    path = Path(served.go.out("mount", "web"))
    try:
        (path / "new").write_text("first\n")
        eventually((files / "new").exists, "what was written does not show")
        assert "first\n" == (files / "new").read_text()
        (path / "new").write_text("second and longer\n")
        eventually(lambda: "second and longer\n" == (files / "new").read_text())
        (path / "motd").unlink()
        eventually(lambda: not (files / "motd").exists(), "what was removed still shows")
    finally:
        served.go.run("unmount", "web")
    assert "second and longer\n" == (files / "new").read_text()
    assert [] == served.scene.go_table()


def test_what_is_mounted_inside_a_container_is_not_shown(served: Shop) -> None:
    path = Path(served.go.out("mount", "web"))
    (path / "proc").mkdir()
    subprocess.run(["mount", "-t", "proc", "proc", path / "proc"], check=True, timeout=PATIENCE_S)
    try:
        eventually((served.containers / "web" / "files" / "proc").exists)
        assert [] == os.listdir(served.containers / "web" / "files" / "proc")
    finally:
        subprocess.run(["umount", path / "proc"], check=True, timeout=PATIENCE_S)
        served.go.run("unmount", "web")


def test_looking_keeps_no_mount_busy(served: Shop) -> None:
    path = served.go.out("mount", "web")
    assert "from top\n" == (served.containers / "web" / "files" / "motd").read_text()
    # Not detached: it would be EBUSY if anybody were in it.
    subprocess.run(["umount", path], check=True, timeout=PATIENCE_S)
    served.go.run("unmount", "--force", "web", check=False)


def test_what_could_not_change_and_then_can_is_shown_anew(served: Shop) -> None:
    store, layer = served.scene.store, served.scene.loose
    (Path(store.mount(layer)) / "early").write_text("early\n")
    store.unmount(layer)
    child = store.create_layer(parent="loose").id
    served.catch_up()
    file = served.layers / "loose" / "files" / "early"
    assert "early\n" == file.read_text()  # and the kernel keeps it for long

    store.delete_layer(child)
    served.catch_up()
    (Path(store.mount(layer)) / "early").write_text("later\n")
    store.unmount(layer)
    eventually(lambda: "later\n" == file.read_text(), "it shows what was there before")


def test_a_file_that_became_a_directory_is_one(served: Shop) -> None:
    files = served.containers / "web" / "files"
    assert (files / "motd").is_file()
    path = Path(served.go.out("mount", "web"))
    try:
        (path / "motd").unlink()
        (path / "motd" / "below").mkdir(parents=True)
        eventually((files / "motd").is_dir, "it shows the file")
        assert ["below"] == os.listdir(files / "motd")
    finally:
        served.go.run("unmount", "web")


# -- deletion ----------------------------------------------------------------------------------


def test_an_object_is_deleted_while_somebody_browses(served: Shop) -> None:
    web = served.containers / "web"
    files = (web / "files").resolve()
    fd = os.open(files, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with (files / "motd").open("rb", buffering=0) as file:
            web.rmdir()
            assert b"from top\n" == file.read()
        for look in (lambda: os.listdir(fd), lambda: (files / "motd").stat()):
            with pytest.raises(OSError) as caught:
                look()
            assert caught.value.errno in (errno.ENOENT, errno.ESTALE)
    finally:
        os.close(fd)
    assert served.scene.web.id not in served.go_ids("containers")
    (served.images / "shop").rmdir()
    with pytest.raises(OSError) as caught:
        os.stat(served.root / ".files" / "images" / served.scene.image)
    assert errno.ENOENT == caught.value.errno


def test_the_go_tool_deletes_an_image_while_somebody_browses(served: Shop) -> None:
    files = (served.images / "shop" / "files").resolve()
    fd = os.open(files / "motd", os.O_RDONLY)
    try:
        served.go.run("delete-container", "web")
        served.go.run("delete-image", "shop")
        eventually(lambda: not files.exists(), "the content of an image that is gone")
    finally:
        os.close(fd)


# -- the daemon --------------------------------------------------------------------------------


def test_more_files_can_be_open_than_a_shell_may_open(served: Shop) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3000, hard))
    opened: list[int] = []
    try:
        path = served.images / "shop" / "files" / "motd"
        opened.extend(os.open(path, os.O_RDONLY) for _ in range(1500))
    finally:
        for fd in opened:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert 1500 == len(opened)


def test_an_error_of_the_mount_is_told_in_words(served: Shop) -> None:
    link = Path(served.scene.store.driver.diff_path(served.scene.base))
    served.daemon.expected.append("links of overlay layers are missing")
    link.rename(link.with_name("away"))
    try:
        with pytest.raises(OSError):
            os.listdir(served.images / "shop" / "files")
        assert f".files/images/{served.scene.image}" in served.errors()[-1]
    finally:
        link.with_name("away").rename(link)


# -- many at once ------------------------------------------------------------------------------


def test_threads_share_trees_while_they_are_forgotten(driver_roots: DriverRoots) -> None:
    driver, (graph, run_root) = driver_roots
    options = load_options(graph_root=graph, run_root=run_root, driver=driver)
    store = Store.open(options, lock_timeout_s=10)
    layers = [store.create_layer(names=[f"l{n}"]).id for n in range(3)]
    for layer in layers:
        path = Path(store.mount(layer))
        (path / layer).touch()
        store.unmount(layer)
    now = [0.0]
    opened = OpenTrees(store, idle_s=5, clock=lambda: now[0])
    failed: list[BaseException] = []

    def look(is_fixed: bool) -> None:
        try:
            for turn in range(60):
                layer = layers[turn % len(layers)]
                with opened.top(layer, is_fixed=is_fixed) as fd:
                    assert [layer] == os.listdir(f"/proc/self/fd/{fd}")
        except BaseException as error:
            failed.append(error)

    before = len(os.listdir("/proc/self/fd"))
    threads = [threading.Thread(target=look, args=(n % 2 == 0,)) for n in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        now[0] += 1
        opened.forget(layers[:2])
        opened.expire()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert [] == failed
    now[0] += 10
    opened.expire()
    assert None is opened.next_deadline()
    assert before == len(os.listdir("/proc/self/fd"))
