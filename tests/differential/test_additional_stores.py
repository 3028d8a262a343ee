"""
Every kind of command on what an additional image store has, beside the real tool.

Both stores have the same third store behind them. What the newest tool does in another way than
1.43 is told apart below.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.holdctl import Holdctl
from tests.conftest import GraphRun
from tests.differential.live import Live
from tests.differential.outcomes import Plainer
from tests.differential.test_every_command import alike, newest, split
from tests.needs import needs
from tests.peers import GoStore

pytestmark = needs("root", "overlay", "containers-storage")

LINES = [
    "layer other",
    "layer -j other",
    "image theirs",
    "layers",
    "layers -j",
    "layers -t",
    "images",
    "images -j",
    "set-image-data theirs x <text",
    "get-image-data theirs manifest",
    "get-image-data-digest their-name manifest",
    "set-metadata -m x theirs",
    "set-metadata -m x other",
    "metadata theirs other",
    "get-names theirs",
    "add-names -n x other",
    "exists -i theirs",
    "delete-layer other",
    "delete-image theirs",
    "delete other",
    "create-layer -i own other",
    "create-image -i own-image other",
    "create-container -i k theirs",
    "container k",
    "mount k",
    "unmount k",
    "changes own",
    "diffsize other",
    "images-by-digest sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    "delete-container k",
    "delete-image own-image",
    "delete-layer own",
    "wipe",
    "layers",
]


@pytest.fixture(params=["overlay", "vfs"])
def lives(
    request: pytest.FixtureRequest, stores: Callable[[], GraphRun]
) -> tuple[Live, Live, GraphRun]:
    """Give two empty stores with a third one behind both."""
    roots = stores()
    other = GoStore(*roots, request.param)
    other.run("create-layer", "-i", "other")
    other.run("create-layer", "-i", "upper", "other")
    other.run("create-image", "-i", "theirs", "-n", "their-name", "-m", "text", "upper")
    other.run("set-image-data", "theirs", "manifest", input="{}")
    other.run("shutdown")
    made = Live(stores(), request.param), Live(stores(), request.param)
    option = f"{request.param}.imagestore={roots.graph}"
    for live in made:
        live.go = GoStore(*live.roots, request.param, [option])
        live.holdctl = Holdctl(*live.roots, request.param, [option])
    return *made, roots


def test_what_an_additional_store_has_is_used_and_not_changed(
    lives: tuple[Live, Live, GraphRun],
) -> None:
    theirs, ours, other = lives
    plainers = Plainer(theirs), Plainer(ours)
    files = {path: path.read_bytes() for path in Path(other.graph).glob("*/*.json")}

    for line in LINES:
        words, given = split(line)
        expected = alike(words, newest(words, plainers[0].run(theirs.go, words, given)))
        said = alike(words, plainers[1].run(ours.holdctl, words, given))
        assert expected == said, line
    assert files == {path: path.read_bytes() for path in Path(other.graph).glob("*/*.json")}


def test_its_layers_can_not_be_mounted_and_do_not_count_as_damage(
    lives: tuple[Live, Live, GraphRun],
) -> None:
    # 1.43 says: layer not known.
    ours = lives[1].holdctl

    done = ours.run("mount", "other", check=False)

    said = (
        "mounting read/only store images is not allowed: "
        "called a write method on a read-only store while mounting other\n"
    )
    assert (1, "\n", said) == (done.returncode, done.stdout, done.stderr)
    ours.run("create-layer", "-i", "own", "other")
    assert "" == ours.out("check")
    assert "upper" in ours.out("layers", "-q")


def test_an_images_names_are_changed_in_a_copy_with_all_its_data(
    lives: tuple[Live, Live, GraphRun],
) -> None:
    # 1.43 copies metadata, layer and names alone.
    _, ours, other = lives
    before = Path(other.graph, f"{ours.driver}-images/images.json").read_bytes()

    assert ["new", "their-name"] == ours.holdctl.json("add-names", "-n", "new", "theirs")

    [record] = ours.records("images").values()
    [original] = json.loads(before)
    assert {**original, "names": ["new", "their-name"]} == {
        key: value for key, value in record.items() if key != "names-history"
    }
    assert "{}" == ours.holdctl.run("get-image-data", "new", "manifest").stdout
    assert ours.path("images", "theirs/manifest").read_bytes() == b"{}"
    assert before == Path(other.graph, f"{ours.driver}-images/images.json").read_bytes()
    ours.holdctl.run("delete-image", "theirs")
    assert "their-name" in ours.holdctl.out("images")
