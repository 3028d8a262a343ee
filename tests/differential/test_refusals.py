"""
What the Go tool refuses we refuse, in its words, and neither changes anything.

The refusals are tried on two equal stores, as the acts in test_acts.py.
"""

import re

import pytest

from holdfs.core.errors import StoreError
from tests.differential.acts import Act
from tests.differential.live import Comparable, Live
from tests.needs import needs
from tests.peers import PeerFailed

pytestmark = needs("root", "containers-storage")

REFUSED = [
    Act(
        "layer on what is no layer",
        lambda go: go.run("create-layer", "nope"),
        lambda s: s.create_layer(parent="nope"),
    ),
    Act(
        "layer whose id is taken",
        lambda go: go.run("create-layer", "-i", "base"),
        lambda s: s.create_layer(layer_id="base"),
    ),
    Act(
        "layer whose name is taken",
        lambda go: go.run("create-layer", "-n", "free", "-n", "base-name"),
        lambda s: s.create_layer(names=("free", "base-name")),
    ),
    Act(
        "image on what is no layer",
        lambda go: go.run("create-image", "nope"),
        lambda s: s.create_image(layer="nope"),
    ),
    Act(
        "image whose id is taken",
        lambda go: go.run("create-image", "-i", "one"),
        lambda s: s.create_image(image_id="one"),
    ),
    Act(
        "image whose name is taken",
        lambda go: go.run("create-image", "-n", "a"),
        lambda s: s.create_image(names=("a",)),
    ),
    Act(
        "image with half a digest",
        lambda go: go.run("create-image", "-d", "sha256:12"),
        lambda s: s.create_image(digest="sha256:12"),
    ),
    Act(
        "container of what is no image",
        lambda go: go.run("create-container", "nope"),
        lambda s: s.create_container(image="nope"),
    ),
    Act(
        "container whose id is taken",
        lambda go: go.run("create-container", "-i", "c1", "one"),
        lambda s: s.create_container(container_id="c1", image="one"),
    ),
    Act(
        "container whose name is taken",
        lambda go: go.run("create-container", "-n", "zero", "one"),
        lambda s: s.create_container(names=("zero",), image="one"),
    ),
    Act(
        "names of nothing",
        lambda go: go.run("set-names", "-n", "x", "nope"),
        lambda s: s.set_names("layers", "nope", ("x",)),
    ),
    Act(
        "data of no image",
        lambda go: go.run("set-image-data", "nope", "k", input="x"),
        lambda s: s.set_big_data("images", "nope", "k", b"x"),
    ),
    Act(
        "data without a key, image",
        lambda go: go.run("set-image-data", "one", "", input="x"),
        lambda s: s.set_big_data("images", "one", "", b"x"),
    ),
    Act(
        "data without a key, container",
        lambda go: go.run("set-container-data", "c1", "", input="x"),
        lambda s: s.set_big_data("containers", "c1", "", b"x"),
    ),
    Act(
        "data without a key, layer",
        lambda go: go.run("set-layer-data", "base", "", input="x"),
        lambda s: s.set_big_data("layers", "base", "", b"x"),
    ),
    Act(
        "data that an image lacks",
        lambda go: go.run("get-image-data", "one", "nope"),
        lambda s: s.read_big_data("images", "one", "nope"),
    ),
    Act(
        "data that a layer lacks",
        lambda go: go.run("get-layer-data", "base", "nope"),
        lambda s: s.read_big_data("layers", "base", "nope"),
    ),
    Act(
        "delete a layer with children",
        lambda go: go.run("delete-layer", "base"),
        lambda s: s.delete_layer("base"),
    ),
    Act(
        "delete an image's layer",
        lambda go: go.run("delete-layer", "top"),
        lambda s: s.delete_layer("top"),
    ),
    Act(
        "delete what is no layer",
        lambda go: go.run("delete-layer", "one"),
        lambda s: s.delete_layer("one"),
    ),
    Act(
        "delete an image in use",
        lambda go: go.run("delete-image", "one"),
        lambda s: s.delete_image("one"),
    ),
    Act(
        "delete what is no image",
        lambda go: go.run("delete-image", "base"),
        lambda s: s.delete_image("base"),
    ),
    Act(
        "delete what is no container",
        lambda go: go.run("delete-container", "base"),
        lambda s: s.delete_container("base"),
    ),
    Act(
        "delete nothing",
        lambda go: go.run("delete", "nope"),
        lambda s: s.delete("nope"),
    ),
    Act(
        "shutdown while mounted",
        lambda go: [go.run("mount", "c1"), go.run("shutdown")],
        lambda s: [s.mount("c1"), s.shutdown()],
    ),
    Act("mount nothing", lambda go: go.run("mount", "nope"), lambda s: s.mount("nope")),
    Act("unmount nothing", lambda go: go.run("unmount", "nope"), lambda s: s.unmount("nope")),
]

#: What the command line puts around a message; the store's words are the middle of it.
_AROUND = (
    (r"^(base|top|one|nope|child-name): ", ""),
    (r" while (un)?mounting nope$", ""),
    (r"^shutdown: ", ""),
)


@pytest.mark.parametrize("act", REFUSED, ids=lambda act: act.name)
def test_a_refusal_has_the_real_tools_words_and_changes_nothing(
    twins: tuple[Live, Live], act: Act
) -> None:
    theirs, ours = twins
    base = b"".join(map(ours.file, ("layers", "images", "containers")))

    with pytest.raises(PeerFailed) as go_failed:
        act.go(theirs.go)
    with pytest.raises(StoreError) as failed:
        act.ours(ours.store)

    said = str(go_failed.value).partition("\n")[2].strip()
    for pattern, replacement in _AROUND:
        said = re.sub(pattern, replacement, said)
    assert said == failed.value.words
    assert Comparable(theirs, base).content() == Comparable(ours, base).content()
