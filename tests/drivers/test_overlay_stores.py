"""Overlay layers that are elsewhere: in additional image stores, in additional layer stores."""

import base64
import os
from pathlib import Path

import pytest

from holdfs.core.config import load_options
from holdfs.core.store import Store
from holdfs.drivers.base import AdditionalLayer, Driver, DriverError, MountOptions
from holdfs.native.mount import bind, umount
from tests.conftest import GraphRun
from tests.drivers.manifest import manifest
from tests.drivers.overlays import mount_line, open_overlay
from tests.drivers.suite import layer_id, mounted, mounted_layers, viewed
from tests.needs import needs
from tests.peers import GoStore

pytestmark = needs("root", "overlay")

_DIGEST = f"sha256:{'a' * 64}"


@pytest.fixture
def other(graph_run: GraphRun) -> GraphRun:
    """Give the roots of a second store, inside the first one's."""
    roots = GraphRun(f"{graph_run.graph}/other", f"{graph_run.graph}/other-run")
    for root in roots:
        os.mkdir(root)
    return roots


# -- additional image stores -------------------------------------------------------------------


@needs("containers-storage")
def test_children_of_both_on_an_additional_store_are_mounted_by_both(
    graph_run: GraphRun, other: GraphRun
) -> None:
    option = f"overlay.imagestore={graph_run.graph}"
    lower_go = GoStore(*graph_run)
    lower_go.run("create-layer", "--id", layer_id(1))
    with open(f"{lower_go.out('mount', layer_id(1))}/base", "wb"):
        pass
    lower_go.run("unmount", layer_id(1))
    go = GoStore(*other, options=[option])
    store = Store.open(
        load_options(
            graph_root=other.graph, run_root=other.run, driver="overlay", driver_options=[option]
        )
    )

    store.create_layer(parent=layer_id(1), layer_id=layer_id(2))
    go.run("create-layer", "--id", layer_id(3), layer_id(1))

    shown = []
    for number in (2, 3):
        shown.append(os.listdir(go.out("mount", layer_id(number))))
        go.run("unmount", layer_id(number))
        with mounted(store.driver, layer_id(number)) as top:
            shown.append(os.listdir(top))
    assert [["base"]] * 4 == shown
    lowers = [
        Path(other.graph, "overlay", layer_id(number), "lower").read_text(encoding="ascii")
        for number in (2, 3)
    ]
    assert lowers[0] == lowers[1]
    store.driver.cleanup()


def test_a_store_on_a_read_only_file_system_is_read(graph_run: GraphRun, other: GraphRun) -> None:
    writer = open_overlay(graph_run)
    with mounted_layers(writer, 2):
        pass
    writer.cleanup()
    os.mkdir(f"{graph_run.run}/shown")
    bind(graph_run.graph, f"{graph_run.run}/shown", read_only=True)
    reader = open_overlay(other, f".imagestore={graph_run.run}/shown")
    reader.create(layer_id(3), layer_id(2))

    with mounted(reader, layer_id(3)) as top:
        assert ["f1", "f2"] == sorted(os.listdir(top))
    for number in (1, 2):
        with viewed(reader, layer_id(number), f"{other.run}/view") as view:
            assert "f1" in os.listdir(view)

    reader.cleanup()
    umount(f"{graph_run.run}/shown")


def test_a_layer_of_a_store_that_is_not_named_is_lost(graph_run: GraphRun, other: GraphRun) -> None:
    with mounted_layers(open_overlay(graph_run), 1):
        pass
    reader = open_overlay(other, f"overlay.imagestore={graph_run.graph}")
    reader.create(layer_id(2), layer_id(1))
    link = Path(other.graph, "overlay", layer_id(2), "lower").read_text(encoding="ascii")

    with pytest.raises(DriverError, match=link):
        open_overlay(other).mount(layer_id(2), MountOptions())


def test_our_own_layer_is_taken_before_one_of_a_store(graph_run: GraphRun, other: GraphRun) -> None:
    with mounted_layers(open_overlay(graph_run), 1):
        pass
    reader = open_overlay(other, f"overlay.imagestore={graph_run.graph}")
    assert reader.is_read_only(layer_id(1))

    reader.create(layer_id(1), "")

    assert not reader.is_read_only(layer_id(1))
    with mounted(reader, layer_id(1)) as top:
        assert [] == os.listdir(top)
    reader.remove(layer_id(1))
    assert reader.is_read_only(layer_id(1))


# -- additional layer stores -------------------------------------------------------------------


def _offer(store: Path, digest: str = _DIGEST) -> Path:
    """Offer a layer with one file, and return its directory in the store."""
    layer = store / digest
    (layer / "diff").mkdir(parents=True)
    (layer / "diff" / "served").write_text("by another")
    (layer / "info").write_text('{"compressed-diff-digest":"x"}')
    (layer / "blob").touch()
    return layer


def test_a_layer_is_found_by_its_digest(graph_run: GraphRun, tmp_path: Path) -> None:
    layer = _offer(tmp_path)
    driver = open_overlay(graph_run, f"overlay.additionallayerstore={tmp_path}")

    found = driver.find_additional_layer(_DIGEST, "docker.io/library/x")

    assert AdditionalLayer(str(layer), b'{"compressed-diff-digest":"x"}') == found
    for digest in ("sha256:b", "", "..", "../x"):
        assert driver.find_additional_layer(digest) is None


@pytest.mark.parametrize("lost", ["diff", "info", "blob"])
def test_what_lacks_a_part_is_no_layer(graph_run: GraphRun, tmp_path: Path, lost: str) -> None:
    layer = _offer(tmp_path)
    (layer / lost).rename(tmp_path / "away")

    driver = open_overlay(graph_run, f"overlay.additionallayerstore={tmp_path}")

    assert driver.find_additional_layer(_DIGEST) is None


def test_a_store_that_wants_it_is_asked_by_reference(graph_run: GraphRun, tmp_path: Path) -> None:
    reference = "docker.io/library/x:1"
    layer = _offer(tmp_path / base64.b64encode(reference.encode()).decode())
    driver = open_overlay(graph_run, f"overlay.additionallayerstore={tmp_path}:ref")

    found = driver.find_additional_layer(_DIGEST, reference)

    assert found is not None and str(layer) == found.path
    assert driver.find_additional_layer(_DIGEST, "another") is None


def _additional(driver: Driver) -> AdditionalLayer:
    found = driver.find_additional_layer(_DIGEST)
    assert found is not None
    return found


def test_a_layer_on_it_shows_its_content_and_leaves_it_alone(
    graph_run: GraphRun, tmp_path: Path
) -> None:
    layer = _offer(tmp_path)
    driver = open_overlay(graph_run, f"overlay.additionallayerstore={tmp_path}")
    before = manifest(str(tmp_path), with_directory_times=False)

    driver.create_additional(layer_id(1), "", _additional(driver))
    driver.create(layer_id(2), layer_id(1))

    directory = f"{driver.home}/{layer_id(1)}"
    assert f"{layer}/diff" == os.readlink(f"{directory}/diff")
    with open(f"{directory}/additionallayer", encoding="utf-8") as file:
        assert str(layer) == file.read()
    with mounted(driver, layer_id(1)) as top:
        assert ["served"] == os.listdir(top)
        assert "upperdir" not in mount_line(top)
    with mounted(driver, layer_id(2)) as top:
        os.unlink(f"{top}/served")
    with viewed(driver, layer_id(1), f"{graph_run.run}/view") as view:
        assert ["served"] == os.listdir(view)
    for number in (2, 1):
        driver.remove(layer_id(number))
    assert before == manifest(str(tmp_path), with_directory_times=False)


def test_a_failed_creation_on_it_leaves_nothing(graph_run: GraphRun, tmp_path: Path) -> None:
    _offer(tmp_path)
    driver = open_overlay(graph_run, f"overlay.additionallayerstore={tmp_path}")
    before = manifest(driver.home, with_directory_times=False)

    with pytest.raises((DriverError, OSError)):
        driver.create_additional(layer_id(2), layer_id(1), _additional(driver))

    assert before == manifest(driver.home, with_directory_times=False)
