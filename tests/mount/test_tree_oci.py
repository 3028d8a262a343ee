"""`oci`: every image as an OCI image layout, read by the tools that read those."""

import errno
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import GraphRun
from tests.mount.daemons import PATIENCE_S, serving
from tests.mount.difftars import LARGE, go_diff
from tests.mount.scene import Scene
from tests.mount.shop import Shop
from tests.peers import DEMO_IMAGE, DEMO_MOTD, GoStore, Skopeo

pytestmark = pytest.mark.needs("root", "fuse", "overlay", "containers-storage")


def call(*words: str) -> str:
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=2 * PATIENCE_S, stdin=subprocess.DEVNULL
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def blob(layout: Path, descriptor: dict[str, Any]) -> bytes:
    """Return what a descriptor stands for, after a look at its size and digest."""
    digest: str = descriptor["digest"]
    algorithm, _, digits = digest.partition(":")
    path = layout / "blobs" / algorithm / digits
    assert descriptor["size"] == path.stat().st_size
    data = path.read_bytes()
    assert digits == sha256(data)
    return data


def manifest_of(layout: Path) -> dict[str, Any]:
    (descriptor,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    found: dict[str, Any] = json.loads(blob(layout, descriptor))
    return found


# -- what is in it -----------------------------------------------------------------------------


def test_the_layout_is_what_the_image_says(shop: Shop) -> None:
    layout = shop.images / "shop" / "oci"

    manifest = manifest_of(layout)

    assert b'{"imageLayoutVersion":"1.0.0"}' == (layout / "oci-layout").read_bytes()
    assert ["oci-layout", "index.json", "blobs"] == os.listdir(layout)
    layers = [blob(layout, descriptor) for descriptor in manifest["layers"]]
    chain = [shop.scene.base, shop.scene.top]
    assert [go_diff(shop, layer_id) for layer_id in chain] == layers
    config = json.loads(blob(layout, manifest["config"]))
    assert [f"sha256:{sha256(data)}" for data in layers] == config["rootfs"]["diff_ids"]
    index = json.loads((layout / "index.json").read_bytes())
    annotations = index["manifests"][0]["annotations"]
    assert {"org.opencontainers.image.ref.name": "shop"} == annotations
    expected = {d["digest"].partition(":")[2] for d in manifest["layers"]}
    expected |= {manifest["config"]["digest"].partition(":")[2]}
    expected |= {index["manifests"][0]["digest"].partition(":")[2]}
    assert expected == set(os.listdir(layout / "blobs" / "sha256"))


def test_the_link_leads_there_at_every_depth_and_is_not_listed(shop: Shop) -> None:
    inner = f".oci/{shop.scene.image}"
    for path in ("images/shop", f"images/{shop.scene.image}", "layers/top/images/shop"):
        target = os.readlink(shop.root / path / "oci")
        assert os.path.normpath(f"{path}/{target}") == inner
    assert ".oci" not in os.listdir(shop.root)
    assert [shop.scene.image] == os.listdir(shop.root / ".oci")
    assert not (shop.root / ".oci" / "shop").exists()


def test_a_blob_is_read_at_any_offset(shop: Shop) -> None:
    shop.layers.joinpath("packed").mkdir()
    (shop.layers / "packed" / "diff.tar").write_bytes(LARGE)
    (shop.layers / "packed" / "images" / "box").mkdir()
    path = shop.images / "box" / "oci" / "blobs" / "sha256" / sha256(LARGE)

    with path.open("rb", buffering=0) as file:
        for off in (len(LARGE) - 700, 511, 0, 70_001, 1 << 17):
            file.seek(off)
            assert LARGE[off : off + 5000] == file.read(5000)
    assert len(LARGE) == path.stat().st_size


def test_nothing_in_it_can_be_changed(shop: Shop) -> None:
    layout = shop.root / ".oci" / shop.scene.image
    index = f".oci/{shop.scene.image}/index.json"
    with shop.refused(errno.EACCES, "open", index):
        os.open(shop.root / index, os.O_WRONLY)
    for path in (layout / "index.json", next((layout / "blobs" / "sha256").iterdir())):
        with shop.refused(errno.EPERM, "unlink", path):
            path.unlink()
    with shop.refused(errno.EPERM, "create", f".oci/{shop.scene.image}/x"):
        (layout / "x").touch()
    with shop.refused(errno.EPERM, "mkdir", ".oci/x"):
        (shop.root / ".oci" / "x").mkdir()


def test_an_image_of_other_layers_than_its_config_tells_is_refused_in_words(shop: Shop) -> None:
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]}}).encode()
    key = f"sha256:{sha256(config)}"
    manifest = {"schemaVersion": 2, "config": {"digest": key, "size": len(config)}, "layers": []}
    shop.scene.store.set_big_data("images", "shop", key, config)
    shop.scene.store.set_big_data("images", "shop", "manifest", json.dumps(manifest).encode())

    with pytest.raises(OSError) as caught:
        (shop.images / "shop" / "oci" / "index.json").read_bytes()

    assert errno.EINVAL == caught.value.errno
    assert "other layers than the image has" in shop.errors()[-1]


def test_it_follows_the_image(shop: Shop) -> None:
    layout = shop.images / shop.scene.image / "oci"
    before = (layout / "index.json").read_bytes()

    (shop.images / "by-name" / "shop").rename(shop.images / "by-name" / "store")
    after = (layout / "index.json").read_bytes()
    assert b'"store"' in after and len(after) == (layout / "index.json").stat().st_size
    assert after == before.replace(b'"shop"', b'"store"')
    (shop.containers / "web").rmdir()
    (shop.images / "store").rmdir()

    assert not (shop.root / ".oci" / shop.scene.image / "index.json").exists()
    assert [] == os.listdir(shop.root / ".oci")


def test_recursive_tools_stay_out(shop: Shop) -> None:
    said = shop.sh(
        "find . -name index.json; tar c --exclude=diff.tar . | tar t | grep index.json || true"
    )

    assert "" == said


def test_a_read_only_mount_shows_it_too(scene: Scene, root: Path) -> None:
    scene.store.seal_chain(scene.top)
    with serving(scene.go.graph, scene.go.run_root, root, "ro") as daemon:
        layout = Shop(scene, daemon).images / "shop" / "oci"
        assert 2 == len([blob(layout, d) for d in manifest_of(layout)["layers"]])


# -- the real tools ----------------------------------------------------------------------------


@pytest.fixture
def demo(demo_store: GoStore, root: Path) -> Iterator[Path]:
    """Give the layout of buildah's demo image, mounted."""
    with serving(demo_store.graph, demo_store.run_root, root):
        path = root / "images" / DEMO_IMAGE.replace("/", "%2F") / "oci"
        yield Path(os.path.realpath(path))


@pytest.mark.needs("buildah", "busybox", "skopeo")
def test_skopeo_copies_it_with_every_digest(
    demo: Path, demo_store: GoStore, tmp_path: Path
) -> None:
    (original,) = demo_store.json("image", DEMO_IMAGE)
    config = next(key for key in original["big-data-names"] if key.startswith("sha256:"))

    call("skopeo", "copy", "-q", "--insecure-policy", f"oci:{demo}", f"oci:{tmp_path}/copy:x")

    manifest = manifest_of(demo)
    assert config == manifest["config"]["digest"] == f"sha256:{demo.name}"
    copied = manifest_of(tmp_path / "copy")
    assert config == copied["config"]["digest"]
    diff_ids = json.loads(blob(demo, manifest["config"]))["rootfs"]["diff_ids"]
    assert diff_ids == [layer["digest"] for layer in manifest["layers"]]
    said = json.loads(call("skopeo", "inspect", "--config", f"oci:{tmp_path}/copy:x"))
    assert diff_ids == said["rootfs"]["diff_ids"]


@pytest.mark.needs("buildah", "busybox", "skopeo")
def test_skopeo_puts_it_into_another_store_as_the_same_image(
    demo: Path, demo_store: GoStore, stores: Any
) -> None:
    other: GraphRun = stores()
    skopeo = Skopeo(*other)

    skopeo.run("--insecure-policy", "copy", "-q", f"oci:{demo}", skopeo.ref("copied"))

    go = GoStore(*other)
    (image,) = go.json("images")
    assert demo.name == image["id"]
    there = {layer["diff-digest"] for layer in go.json("layers")}
    here = {layer["diff-digest"] for layer in demo_store.json("layers")}
    assert there <= here and 2 == len(there)


@pytest.mark.needs("buildah", "busybox", "umoci")
def test_umoci_lists_and_unpacks_it(demo: Path, tmp_path: Path) -> None:
    assert DEMO_IMAGE in call("umoci", "ls", "--layout", str(demo))

    call("umoci", "unpack", "--image", f"{demo}:{DEMO_IMAGE}", str(tmp_path / "bundle"))

    assert DEMO_MOTD == (tmp_path / "bundle/rootfs/etc/motd").read_text()


@pytest.mark.needs("buildah", "busybox", "skopeo")
def test_tar_makes_an_archive_of_it(demo: Path, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"

    assert "" == call("tar", "cf", str(archive), "-C", str(demo), ".")

    said = json.loads(call("skopeo", "inspect", "--config", f"oci-archive:{archive}"))
    manifest = manifest_of(demo)
    assert said["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]
