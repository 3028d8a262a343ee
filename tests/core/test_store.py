"""Operations on more than one set, on real drivers: making, relating, naming, deleting, mounts."""

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from holdfs.core import errors
from holdfs.core.store import Store
from tests.needs import needs

_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()

pytestmark = needs("root", "overlay")


def _records(store: Store, kind: str) -> list[dict[str, object]]:
    path = Path(store.graph_root, f"{store.driver.name}-{kind}", f"{kind}.json")
    found: list[dict[str, object]] = json.loads(path.read_bytes())
    return found


def _put(store: Store, layer_id: str, name: str, text: str) -> None:
    mount = store.mount(layer_id)
    try:
        Path(mount, name).write_text(text)
    finally:
        store.unmount(layer_id)


# -- creating --------------------------------------------------------------------------------------


def test_a_child_shows_what_its_parent_has(store: Store) -> None:
    base = store.create_layer(names=["base"])
    _put(store, base.id, "from-base", "1")
    child = store.create_layer(parent="base")
    assert base.id == child.parent
    assert "1" == Path(store.mount(child.id), "from-base").read_text()


def test_a_layer_that_is_made_has_no_flag_left(store: Store) -> None:
    store.create_layer(names=["base"])
    assert "flags" not in _records(store, "layers")[0]


def test_a_layer_whose_directory_can_not_be_made_leaves_no_record(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(layer_id: str, parent_id: str, **_: object) -> None:
        raise OSError(28, "No space left on device", layer_id)

    monkeypatch.setattr(store.driver, "create", fail)
    with pytest.raises(OSError, match="No space"):
        store.create_layer(names=["base"])
    assert [] == _records(store, "layers")
    assert [] == store.driver.list_layers()


def test_an_unfinished_layer_is_deleted_by_the_next_writer(store: Store) -> None:
    layer = store.create_layer(names=["half"])
    path = Path(store.graph_root, f"{store.driver.name}-layers", "layers.json")
    records = json.loads(path.read_bytes())
    records[0]["flags"] = {"incomplete": True}
    path.write_text(json.dumps(records))
    other = store.create_layer(names=["other"])
    assert (other.id,) == store.snapshot().layers.ids
    assert [other.id] == store.driver.list_layers()
    assert not store.driver.exists(layer.id)


@pytest.mark.parametrize("ref", ["app", "id", "prefix"])
def test_a_containers_layer_can_not_be_a_parent_however_it_is_named(store: Store, ref: str) -> None:
    container = store.create_container(names=["app"])
    given = {"app": container.layer, "id": container.layer, "prefix": container.layer[:12]}[ref]
    with pytest.raises(errors.ParentIsContainer):
        store.create_layer(parent=given)


def test_names_and_ids_in_use_are_refused_at_creation(store: Store) -> None:
    layer = store.create_layer(names=["base"])
    with pytest.raises(errors.DuplicateName):
        store.create_layer(names=["base"])
    with pytest.raises(errors.DuplicateId):
        store.create_layer(layer_id=layer.id)
    image = store.create_image(names=["shop"])
    with pytest.raises(errors.DuplicateName) as refused:
        store.create_image(names=["shop"])
    assert (
        f'image name "shop" is already associated with image "{image.id}": '
        "that name is already in use" == refused.value.words
    )
    container = store.create_container(names=["web"])
    with pytest.raises(errors.DuplicateName) as refused:
        store.create_container(names=["web"])
    assert (
        f'the container name "web" is already in use by {container.id}. You have to remove that '
        "container to be able to reuse that name: that name is already in use"
        == refused.value.words
    )
    # The refused container leaves no layer behind.
    assert 2 == len(store.snapshot().layers)


@pytest.mark.parametrize("bad", ["a/b", "..", ".", "../x", "a\0b"])
def test_an_id_that_is_no_directory_name_is_refused(store: Store, bad: str) -> None:
    with pytest.raises(errors.InvalidValue):
        store.create_layer(layer_id=bad)
    assert () == store.snapshot().layers.ids


def test_an_image_and_its_big_data_appear_together(store: Store) -> None:
    manifest = b'{"schemaVersion":2}'
    image = store.create_image(names=["shop"], big_data=[("manifest", manifest), ("x", b"")])
    record = _records(store, "images")[0]
    digest = "sha256:" + hashlib.sha256(manifest).hexdigest()
    assert digest == record["digest"]
    assert {"manifest": digest, "x": f"sha256:{_EMPTY_SHA256}"} == record["big-data-digests"]
    assert {"manifest": len(manifest), "x": 0} == record["big-data-sizes"]
    assert manifest == store.read_big_data("images", "shop", "manifest")
    assert (digest,) == image.digests


# -- relations -------------------------------------------------------------------------------------


def test_a_pristine_layer_can_be_put_on_a_parent_once(store: Store) -> None:
    base = store.create_layer(names=["base"])
    _put(store, base.id, "from-base", "1")
    app = store.create_layer(names=["app"])
    assert base.id == store.set_parent("app", "base").parent
    assert "1" == Path(store.mount(app.id), "from-base").read_text()
    store.unmount(app.id)
    with pytest.raises(errors.NotPristine):
        store.set_parent("app", "base")


def test_a_layer_with_content_keeps_its_place(store: Store) -> None:
    store.create_layer(names=["base"])
    app = store.create_layer(names=["app"])
    _put(store, app.id, "file", "content")
    with pytest.raises(errors.NotPristine):
        store.set_parent("app", "base")
    assert "content" == Path(store.mount(app.id), "file").read_text()


def test_a_container_gets_its_image_later(store: Store) -> None:
    base = store.create_layer(names=["base"])
    _put(store, base.id, "from-base", "1")
    image = store.create_image(names=["shop"])
    assert base.id == store.set_top_layer("shop", "base").layer
    before = store.create_container(names=["web"])
    after = store.set_image("web", "shop")
    assert (image.id, before.id) == (after.image, after.id)
    assert "1" == Path(store.mount("web"), "from-base").read_text()
    assert before.layer not in store.snapshot().layers
    for again in (
        lambda: store.set_image("web", "shop"),
        lambda: store.set_top_layer("shop", "base"),
    ):
        with pytest.raises(errors.NotPristine):
            again()


# -- names -----------------------------------------------------------------------------------------


def test_a_name_that_is_set_is_taken_from_its_owner(store: Store) -> None:
    one = store.create_image(names=["a", "b"])
    two = store.create_image(names=["c"])
    assert ("b", "c") == store.add_names("images", "c", ["b"])
    images = store.snapshot().images
    assert (("a",), ("b", "c")) == (images.names_of(one.id), images.names_of(two.id))
    assert ("c", "b") == images.one(two.id).names_history
    assert () == store.set_names("images", two.id, [])
    assert () == store.remove_names("images", two.id, ["never"])


def test_a_rename_keeps_the_names_place(store: Store) -> None:
    image = store.create_image(names=["a", "b", "c"])
    other = store.create_image(names=["x"])
    assert image.id == store.rename("images", "b", "new")
    assert ("a", "new", "c") == store.snapshot().images.names_of(image.id)
    with pytest.raises(errors.DuplicateName):
        store.rename("images", "new", "x", replace=False)
    store.rename("images", "new", "x")
    assert ("a", "x", "c") == store.snapshot().images.names_of(image.id)
    assert () == store.snapshot().images.names_of(other.id)
    with pytest.raises(errors.ImageNotKnown):
        store.rename("images", "gone", "y")


def test_text_that_json_can_not_hold_is_refused(store: Store) -> None:
    store.create_image(names=["a"])
    for act in (
        lambda: store.set_names("images", "a", ["\udcff"]),
        lambda: store.set_metadata("images", "a", "\udcff"),
        lambda: store.set_big_data("images", "a", "\udcff-", b""),
    ):
        with pytest.raises(errors.InvalidValue):
            act()


# -- big data --------------------------------------------------------------------------------------


def test_big_data_is_replaced_renamed_and_recorded(store: Store) -> None:
    store.create_container(names=["web"])
    store.set_big_data("containers", "web", "a-key", b"one")
    store.set_big_data("containers", "web", "a-key", b"three")
    record = _records(store, "containers")[0]
    assert (["a-key"], {"a-key": 5}) == (record["big-data-names"], record["big-data-sizes"])
    store.rename_big_data("containers", "web", "a-key", "b-key")
    record = _records(store, "containers")[0]
    assert (["b-key"], {"b-key": 5}) == (record["big-data-names"], record["big-data-sizes"])
    assert b"three" == store.read_big_data("containers", "web", "b-key")
    with pytest.raises(errors.BigDataNotKnown):
        store.read_big_data("containers", "web", "a-key")


def test_the_first_manifest_gives_the_image_its_digest_for_good(store: Store) -> None:
    store.create_image(names=["shop"])
    store.set_big_data("images", "shop", "manifest", b"first")
    first = store.snapshot().images.one(store.snapshot().images.ids[0])
    store.set_big_data("images", "shop", "manifest", b"second")
    second = store.snapshot().images.one(first.id)
    assert first.digest == second.digest
    assert (first.digest, second.big_data_digests["manifest"]) == second.digests


# -- deleting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["id", "name", "prefix"])
def test_what_is_in_use_is_not_deleted_however_it_is_named(store: Store, how: str) -> None:
    base = store.create_layer(names=["base"])
    top = store.create_layer(parent="base", names=["top"])
    image = store.create_image(layer="top", names=["shop"])
    container = store.create_container(image="shop", names=["web"])

    def named(object_id: str, name: str) -> str:
        return {"id": object_id, "name": name, "prefix": object_id[:16]}[how]

    with pytest.raises(errors.LayerHasChildren) as refused:
        store.delete_layer(named(base.id, "base"))
    assert f"used by layer {top.id}: layer has children" == refused.value.words
    with pytest.raises(errors.LayerHasChildren):
        store.delete_layer(named(top.id, "top"))
    with pytest.raises(errors.LayerUsedByContainer):
        store.delete_layer(container.layer[:16])
    with pytest.raises(errors.ImageUsedByContainer) as image_refused:
        store.delete_image(named(image.id, "shop"))
    assert (
        f"image used by {container.id}: image is in use by a container" == image_refused.value.words
    )
    store.delete_container(named(container.id, "web"))
    with pytest.raises(errors.LayerUsedByImage):
        store.delete_layer(named(top.id, "top"))
    assert [top.id, base.id] == store.delete_image(named(image.id, "shop"))
    assert [] == store.driver.list_layers()


def test_an_images_layers_stay_while_another_needs_them(store: Store) -> None:
    base = store.create_layer(names=["base"])
    top = store.create_layer(parent="base")
    store.create_image(layer=top.id, names=["one"])
    store.create_image(layer="base", names=["two"])
    assert [top.id] == store.delete_image("one", commit=False)
    assert "one" in store.snapshot().images.by_name
    assert [top.id] == store.delete_image("one")
    assert (base.id,) == store.snapshot().layers.ids


def test_deleting_a_container_takes_its_layer_data_and_directories(store: Store) -> None:
    container = store.create_container(names=["web"])
    store.set_big_data("containers", "web", "k", b"v")
    Path(store.container_dir("web"), "f").write_text("x")
    Path(store.container_run_dir("web"), "f").write_text("x")
    store.mount("web")
    with pytest.raises(errors.LayerMounted):
        store.delete_container("web", refuse_mounted=True)
    store.delete_container("web")
    assert ((), (), {}) == (
        store.snapshot().containers.ids,
        store.snapshot().layers.ids,
        store.snapshot().mounts,
    )
    for root in (store.graph_root, store.run_root):
        assert container.id not in os.listdir(f"{root}/{store.driver.name}-containers")


def test_delete_without_checks_takes_what_is_in_use(store: Store) -> None:
    base = store.create_layer(names=["base"])
    store.create_layer(parent="base", names=["top"])
    store.delete("base")
    assert base.id not in store.snapshot().layers
    with pytest.raises(errors.LayerNotKnown):
        store.delete("base")


def test_wipe_leaves_nothing(store: Store) -> None:
    base = store.create_layer()
    store.create_image(layer=base.id, names=["shop"], big_data=[("manifest", b"{}")])
    store.create_container(image="shop")
    store.driver.create("f" * 64, "")
    store.wipe()
    snapshot = store.snapshot()
    assert ((), (), ()) == (snapshot.layers.ids, snapshot.images.ids, snapshot.containers.ids)
    assert [] == store.driver.list_layers()


def test_a_damaged_kind_blocks_deleting_and_nothing_else(store: Store) -> None:
    store.create_layer(names=["base"])
    path = Path(store.graph_root, f"{store.driver.name}-containers", "containers.json")
    path.write_bytes(b'[{"id":')
    for act in (lambda: store.delete_layer("base"), lambda: store.create_container()):
        with pytest.raises(errors.StoreDamaged, match=r"containers\.json is damaged"):
            act()
    assert ("base",) == store.snapshot().layers.names_of(store.snapshot().layers.ids[0])
    store.create_image(names=["shop"])
    assert b'[{"id":' == path.read_bytes()


# -- mounting --------------------------------------------------------------------------------------


def test_mounts_are_counted_and_the_last_unmount_counts(store: Store) -> None:
    container = store.create_container(names=["web"])
    path = store.mount("web")
    assert path == store.mount(container.layer) == store.driver.mount_point(container.layer)
    assert 2 == store.mounted("web")
    assert store.unmount("web")
    assert 1 == store.mounted("web")
    assert not store.unmount("web")
    assert (0, {}) == (store.mounted("web"), dict(store.snapshot().mounts))
    assert not store.unmount("web")


def test_shutdown_is_refused_while_a_layer_is_mounted(store: Store) -> None:
    container = store.create_container(names=["web"])
    store.mount("web")
    with pytest.raises(errors.LayerMounted) as refused:
        store.shutdown()
    assert "a layer is mounted: layer is in use by a container" == refused.value.words
    before = store.graph_lock.token()
    assert [container.layer] == store.shutdown(force=True)
    assert before != store.graph_lock.token()
    # The store goes on after it: whoever mounts next sets the driver up again.
    Path(store.mount("web"), "f").write_text("x")


@pytest.mark.parametrize("store", ["overlay"], indirect=True)
def test_a_mount_the_kernel_lost_is_made_again_and_the_count_goes_on(store: Store) -> None:
    container = store.create_container(names=["web"])
    path = store.mount("web")
    subprocess.run(["umount", path], check=True, timeout=10)
    Path(store.mount("web"), "f").write_text("x")
    assert 2 == store.mounted("web")
    assert store.driver.is_mounted(container.layer)


def test_a_container_goes_with_what_is_mounted_in_its_directories(
    store: Store, tmp_path: Path
) -> None:
    container = store.create_container()
    (tmp_path / "theirs").touch()
    for directory in (store.container_dir(container.id), store.container_run_dir(container.id)):
        Path(directory, "shm").mkdir()
        subprocess.run(["mount", "--bind", tmp_path, f"{directory}/shm"], check=True)

    store.delete_container(container.id)

    assert 0 == len(store.snapshot().containers)
    assert not os.path.exists(f"{store.graph_root}/{store.driver.name}-containers/{container.id}")
    assert not os.path.exists(f"{store.run_root}/{store.driver.name}-containers/{container.id}")
    assert ["theirs"] == os.listdir(tmp_path)
