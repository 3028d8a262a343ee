"""IDs of any form: none leads to the files of others, and none makes the store unusable."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from holdfs.core import errors
from holdfs.core.store import Store
from holdfs.drivers.base import DriverError
from tests.needs import needs

pytestmark = needs("root", "overlay")

# What the Go tools leave where they wrote on after damage, and what nobody writes by accident.
_NO_DIRECTORIES = ["", ".", "..", "../victim"]
_CREATED = "2026-11-24T02:56:06.844939907Z"


def _append(store: Store, kind: str, record: dict[str, Any]) -> None:
    path = Path(store.graph_root, f"{store.driver.name}-{kind}", f"{kind}.json")
    records = json.loads(path.read_bytes()) if path.exists() else []
    path.write_text(json.dumps([*records, {"created": _CREATED, **record}]))


def _files(store: Store) -> list[str]:
    found = []
    for directory, names, files in os.walk(store.graph_root):
        found += [os.path.relpath(f"{directory}/{name}", store.graph_root) for name in names]
        found += [os.path.relpath(f"{directory}/{name}", store.graph_root) for name in files]
    return sorted(name for name in found if not name.endswith(".json"))


def _fill(store: Store) -> str:
    """Make one of each kind with data, and what an ID with `..` would lead to."""
    layer = store.create_layer(names=["base"])
    image = store.create_image(layer=layer.id, names=["shop"], big_data=[("manifest", b"{}")])
    container = store.create_container(image=image.id, names=["web"])
    store.set_big_data("containers", container.id, "notes", b"x")
    Path(store.graph_root, "victim").mkdir()
    Path(store.graph_root, "victim", "file").touch()
    return layer.id


@pytest.mark.parametrize("record_id", _NO_DIRECTORIES)
def test_deleting_a_record_whose_id_is_no_directory_touches_no_files(
    store: Store, record_id: str
) -> None:
    _fill(store)
    before = _files(store)
    _append(store, "images", {"id": record_id})
    _append(store, "containers", {"id": record_id, "image": "", "layer": ""})
    store.delete_container(record_id)
    store.delete_image(record_id)
    _append(store, "layers", {"id": record_id})
    store.delete_layer(record_id)
    assert before == _files(store)
    snapshot = store.snapshot()
    assert (1, 1, 2) == (len(snapshot.images), len(snapshot.containers), len(snapshot.layers))


@pytest.mark.parametrize("record_id", [*_NO_DIRECTORIES, ".hidden"])
def test_an_incomplete_layer_whose_id_is_no_directory_does_not_stop_writers(
    store: Store, record_id: str
) -> None:
    _fill(store)
    before = _files(store)
    _append(store, "layers", {"id": record_id, "flags": {"incomplete": True}})
    with store.layers.edit():
        pass
    assert record_id not in store.snapshot().layers
    assert before == _files(store)


@pytest.mark.parametrize("record_id", _NO_DIRECTORIES)
def test_nothing_is_written_under_an_id_that_is_no_directory(store: Store, record_id: str) -> None:
    _fill(store)
    _append(store, "images", {"id": record_id})
    _append(store, "containers", {"id": record_id, "image": "", "layer": ""})
    before = _files(store)
    with pytest.raises(errors.InvalidValue, match="can't be an ID"):
        store.set_big_data("images", record_id, "images.lock", b"")
    with pytest.raises(errors.InvalidValue, match="can't be an ID"):
        store.container_dir(record_id)
    assert before == _files(store)


@pytest.mark.parametrize("layer_id", [".hidden", "x" * 300, "..", "a/b", "\udcff"])
def test_a_layer_id_that_can_not_be_is_refused_and_the_store_goes_on(
    store: Store, layer_id: str
) -> None:
    with pytest.raises((errors.InvalidValue, DriverError), match="ID"):
        store.create_layer(layer_id=layer_id)
    store.create_layer(names=["after"])
    assert 1 == len(store.snapshot().layers)


def test_a_refused_id_is_named_in_the_words_for_scripts(store: Store) -> None:
    with pytest.raises(errors.InvalidValue) as refused:
        store.create_image(image_id="..")
    assert "'..' can't be an ID: it would not name one directory" == refused.value.words


def test_looking_at_a_layer_without_an_id_leaves_nothing_in_the_home(store: Store) -> None:
    _fill(store)
    _append(store, "layers", {"id": ""})
    before = _files(store)
    target = Path(store.run_root, "view")
    target.mkdir()
    with pytest.raises(DriverError, match="can't be the ID"):
        store.driver.mount_view("", str(target))
    assert before == _files(store)
