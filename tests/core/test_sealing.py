"""What an image stands on has a digest and a tar, and these are of all that is in the layer."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from holdfs.core import bigdata
from holdfs.core.store import Store
from holdfs.native.untar import Compression
from tests.core.test_filling import TAR, diff_of, import_layer, tar_of
from tests.needs import needs
from tests.peers import GoStore, Podman

pytestmark = needs("root", "overlay", "containers-storage", "podman")


def put(store: Store, ref: str, name: str, text: str) -> None:
    top = store.mount(ref)
    Path(top, name).write_text(text)
    store.unmount(ref)


def test_a_layer_filled_through_its_mount_gets_a_digest_that_the_go_tool_finds_too(
    store: Store, go: GoStore, tmp_path: Path
) -> None:
    store.create_layer(names=["app"])
    put(store, "app", "file", "content")
    layer = store.seal("app")
    stream = diff_of(store, "app", tmp_path)
    assert (f"sha256:{hashlib.sha256(stream).hexdigest()}", len(stream)) == (
        layer.diff_digest,
        layer.diff_size,
    )
    assert stream == go.run_bytes("diff", "-u", "app").stdout
    assert [] == os.listdir(f"{store.graph_root}/tmp")


def test_a_layer_that_holds_just_its_stream_is_left_as_it_is(store: Store) -> None:
    layer = import_layer(store, TAR, names=["app"])
    before = store.snapshot().layers.raw(layer.id)
    assert layer == store.seal("app")
    assert before == store.snapshot().layers.raw(layer.id)


@pytest.mark.parametrize("change", ["added", "changed", "removed", "mode", "time"])
def test_what_came_after_the_stream_is_sealed_with_it(
    store: Store, go: GoStore, change: str, tmp_path: Path
) -> None:
    layer = import_layer(store, TAR, names=["app"])
    top = Path(store.mount("app"))
    match change:
        case "added":
            (top / "later").write_text("later")
        case "changed":
            (top / "etc/motd").write_text("HELLO\n")
        case "removed":
            (top / "big").unlink()
        case "mode":
            (top / "etc/motd").chmod(0o600)
        case "time":
            os.utime(top / "big", (5, 5))
    store.unmount("app")

    sealed = store.seal("app")

    assert layer.diff_digest != sealed.diff_digest
    stream = go.run_bytes("diff", "-u", "app").stdout
    assert f"sha256:{hashlib.sha256(stream).hexdigest()}" == sealed.diff_digest
    assert (b"later" in stream, b"big" in stream) == (change == "added", change != "removed")
    assert [] == os.listdir(f"{store.graph_root}/tmp")


def test_a_layer_that_others_stand_on_keeps_its_digest(store: Store) -> None:
    layer = import_layer(store, TAR, names=["app"])
    store.create_layer(parent="app")
    put(store, "app", "later", "x")
    assert layer.diff_digest == store.seal("app").diff_digest


def test_a_child_is_sealed_with_its_deletions(store: Store, tmp_path: Path) -> None:
    import_layer(store, TAR, names=["base"])
    child = import_layer(store, tar_of(("etc/.wh.motd", b"")), parent="base", names=["child"])
    assert child == store.seal("child")
    put(store, "child", "new", "n")
    store.seal("child")
    stream = diff_of(store, "child", tmp_path)
    assert b"etc/.wh.motd" in stream
    assert b"new" in stream


def test_an_image_made_by_hand_is_one_that_podman_lists_and_saves(
    store: Store, tmp_path: Path
) -> None:
    store.create_layer(names=["app"])
    put(store, "app", "file", "content")
    image = store.create_described_image(layer="app", names=("localhost/shop:1",))
    assert {bigdata.DESCRIBED: True} == image.flags
    podman = Podman(store.graph_root, store.run_root, driver=store.driver.name)
    assert [image.id] == [entry["Id"] for entry in podman.json("images")]
    podman.run("save", "-o", str(tmp_path / "shop.tar"), "localhost/shop:1")
    podman.run("rmi", "localhost/shop:1")
    podman.run("load", "-i", str(tmp_path / "shop.tar"))
    (loaded,) = store.snapshot().images.ids
    assert image.names == store.snapshot().images.names_of(loaded)


def test_a_real_manifest_takes_the_place_of_ours(store: Store) -> None:
    image = store.create_described_image(names=("shop",))
    ours = image.digest
    real = b'{"schemaVersion":2,"layers":[]}'
    store.set_big_data("images", "shop", "manifest", real)
    fresh = store.snapshot().images.one(image.id)
    assert ours != fresh.digest == f"sha256:{hashlib.sha256(real).hexdigest()}"
    assert {} == fresh.flags
    store.set_big_data("images", "shop", "manifest", b"{}")
    assert fresh.digest == store.snapshot().images.one(image.id).digest


def test_a_described_image_gets_its_layer_later(store: Store) -> None:
    image = store.create_described_image(names=("shop",))
    layer = import_layer(store, TAR, names=["app"])
    store.set_top_layer("shop", "app")
    manifest = store.read_big_data("images", image.id, "manifest")
    assert layer.diff_digest.encode() in manifest
    assert (
        f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        == store.snapshot().images.one(image.id).digest
    )


def test_a_failing_diff_is_told_and_leaves_the_layer_as_it_is(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = store.create_layer(names=["app"])
    put(store, "app", "file", "content")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "write_diff", full)
    before = store.snapshot().layers.raw(layer.id)
    started = time.monotonic()
    with pytest.raises(OSError, match="No space left"):
        store.seal("app")
    assert time.monotonic() - started < 60
    assert before == store.snapshot().layers.raw(layer.id)
    assert [] == os.listdir(f"{store.graph_root}/tmp")
    assert Compression.NONE == store.snapshot().layers.one(layer.id).compression
