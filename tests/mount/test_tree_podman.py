"""A store that buildah has made, mounted, with podman at work on it at the same time."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mount.daemons import eventually, serving
from tests.peers import DEMO_BASE_IMAGE, DEMO_IMAGE, DEMO_MOTD, Buildah, GoStore, Podman

pytestmark = pytest.mark.needs(
    "root", "fuse", "overlay", "containers-storage", "podman", "buildah", "busybox"
)

DEMO = DEMO_IMAGE.replace("/", "%2F")


@pytest.fixture
def mnt(demo_store: GoStore, root: Path) -> Iterator[Path]:
    """Give the mount of the demo store."""
    with serving(demo_store.graph, demo_store.run_root, root) as daemon:
        yield daemon.root


@pytest.fixture
def podman(demo_store: GoStore) -> Podman:
    return Podman(demo_store.graph, demo_store.run_root)


def tags(podman: Podman) -> set[str]:
    """Return all names of images as podman lists them."""
    return {name for image in podman.json("images", "-a") for name in image["Names"] or ()}


def test_an_image_is_read_down_to_its_files(mnt: Path, podman: Podman) -> None:
    image = mnt / "images" / "by-name" / "localhost" / "demo:latest"
    inspected = podman.json("image", "inspect", DEMO_IMAGE)[0]

    assert DEMO_MOTD == (image / "rootfs" / "etc" / "motd").read_text()
    assert (image / "rootfs" / "etc" / "os-release").read_text()
    assert f"{inspected['Id']}\n" == (image / "id").read_text()
    assert f"{inspected['Digest']}\n" == (image / "digest").read_text()
    assert '"DEMO=1"' in (image / "config").read_text()
    assert len(inspected["RootFS"]["Layers"]) == len(os.listdir(image / "layers"))


def test_podman_shows_the_names_that_the_tree_makes_and_drops(mnt: Path, podman: Podman) -> None:
    by_name = mnt / "images" / "by-name"
    (by_name / "quay.io" / "me").mkdir(parents=True)
    link = by_name / "quay.io" / "me" / "shop:1"

    link.symlink_to("../../localhost/demo:latest")
    assert "quay.io/me/shop:1" in tags(podman)
    link.rename(by_name / "quay.io" / "me" / "shop:2")
    assert {"quay.io/me/shop:2", DEMO_IMAGE, DEMO_BASE_IMAGE} == tags(podman)
    (by_name / "quay.io" / "me" / "shop:2").unlink()
    assert {DEMO_IMAGE, DEMO_BASE_IMAGE} == tags(podman)


def test_the_tree_shows_what_podman_changes(mnt: Path, podman: Podman) -> None:
    names = mnt / "images" / DEMO / "names"
    by_name = mnt / "images" / "by-name"
    assert f"{DEMO_IMAGE}\n" == names.read_text()
    assert ["localhost"] == os.listdir(by_name)

    podman.run("tag", DEMO_IMAGE, "quay.io/me/other:3")
    eventually(lambda: "quay.io/me/other:3\n" in names.read_text())
    assert (by_name / "quay.io" / "me" / "other:3" / "id").read_text()
    podman.run("untag", DEMO_IMAGE, "quay.io/me/other:3")
    eventually(lambda: ["localhost"] == os.listdir(by_name))
    podman.run("rmi", DEMO_IMAGE)
    eventually(lambda: not (mnt / "images" / DEMO).exists())
    assert (mnt / "images" / "by-name" / "localhost" / "demo-base:latest").exists()


def test_buildah_uses_a_container_that_mkdir_made(
    mnt: Path, demo_store: GoStore, podman: Podman
) -> None:
    (mnt / "images" / DEMO / "containers" / "web").mkdir()
    (mnt / "containers" / "web" / "rootfs" / "made").write_text("through the tree\n")
    (mnt / "containers" / "web" / "metadata").write_text("some text\n")

    listed = podman.json("ps", "--all", "--external")
    assert [["web"]] == [container["Names"] for container in listed]
    mounted = demo_store.out("mount", "web")
    assert "through the tree\n" == Path(mounted, "made").read_text()
    demo_store.run("unmount", "web")
    (mnt / "containers" / "web").rmdir()
    assert [] == podman.json("ps", "--all", "--external")


def test_the_tree_shows_a_working_container_of_buildah(mnt: Path, demo_store: GoStore) -> None:
    buildah = Buildah(demo_store.graph, demo_store.run_root)
    name = buildah.out("from", "--pull-never", DEMO_IMAGE)

    eventually(lambda: (mnt / "containers" / name).exists())
    assert DEMO_MOTD == (mnt / "containers" / name / "rootfs" / "etc" / "motd").read_text()
    assert "Volatile" in (mnt / "containers" / name / "flags").read_text()
    assert "ok\n" == (mnt / "containers" / name / "health").read_text()
    buildah.run("rm", name)
    eventually(lambda: not (mnt / "containers" / name).exists())


def test_the_tree_removes_an_image_as_podman_would(mnt: Path, podman: Podman) -> None:
    layers = len(os.listdir(mnt / "layers"))

    (mnt / "images" / DEMO).rmdir()

    assert {DEMO_BASE_IMAGE} == tags(podman)
    assert layers - 1 == len(os.listdir(mnt / "layers"))
    assert [] == podman.json("image", "ls", "--filter", "dangling=true")
