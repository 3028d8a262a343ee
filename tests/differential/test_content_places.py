"""
Content that is elsewhere, or need not last: additional stores, a split store, volatile containers.
"""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfs.core.config import load_options
from holdfs.core.store import Store
from tests.cli.holdctl import Holdctl
from tests.conftest import DriverRoots, GraphRun
from tests.core.test_filling import TAR, diff_of, import_layer, tar_of
from tests.differential.live import Live
from tests.differential.test_content import dateless
from tests.mounts import mounts_below
from tests.needs import needs
from tests.peers import GoStore

pytestmark = needs("root", "overlay", "containers-storage")

MORE = tar_of(("etc", None), ("etc/more", b"more"), ("etc/.wh.motd", b""))


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_layers_of_an_additional_store_are_read_where_they_are_by_both(
    driver: str, stores: Callable[[], GraphRun]
) -> None:
    other = Live(stores(), driver)
    other.holdctl.run("import-layer", "-i", "far", input=TAR)
    other.holdctl.run("import-layer", "-i", "farther", "far", input=MORE)
    other.holdctl.run("create-image", "-i", "image", "-n", "there", "farther")
    other.holdctl.run("shutdown")
    files = {p: p.stat().st_mtime_ns for p in Path(other.roots.graph, driver).rglob("*")}
    roots = stores()
    option = [f"{driver}.imagestore={other.roots.graph}"]
    sides = GoStore(*roots, driver, option), Holdctl(*roots, driver, option)

    sides[1].run("import-layer", "-i", "near", "farther", input=tar_of(("near", b"n")))
    container = sides[1].json("create-container", "there")["layer"]
    top = Path(sides[1].out("mount", container))
    assert "more" == (top / "etc/more").read_text()
    assert not (top / "etc/motd").exists()
    (top / "etc/more").write_text("changed")
    (top / "big").unlink()
    sides[1].run("unmount", container)

    assert tar_of(("near", b"n")) == sides[0].run_bytes("diff", "-u", "near").stdout
    for side in sides:
        assert [TAR, MORE] == [
            side.run_bytes("diff", "-u", ref).stdout for ref in ("far", "farther")
        ]
    assert dateless(sides[0].run_bytes("diff", "-u", container).stdout) == dateless(
        sides[1].run_bytes("diff", "-u", container).stdout
    )
    for words in (("changes", container), ("diffsize", container), ("changes", "near")):
        assert sorted(sides[0].out(*words).split("\n")) == sorted(sides[1].out(*words).split("\n"))
    assert files == {p: p.stat().st_mtime_ns for p in Path(other.roots.graph, driver).rglob("*")}


def test_a_split_store_gives_back_the_streams_of_both_halves(
    stores: Callable[[], GraphRun], tmp_path: Path
) -> None:
    roots, images = stores(), stores().graph
    options = load_options(graph_root=roots.graph, run_root=roots.run, driver="overlay")
    store = Store.open(options.replaced(image_store=images), lock_timeout_s=5)
    import_layer(store, TAR, layer_id="base", read_only=True)
    import_layer(store, MORE, layer_id="top", parent="base", read_only=True)
    store.create_image(layer="top", names=["shop"])
    container = store.create_container(image="shop")
    Path(store.mount(container.id), "etc/mine").write_text("m")
    store.unmount(container.id)

    assert [TAR, MORE] == [diff_of(store, ref, tmp_path) for ref in ("base", "top")]
    assert {("C", "/etc"), ("A", "/etc/mine")} == set(store.changes(container.layer))
    # What is in the images' half is a store of its own to the Go tool.
    apart = GoStore(images, stores().run, "overlay")
    assert [TAR, MORE] == [apart.run_bytes("diff", "-u", ref).stdout for ref in ("base", "top")]
    assert b"etc/mine" in diff_of(store, container.layer, tmp_path)
    store.shutdown()


def test_what_a_volatile_container_holds_is_read_by_both(
    driver_roots: DriverRoots, stores: Callable[[], GraphRun]
) -> None:
    live = Live(driver_roots.roots, driver_roots.driver)
    live.holdctl.run("import-layer", "-i", "base", input=TAR)
    live.holdctl.run("create-image", "-i", "image", "base")
    made = live.holdctl.json("create-container", "--volatile", "image")
    assert made["flags"]["Volatile"] is True
    for tool in (live.holdctl, live.go, live.holdctl):
        # A second mount has to get past what the first has left.
        top = Path(tool.out("mount", made["id"]).split("\n")[-1])
        if live.driver == "overlay":
            [mount] = [
                line
                for line in Path("/proc/self/mountinfo").read_text().splitlines()
                if f" {top} " in line
            ]
            assert "volatile" in mount
        (top / f"by-{tool.program.rpartition('/')[2]}").write_text("x")
        tool.run("unmount", made["id"])

    assert (
        live.go.run_bytes("diff", "-u", made["layer"]).stdout
        == live.holdctl.run_bytes("diff", "-u", made["layer"]).stdout
    )
    assert 'Add "/by-holdctl"' in live.go.out("changes", made["layer"]).split("\n")
    live.go.run("delete-container", made["id"])
    assert {} == live.records("containers")
    live.store.shutdown(force=True)


def test_a_transient_stores_container_has_its_content_and_leaves_none(
    stores: Callable[[], GraphRun], tmp_path: Path
) -> None:
    roots = stores()
    options = load_options(graph_root=roots.graph, run_root=roots.run, driver="overlay")
    store = Store.open(options.replaced(transient_store=True), lock_timeout_s=5)
    import_layer(store, TAR, layer_id="base", read_only=True)
    store.create_image(layer="base", names=["shop"])
    container = store.create_container(image="shop")
    top = Path(store.mount(container.id))
    (top / "etc/motd").unlink()
    store.unmount(container.id)

    assert {("C", "/etc"), ("D", "/etc/motd")} == set(store.changes(container.layer))
    assert b"etc/.wh.motd" in diff_of(store, container.layer, tmp_path)
    records = json.loads(Path(roots.graph, "overlay-layers/layers.json").read_bytes())
    assert ["base"] == [record["id"] for record in records]
    store.delete_container(container.id)
    assert ["base"] == store.driver.list_layers()
    store.shutdown()
    assert [] == mounts_below(roots.graph)


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_base_layers_have_the_maps_of_the_configuration_with_both(
    driver: str, stores: Callable[[], GraphRun], tmp_path: Path
) -> None:
    records = []
    for tool in (GoStore, Holdctl):
        roots, conf = stores(), tmp_path / f"{tool.__name__}.conf"
        conf.write_text(
            f'[storage]\ndriver = "{driver}"\ngraphroot = "{roots.graph}"\n'
            f'runroot = "{roots.run}"\n[storage.options]\n'
            'remap-uids = "0:100000:65536"\nremap-gids = "0:200000:65536"\n'
        )

        def run(*words: str, tool: type[GoStore] = tool, conf: Path = conf) -> None:
            subprocess.run(
                [tool.program, *words],
                env={**os.environ, "CONTAINERS_STORAGE_CONF": str(conf)},
                check=True,
                capture_output=True,
                timeout=30,
            )

        run("create-layer", "-i", "base")
        run("create-layer", "-i", "child", "base")
        run("create-layer", "-i", "half", "--hostuidmap")
        made = json.loads(Path(roots.graph, f"{driver}-layers/layers.json").read_bytes())
        records.append(
            [
                (m.get("uidmap"), m.get("gidmap"), os.stat(_root(driver, roots, m["id"])).st_uid)
                for m in made
            ]
        )
    assert records[0] == records[1]
    assert driver == "overlay" or records[0][0][2] == 100000


def _root(driver: str, roots: GraphRun, layer_id: str) -> str:
    below = f"{layer_id}/diff" if driver == "overlay" else f"dir/{layer_id}"
    return f"{roots.graph}/{driver}/{below}"
