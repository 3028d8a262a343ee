"""
One live store, our Store and the Go tools taking turns: each sees at once what the other did.

Our Store stays open all the time, as in the daemon; the Go tools are a process per act.
"""

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest

from holdfs.core.errors import StoreError
from holdfs.core.formats.digests import digest
from holdfs.core.sets import Kind
from tests.differential.conftest import fill
from tests.differential.live import KINDS, Live, assert_same_views
from tests.needs import needs

pytestmark = needs("root", "overlay", "containers-storage")

NAMES = [f"name-{i}" for i in range(6)]
STEPS = 100


class Turn(NamedTuple):
    """One random act, to be done by either side; what each refuses the other refuses."""

    words: list[str]
    ours: Callable[[], object]
    input: str = ""


def turns(live: Live, rng: random.Random, number: int) -> Turn:
    """Return an act on what is in the store now."""
    store = live.store
    view = store.snapshot()

    def some(ids: Sequence[str]) -> str:
        return rng.choice([*ids, *ids, "nope"])

    layer, image = some(view.layers.ids), some(view.images.ids)
    container = some(view.containers.ids)
    refs: list[tuple[Kind, str]] = [
        ("layers", layer),
        ("images", image),
        ("containers", container),
    ]
    kind, ref = rng.choice(refs)
    name, new = rng.choice(NAMES), f"{number:04d}-new"
    data = str(number)
    return rng.choice(
        [
            Turn(["create-layer", "-i", new], lambda: store.create_layer(layer_id=new)),
            Turn(
                ["create-layer", "-i", new, "-n", name, layer],
                lambda: store.create_layer(layer_id=new, names=[name], parent=layer),
            ),
            Turn(
                ["create-image", "-i", new, "-n", name, layer],
                lambda: store.create_image(image_id=new, names=[name], layer=layer),
            ),
            Turn(["create-image", "-i", new], lambda: store.create_image(image_id=new)),
            Turn(
                ["create-container", "-i", new, "-n", name, image],
                lambda: store.create_container(container_id=new, names=[name], image=image),
            ),
            Turn(
                ["set-names", "-n", name, "-n", data, ref],
                lambda: store.set_names(kind, ref, [name, data]),
            ),
            Turn(["set-names", ref], lambda: store.set_names(kind, ref, [])),
            Turn(
                ["set-metadata", "-m", data, ref],
                lambda: store.set_metadata(kind, ref, data),
            ),
            Turn(
                ["set-image-data", image, f"manifest-{name}"],
                lambda: store.set_big_data("images", image, f"manifest-{name}", data.encode()),
                input=data,
            ),
            Turn(
                ["set-container-data", container, name],
                lambda: store.set_big_data("containers", container, name, data.encode()),
                input=data,
            ),
            Turn(
                ["set-layer-data", layer, name],
                lambda: store.set_big_data("layers", layer, name, data.encode()),
                input=data,
            ),
            Turn(["mount", container], lambda: store.mount(container)),
            Turn(["unmount", container], lambda: store.unmount(container)),
            Turn(["unmount", "-f", container], lambda: store.unmount(container, force=True)),
            Turn(["delete-layer", layer], lambda: store.delete_layer(layer)),
            Turn(["delete-image", image], lambda: store.delete_image(image)),
            Turn(["delete-container", container], lambda: store.delete_container(container)),
        ]
    )


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_after_every_turn_both_see_the_same_store(live: Live, driver: str, seed: int) -> None:
    live.driver = live.go.driver = driver
    rng = random.Random(seed)
    done = {"go": 0, "ours": 0}
    fill(live)
    for number in range(STEPS):
        turn = turns(live, rng, number)
        who = rng.choice(("go", "ours"))
        if who == "go":
            done[who] += not live.go.run(*turn.words, input=turn.input, check=False).returncode
        else:
            try:
                turn.ours()
                done[who] += 1
            except StoreError:
                pass
        assert_same_views(live)
    assert min(done.values()) > STEPS // 8, "hardly any act did anything"
    for container in live.records("containers"):
        live.go.run("unmount", "--force", container)
    assert not live.mounts()


def test_a_name_that_the_other_takes_is_gone_at_once(live: Live) -> None:
    store = live.store
    store.create_image(image_id="ours", names=["shared", "mine"])
    live.go.run("create-image", "-i", "theirs")

    live.go.run("set-names", "-n", "shared", "theirs")
    assert ("mine",) == store.snapshot().images.names_of("ours")
    assert "theirs" == store.snapshot().images.resolve("shared")

    store.add_names("images", "ours", ["shared"])
    assert [] == live.go.json("get-names", "theirs")
    assert ["shared", "mine"] == live.go.json("get-names", "ours")


def test_data_written_by_one_is_read_by_the_other(live: Live) -> None:
    store = live.store
    store.create_image(image_id="image", names=["name"])
    odd = bytes(range(256)) * 300

    for key in ("manifest", "A-b", "é", "x" * 100):
        store.set_big_data("images", "name", key, odd)
        assert odd == live.go.run_bytes("get-image-data", "name", key).stdout
        live.go.run("set-image-data", "image", key, input=odd[::-1])
        assert odd[::-1] == store.read_big_data("images", "image", key)
        size = live.go.out("get-image-data-size", "image", key)
        assert store.snapshot().images.one("image").big_data_sizes[key] == int(size)
        digest = live.go.out("get-image-data-digest", "image", key)
        assert store.snapshot().images.one("image").big_data_digests[key] == digest

    [found] = live.go.json("images-by-digest", store.snapshot().images.one("image").digest)
    assert "image" == found["id"]


def test_counts_of_both_add_up_to_one_kernel_mount(live: Live) -> None:
    store = live.store
    store.create_layer(layer_id="base")
    store.create_image(image_id="image", layer="base")
    container = store.create_container(image="image", names=["c"])

    path = store.mount("c")
    assert path == live.go.out("mount", "c")
    assert path == live.holdctl.out("mount", "c")
    assert 3 == live.count(container.layer) == store.mounted("c")
    with open(f"{path}/file", "w", encoding="ascii") as file:
        file.write("written through the mount")

    assert store.unmount("c")
    assert "" == live.go.out("unmount", "c")
    assert path in _kernel_mounts()
    assert "c mountpoint unmounted" == live.holdctl.out("unmount", "c")
    assert path not in _kernel_mounts()
    assert 0 == store.mounted("c")

    # And what was written is there for the next one.
    with open(f"{live.go.out('mount', 'c')}/file", encoding="ascii") as file:
        assert "written through the mount" == file.read()
    assert not store.unmount("c")
    assert path not in _kernel_mounts()


def test_a_mount_that_the_kernel_lost_is_made_anew_and_its_count_goes_on(live: Live) -> None:
    store = live.store
    store.create_layer(layer_id="layer")
    path = live.go.out("mount", "layer")
    live.go.run("unmount", "-f", "layer")
    live.path("mountpoints").write_text(json.dumps([{"id": "layer", "path": path, "count": 2}]))

    assert path == store.mount("layer")
    assert path in _kernel_mounts()
    assert 3 == live.count("layer")
    store.unmount("layer", force=True)


def test_shutdown_by_either_leaves_a_store_that_both_go_on_with(live: Live) -> None:
    store = live.store
    store.create_layer(layer_id="one")

    live.go.run("shutdown")
    store.mount("one")
    store.unmount("one")
    store.shutdown()
    assert live.go.run("shutdown").returncode == 0
    assert not [path for path in _kernel_mounts() if path.startswith(live.roots.graph)]
    live.go.run("mount", "one")
    live.go.run("unmount", "one")
    store.create_layer(layer_id="two", parent="one")
    assert_same_views(live)


def test_a_store_wiped_by_one_is_empty_for_the_other(live: Live) -> None:
    store = live.store
    for wipe in (store.wipe, lambda: live.go.run("wipe")):
        live.go.run("create-layer", "-i", "layer")
        store.create_image(image_id="image", layer="layer")
        live.go.run("create-container", "-i", "container", "image")
        wipe()
        view = store.snapshot()
        assert (0, 0, 0) == (len(view.layers), len(view.images), len(view.containers))
        assert_same_views(live)


def test_unknown_keys_survive_our_changes_and_the_go_tool_reads_past_them(live: Live) -> None:
    live.go.run("create-layer", "-i", "layer", "-n", "l")
    live.go.run("create-layer", "-i", "other")
    live.go.run("create-image", "-i", "image", "-n", "i", "layer")
    live.go.run("create-container", "-i", "container", "-n", "c", "image")
    odd = b'"x-newer":{"k": [1, 2.50, null,"\\u00e9"]},"toc-digest":"sha256:x","names":['
    for kind in KINDS:
        path = live.path(kind)
        path.write_bytes(path.read_bytes().replace(b'"names":[', odd))
        # As whoever writes the file does; without it a running tool would not look.
        live.path(kind, f"{kind}.lock").write_bytes(bytes(64))
    store = live.store

    store.set_names("layers", "layer", ["l2"])
    store.create_layer(layer_id="third", parent="layer")
    store.delete_layer("other")
    store.set_big_data("images", "image", "manifest", b"{}")
    store.set_metadata("containers", "container", "m")

    for kind in KINDS:
        text = live.file(kind)
        assert b'"x-newer":{"k": [1, 2.50, null,"\\u00e9"]}' in text
        [record] = [r for r in json.loads(text) if "x-newer" in r]
        assert "sha256:x" == record["toc-digest"]
    assert ["l2"] == live.go.json("get-names", "layer")
    assert_same_views_but_for_new_keys(live)


def assert_same_views_but_for_new_keys(live: Live) -> None:
    for kind in KINDS:
        ours = re.sub(rb',"toc-digest":"[^"]*"', b"", live.our_view(kind))
        assert live.gos_view(kind) == ours


@needs("buildah", "podman", "busybox")
def test_podman_and_buildah_work_on_what_we_change_and_we_on_theirs(live: Live) -> None:
    store = live.store
    working = live.buildah.out("from", "scratch")
    view = store.snapshot()
    assert working in view.containers.by_name
    live.buildah.run("commit", "--quiet", working, "localhost/made:latest")
    image_id = store.snapshot().images.by_name["localhost/made:latest"]

    store.add_names("images", image_id, ["localhost/ours:latest"])
    assert {image_id} == {i["Id"] for i in live.podman.json("images", "localhost/ours:latest")}
    live.podman.run("tag", "localhost/ours:latest", "localhost/tagged:v1")
    assert image_id == store.snapshot().images.by_name["localhost/tagged:v1"]

    live.podman.run("create", "--name", "web", "localhost/ours:latest", "true")
    container_id = store.snapshot().containers.by_name["web"]
    assert image_id == store.snapshot().containers.one(container_id).image
    with pytest.raises(StoreError, match="container"):
        store.delete_image(image_id)
    store.mount("web")
    live.podman.run("unmount", "--force", "web")
    live.podman.run("rm", "web")
    live.buildah.run("rm", working)
    assert 0 == len(store.snapshot().containers)

    store.delete_image("localhost/ours:latest")
    assert [] == live.podman.json("images")
    assert 0 == len(store.snapshot().layers)


@needs("buildah", "busybox")
def test_buildah_builds_on_an_image_that_we_made(live: Live) -> None:
    store = live.store
    store.create_layer(layer_id="base")
    config: dict[str, Any] = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": []},
    }
    config_bytes = json.dumps(config).encode()
    config_digest = digest(config_bytes)
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": config_digest,
                "size": len(config_bytes),
            },
            "layers": [],
        }
    ).encode()
    image = store.create_image(
        image_id=config_digest.removeprefix("sha256:"),
        names=["localhost/hand:made"],
        big_data=[
            (config_digest, config_bytes),
            ("manifest", manifest),
            (f"manifest-{digest(manifest)}", manifest),
        ],
    )

    [listed] = json.loads(live.buildah.out("images", "--json"))
    assert (image.id[:12], ["localhost/hand:made"]) == (listed["id"], listed["names"])
    working = live.buildah.out("from", "localhost/hand:made")
    assert working in store.snapshot().containers.by_name
    live.buildah.run("rm", working)


def _kernel_mounts() -> set[str]:
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return {line.split(" ")[4] for line in file}
