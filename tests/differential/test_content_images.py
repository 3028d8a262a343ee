"""
Images that we made, in the hands of skopeo, podman and buildah: nobody complains, digests stay.

    docker-archive, oci   ── holdctl import ──╮
    mkdir and cp, no tool ── the store's API ─┼──► skopeo copy, podman save, image mount,
    streams ── holdctl import-layer ──────────╯    buildah from
"""

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import DriverRoots, GraphRun
from tests.differential.live import Live
from tests.needs import needs
from tests.peers import DEMO_IMAGE, DEMO_MOTD, Peer, Skopeo, build_demo_image

pytestmark = needs(
    "root", "overlay", "containers-storage", "podman", "buildah", "skopeo", "busybox"
)

NAME = "localhost/made:1"


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give an image of two layers that the Go tools made, in each form, and its ID as `id`."""
    top = tmp_path_factory.mktemp("demo")
    image_id = build_demo_image(f"{top}/graph", f"{top}/run", "vfs")
    skopeo = Skopeo(f"{top}/graph", f"{top}/run", "vfs")
    paths = {"oci": f"{top}/oci", "docker-archive": f"{top}/docker.tar"}
    for form, path in paths.items():
        skopeo.run("copy", "-q", skopeo.ref(DEMO_IMAGE), f"{form}:{path}:{NAME}")
    return {"id": image_id, **paths}


@pytest.fixture
def live(driver_roots: DriverRoots) -> Iterator[Live]:
    live = Live(driver_roots.roots, driver_roots.driver)
    yield live
    live.store.shutdown(force=True)


def imported(live: Live, archives: dict[str, str], form: str) -> str:
    image: dict[str, Any] = live.holdctl.json("import", archives[form])
    assert (archives["id"], [NAME]) == (image["id"], image["names"])
    return archives["id"]


def made_by_hand(live: Live, archives: dict[str, str], form: str) -> str:
    """Make two layers through their mounts, as mkdir in the tree does, and an image on them."""
    store = live.store
    for layer, parent in (("base", ""), ("top", "base")):
        store.create_layer(names=[layer], parent=parent)
        top = Path(store.mount(layer))
        if not parent:
            for name in ("bin", "etc"):
                (top / name).mkdir()
            shutil.copy("/bin/busybox", top / "bin/busybox")
            (top / "bin/sh").symlink_to("busybox")
            (top / "etc/gone").write_text("x")
        else:
            (top / "etc/motd").write_text(DEMO_MOTD)
            (top / "etc/gone").unlink()
        store.unmount(layer)
    return store.create_described_image(layer="top", names=(NAME,)).id


def made_of_streams(live: Live, archives: dict[str, str], form: str) -> str:
    """Make layers of the archive's streams with import-layer, and an image on them."""
    parent: tuple[str, ...] = ()
    with tarfile.open(archives["docker-archive"]) as archive:
        [entry] = json.load(archive.extractfile("manifest.json") or io.BytesIO())
        for member in entry["Layers"]:
            stream = archive.extractfile(member)
            assert stream is not None
            made = live.holdctl.run("import-layer", "-r", *parent, input=stream.read())
            parent = (made.stdout.strip(),)
    return live.store.create_described_image(layer=parent[0], names=(NAME,)).id


@pytest.mark.parametrize(
    ("form", "make"),
    [
        ("docker-archive", imported),
        ("oci", imported),
        ("hand", made_by_hand),
        ("streams", made_of_streams),
    ],
)
def test_an_image_of_ours_goes_through_every_tool_with_its_digests(
    live: Live,
    form: str,
    make: Callable[[Live, dict[str, str], str], str],
    archives: dict[str, str],
    stores: Callable[[], GraphRun],
    tmp_path: Path,
) -> None:
    image_id = make(live, archives, form)
    record = live.records("images")[image_id]
    diffs = diff_digests(live, record["layer"])

    # The record, as podman reads it.
    quiet(live.podman, "images")
    [shown] = json.loads(quiet(live.podman, "image", "inspect", NAME))
    assert (image_id, record["digest"], diffs) == (
        shown["Id"],
        shown["Digest"],
        shown["RootFS"]["Layers"],
    )

    # The content, mounted and worked on.
    top = Path(quiet(live.podman, "image", "mount", NAME).strip())
    assert DEMO_MOTD == (top / "etc/motd").read_text()
    assert not (top / "etc/gone").exists()
    quiet(live.podman, "image", "unmount", NAME)
    working = quiet(live.buildah, "from", "--pull-never", NAME).strip()
    quiet(live.buildah, "run", "--isolation", "chroot", working, "/bin/busybox", "true")
    quiet(live.buildah, "rm", working)

    # The streams, all there with the digests that the documents name.
    skopeo = Skopeo(*live.roots, live.driver)
    for target in (f"dir:{tmp_path}/dir", f"oci:{tmp_path}/oci:x"):
        quiet(skopeo, "copy", skopeo.ref(NAME), target)
    manifest = json.loads((tmp_path / "dir/manifest.json").read_bytes())
    config = json.loads(live.store.read_big_data("images", image_id, "manifest"))["config"][
        "digest"
    ]
    assert config == manifest["config"]["digest"]
    for digest in (manifest["config"]["digest"], *(each["digest"] for each in manifest["layers"])):
        data = (tmp_path / "dir" / digest.removeprefix("sha256:")).read_bytes()
        assert digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert diffs == [each["digest"] for each in manifest["layers"]]
    quiet(live.podman, "save", "-o", f"{tmp_path}/saved.tar", NAME)

    # And back, in a store of the Go tools alone.
    other = Live(stores(), "vfs")
    back = Skopeo(*other.roots, "vfs")
    for source in (f"dir:{tmp_path}/dir", f"oci:{tmp_path}/oci:x"):
        quiet(back, "copy", source, back.ref("localhost/back:1"))
        [(found_id, found)] = other.records("images").items()
        assert (config, diffs) == (f"sha256:{found_id}", diff_digests(other, found["layer"]))
        quiet(other.podman, "rmi", "localhost/back:1")
    quiet(other.podman, "load", "-i", f"{tmp_path}/saved.tar")
    assert [config.removeprefix("sha256:")] == list(other.records("images"))
    assert "" == live.holdctl.out("check")


def test_an_imported_image_is_copied_out_as_one_that_skopeo_brought(
    live: Live, archives: dict[str, str], stores: Callable[[], GraphRun], tmp_path: Path
) -> None:
    imported(live, archives, "oci")
    theirs = Skopeo(*stores(), "vfs")
    ours = Skopeo(*live.roots, live.driver)
    quiet(theirs, "copy", f"oci:{archives['oci']}:{NAME}", theirs.ref(NAME))

    for skopeo, name in ((theirs, "theirs"), (ours, "ours")):
        quiet(skopeo, "copy", skopeo.ref(NAME), f"dir:{tmp_path}/{name}")

    files = [
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("theirs", "ours")
    ]
    assert files[0] == files[1]


@pytest.mark.parametrize("form", ["docker-archive", "oci"])
def test_an_import_makes_the_record_that_skopeo_makes(
    live: Live, archives: dict[str, str], stores: Callable[[], GraphRun], form: str
) -> None:
    """Digest, time, data items and their order, metadata: all of it."""
    imported(live, archives, form)
    theirs = Live(stores(), "vfs")
    skopeo = Skopeo(*theirs.roots, "vfs")
    quiet(skopeo, "copy", f"{form}:{archives[form]}", skopeo.ref(NAME))

    assert theirs.records("images") == live.records("images")
    items = [
        {path.name: path.read_bytes() for path in of.path("images", archives["id"]).iterdir()}
        for of in (theirs, live)
    ]
    assert items[0] == items[1]
    assert theirs.records("layers").keys() == live.records("layers").keys()


def quiet(peer: Peer, *words: str) -> str:
    """Return what a command says; it has to succeed, and has nothing to complain of."""
    done = peer.run(*words)
    said = done.stderr.lower()
    assert not [word for word in ("warn", "error", "fail", "level=") if word in said], done.stderr
    return done.stdout


def diff_digests(live: Live, top: str) -> list[str]:
    """Return the digests of a layer and of all below it, base first."""
    layers = live.records("layers")
    found: list[str] = []
    while top:
        found.insert(0, layers[top]["diff-digest"])
        top = layers[top].get("parent", "")
    return found
