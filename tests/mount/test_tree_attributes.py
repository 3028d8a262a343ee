"""Each attribute of the page's table, against what the Go tool or the record says of it."""

import errno
import fcntl
import gzip
import hashlib
import json
import os
import select
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import inotify_simple  # type: ignore[import-untyped]
import pytest

from holdfs.core.formats.records import IdMap
from tests.conftest import GraphRun
from tests.mount.daemons import PATIENCE_S, eventually, serving
from tests.mount.difftars import SMALL
from tests.mount.scene import Scene
from tests.mount.shop import Shop
from tests.mounts import detach
from tests.peers import GoStore

pytestmark = pytest.mark.needs("root", "fuse", "overlay", "containers-storage")


def text(path: Path) -> str:
    return path.read_text().removesuffix("\n")


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_a_filled_layer_tells_of_its_diff(shop: Shop) -> None:
    packed = gzip.compress(SMALL)
    shop.go.run("applydiff", "-f", "/dev/stdin", shop.scene.loose, input=packed)
    with shop.scene.store.layers.edit() as edit:
        layer = edit.records.one(shop.scene.loose)
        edit.replace(layer.replaced(toc_digest=sha256(b"toc")))
    shop.catch_up()

    said = shop.go_object("layers", shop.scene.loose)
    loose = shop.layers / "loose"

    assert (
        said["compressed-diff-digest"] == sha256(packed) == text(loose / "compressed-diff-digest")
    )
    assert said["diff-digest"] == sha256(SMALL) == text(loose / "diff-digest")
    assert str(said["compressed-size"]) == str(len(packed)) == text(loose / "compressed-size")
    assert str(said["diff-size"]) == str(len(SMALL)) == text(loose / "diff-size")
    assert "gzip" == text(loose / "compression")
    assert sha256(b"toc") == text(loose / "toc-digest")
    assert sha256(SMALL).encode() == os.getxattr(loose, "user.holdfs.digest")
    for digest in (sha256(packed), sha256(SMALL)):
        listed = shop.layers / "by-digest" / digest
        assert [shop.scene.loose] == os.listdir(listed)
        assert f"../../{shop.scene.loose}" == os.readlink(listed / shop.scene.loose)


def test_an_empty_layer_has_none_of_these(shop: Shop) -> None:
    entries = set(os.listdir(shop.layers / "loose"))

    assert not entries & {"compressed-diff-digest", "compressed-size", "compression", "toc-digest"}
    assert not entries & {"diff-digest", "diff-size", "uidmap", "gidmap", "parent"}
    with pytest.raises(OSError) as caught:
        os.getxattr(shop.layers / "loose", "user.holdfs.digest")
    assert errno.ENODATA == caught.value.errno


def test_id_maps_are_lines_of_three_numbers(shop: Shop) -> None:
    # The Go tool takes maps for layers, and records none: so they are put in by hand.
    maps = (IdMap(0, 100000, 65536),), (IdMap(0, 200000, 1000),)
    store = shop.scene.store
    sets: list[tuple[Any, str]] = [
        (store.layers, shop.scene.loose),
        (store.containers, shop.scene.web.id),
    ]
    for records, ref in sets:
        with records.edit() as edit:
            record = edit.records.one(ref)
            edit.replace(record.replaced(uidmap=maps[0], gidmap=maps[1]))
    shop.catch_up()

    for path in (shop.layers / "loose", shop.containers / "web"):
        assert ("0 100000 65536", "0 200000 1000") == (text(path / "uidmap"), text(path / "gidmap"))


def test_flags_digests_and_history_are_those_of_the_record(shop: Shop) -> None:
    store, image = shop.scene.store, shop.images / shop.scene.image
    manifest = b'{"schemaVersion":2}'
    store.set_big_data("images", shop.scene.image, "manifest", manifest)
    shop.go.run("set-names", "-n", "later", shop.scene.image)
    shop.catch_up()

    said = shop.go_object("images", shop.scene.image)

    assert said["digest"] == sha256(manifest) == text(image / "digest") == text(image / "digests")
    assert sha256(manifest).encode() == os.getxattr(image, "user.holdfs.digest")
    history = json.loads((image / "info.json").read_text()).get("names-history") or []
    assert history == (image / "names-history").read_text().splitlines()
    web = shop.containers / "web"
    raw = json.loads((web / "info.json").read_text())
    assert (raw.get("flags") or {}) == json.loads(text(web / "flags"))


def test_links_out_lead_to_the_directories_that_the_go_tool_names(shop: Shop) -> None:
    web = shop.containers / "web"

    assert shop.go.out("get-container-dir", "web") == os.readlink(web / "dir")
    assert shop.go.out("get-container-run-dir", "web") == os.readlink(web / "run-dir")
    top = f"{os.path.realpath(shop.go.graph)}/overlay/{shop.scene.top}/diff"
    assert top == os.path.realpath(shop.layers / "top" / "diff")
    assert "from top\n" == (shop.layers / "top" / "diff" / "motd").read_text()


def test_objects_of_an_additional_store_are_shown_and_stay_as_they_are(
    scene: Scene, stores: Callable[[], GraphRun], root: Path
) -> None:
    other = stores()
    option = f"overlay.imagestore={scene.go.graph}"
    GoStore(*other, options=[option]).run("create-layer", "-n", "own")
    conf = root.parent / "storage.conf"
    conf.write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{other.graph}"\nrunroot = "{other.run}"\n'
        f'[storage.options]\nadditionalimagestores = ["{scene.go.graph}"]\n'
    )
    env = {"CONTAINERS_STORAGE_CONF": str(conf)}
    with serving("", "", root, env=env, driver="") as daemon:
        shop = Shop(scene, daemon)
        image = shop.images / "shop"
        assert ("1", "0") == (text(image / "read-only"), text(shop.layers / "own" / "read-only"))
        assert 0o444 == (image / "names").stat().st_mode & 0o777
        assert "from top\n" == (image / "rootfs" / "motd").read_text()
        acts: list[Callable[[], object]] = [
            lambda: (image / "names").write_text("x\n"),
            lambda: (image / "metadata").write_text("x\n"),
            lambda: (image / "big-data" / "x").write_text("x"),
            lambda: image.rmdir(),
            lambda: (image / "id").unlink(),
            lambda: (shop.images / "by-name" / "shop").unlink(),
            lambda: (shop.layers / "top" / "diff.tar").write_bytes(SMALL),
        ]
        for act in acts:
            with pytest.raises(OSError) as caught:
                act()
            assert errno.EROFS == caught.value.errno
        assert len(acts) == len(shop.errors())


def test_a_full_disk_is_passed_on_and_the_old_value_stays(
    graph_run: GraphRun, root: Path, tmp_path: Path
) -> None:
    graph = tmp_path / "small"
    graph.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "small", graph], check=True)
    try:
        with serving(str(graph), graph_run.run, root, driver="vfs") as daemon:
            image = daemon.root / "images" / "shop"
            image.mkdir()
            (image / "big-data" / "x").write_bytes(b"old")
            fd = os.open(image / "big-data" / "x", os.O_WRONLY | os.O_TRUNC)
            os.write(fd, bytes(6 << 20))
            with pytest.raises(OSError) as caught:
                os.close(fd)
            assert errno.ENOSPC == caught.value.errno
            assert "ENOSPC" == (daemon.root / "errors").read_text().split("  ")[3]
            assert b"old" == (image / "big-data" / "x").read_bytes()
            (image / "big-data" / "x").write_bytes(b"new")
            assert b"new" == (image / "big-data" / "x").read_bytes()
    finally:
        detach(str(graph))


def test_locks_are_the_kernel_s_own(shop: Shop) -> None:
    first, second = (os.open(shop.images / "shop" / "names", os.O_RDWR) for _ in range(2))
    fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with pytest.raises(BlockingIOError):
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.lockf(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(first)
    fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(second)


def test_inotify_sees_what_is_done_here_and_events_the_rest(shop: Shop) -> None:
    with inotify_simple.INotify() as inotify:
        inotify.add_watch(str(shop.images / "by-name"), inotify_simple.flags.CREATE)
        shop.go.run("add-names", "-n", "other", shop.scene.image)
        eventually(lambda: "other" in os.listdir(shop.images / "by-name"))
        (shop.images / "by-name" / "here").symlink_to("../shop")

        assert select.select([inotify], [], [], PATIENCE_S)[0]
        assert ["here"] == [event.name for event in inotify.read(timeout=0)]
    said = (shop.root / "events").read_text().splitlines()
    assert ["other", "here"] == json.loads(said[-1])["names"][-2:]
