"""`--image-store`: images and containers in two places. Source: spec cli 6.11."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.holdctl import Holdctl
from tests.conftest import GraphRun
from tests.needs import needs
from tests.peers import GoStore

pytestmark = needs("root", "overlay", "containers-storage")


class Split(Holdctl):
    """holdctl with an image store."""

    images_top: str

    def command(self, *args: str) -> list[str]:
        program, *words = super().command(*args)
        return [program, "--image-store", self.images_top, *words]


@pytest.fixture
def split(stores: Callable[[], GraphRun]) -> Split:
    """Give a split store: layer base, image one on it, container web of it."""
    tool = Split(*stores(), "overlay")
    tool.images_top = stores().graph
    tool.run("create-layer", "-r", "-i", "base")
    tool.run("create-image", "-i", "one", "-n", "shop", "base")
    tool.run("set-image-data", "one", "manifest", input="{}")
    tool.run("create-container", "-i", "web", "one")
    return tool


def ids(top: str, kind: str) -> set[str]:
    """Return what is recorded below a graph root or an image store."""
    path = Path(top, f"overlay-{kind}/{kind}.json")
    return {record["id"] for record in json.loads(path.read_bytes())} if path.exists() else set()


def test_each_half_has_its_own(split: Split) -> None:
    [container] = json.loads(Path(split.graph, "overlay-containers/containers.json").read_bytes())

    assert {"base"} == ids(split.images_top, "layers")
    assert {"one"} == ids(split.images_top, "images")
    assert {container["layer"]} == ids(split.graph, "layers")
    assert set() == ids(split.graph, "images")
    assert "{}" == Path(split.images_top, "overlay-images/one/manifest").read_text()
    assert Path(split.images_top, "overlay/base/diff").is_dir()
    assert Path(split.graph, "overlay", container["layer"], "diff").is_dir()


def test_the_graph_roots_layers_come_first(split: Split) -> None:
    [web] = ids(split.graph, "layers")
    assert [web, "base"] == split.out("layers", "-q").split("\n")


def test_what_the_images_have_is_seen_in_a_container(split: Split) -> None:
    top = split.out("mount", "web").split("\n")[-1]
    Path(top, "new").write_text("x")
    split.run("unmount", "web")
    assert 'Add "/new"' in split.out("changes", *ids(split.graph, "layers"))


def test_an_images_directories_are_where_it_is(split: Split) -> None:
    for command in ("get-image-dir", "get-image-run-dir"):
        directory = split.out(command, "shop")
        assert os.path.isdir(directory)
        assert directory.endswith("overlay-images/one/userdata")


def test_deleting_takes_the_layers_from_the_image_store(split: Split) -> None:
    split.run("delete-container", "web")
    split.run("delete-image", "shop")

    assert set() == ids(split.images_top, "layers") == ids(split.images_top, "images")
    assert not Path(split.images_top, "overlay/base").exists()


def test_the_image_store_is_a_store_of_its_own_to_the_go_tool(
    split: Split, stores: Callable[[], GraphRun]
) -> None:
    go = GoStore(split.images_top, stores().run, "overlay")
    assert ["base"] == go.out("layers").split("\n")[:1]
    assert "shop" in go.out("images")


def test_the_graph_root_is_no_image_store(tmp_path: Path, stores: Callable[[], GraphRun]) -> None:
    roots = stores()
    conf = tmp_path / "storage.conf"
    conf.write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{roots.graph}"\nrunroot = "{roots.run}"\n'
        f'imagestore = "{roots.graph}"\n'
    )
    tool = Holdctl(*roots, "overlay")
    done = tool.run("layers", check=False, env={"CONTAINERS_STORAGE_CONF": str(conf)})
    # Named roots put the file's image store out of play, but a file that is wrong is told of.
    assert 1 == done.returncode
    assert f"imagestore {roots.graph} must either be not set" in done.stdout + done.stderr


def test_an_image_of_another_store_is_made_ones_own(stores: Callable[[], GraphRun]) -> None:
    other = GoStore(*stores(), "overlay")
    other.run("create-layer", "-i", "base")
    other.run("create-image", "-i", "theirs", "-n", "their-name", "-m", "text", "base")
    other.run("set-image-data", "theirs", "manifest", input="{}")
    graph, run = stores()
    ours = Holdctl(graph, run, "overlay", options=(f"overlay.imagestore={other.graph}",))

    ours.run("create-image", "-i", "theirs", "-n", "mine", "base")

    [record] = json.loads(Path(graph, "overlay-images/images.json").read_bytes())
    assert ("theirs", "base", "text") == (record["id"], record["layer"], record["metadata"])
    assert ["mine", "their-name"] == sorted(record["names"])
    assert "{}" == ours.run("get-image-data", "mine", "manifest").stdout
