"""
The same act on two equal stores, by the Go tool on one and by ours on the other.

Afterwards every file of the one equals that of the other: JSON byte for byte, big data, the
driver's directories. What may differ is listed in `live.Comparable`; what differs by the newest
behaviour, which we follow, is written beside the act.
"""

import pytest

from tests.differential.acts import Act, in_turn
from tests.differential.live import Comparable, Live, assert_same_views
from tests.needs import needs

pytestmark = needs("root", "containers-storage")


DIGEST = "sha256:" + "a" * 64

DONE = [
    # Creating.
    Act(
        "layer",
        lambda go: go.run("create-layer", "-i", "new", "-n", "x", "-n", "y"),
        lambda s: s.create_layer(layer_id="new", names=("x", "y")),
    ),
    Act(
        "layer with a generated id",
        lambda go: go.run("create-layer"),
        lambda s: s.create_layer(),
    ),
    Act(
        "layer on a parent by name",
        lambda go: go.run("create-layer", "-i", "new", "child-name"),
        lambda s: s.create_layer(layer_id="new", parent="child-name"),
    ),
    Act(
        "layer on a parent by prefix",
        lambda go: go.run("create-layer", "-i", "new", "chi"),
        lambda s: s.create_layer(layer_id="new", parent="chi"),
    ),
    Act(
        "layer with odd names",
        lambda go: go.run("create-layer", "-i", "new", "-n", "<&>\u2028\t\x01\x7fé🙂"),
        lambda s: s.create_layer(layer_id="new", names=("<&>\u2028\t\x01\x7fé🙂",)),
    ),
    Act(
        "layer with an empty name",
        lambda go: go.run("create-layer", "-i", "new", "-n", ""),
        lambda s: s.create_layer(layer_id="new", names=("",)),
    ),
    Act(
        "image",
        lambda go: go.run("create-image", "-i", "new", "-n", "x", "-m", "m", "top"),
        lambda s: s.create_image(image_id="new", names=("x",), metadata="m", layer="top"),
    ),
    Act(
        "image without a layer, with a digest and a name twice",
        lambda go: go.run("create-image", "-i", "new", "-n", "x", "-n", "x", "-d", DIGEST),
        lambda s: s.create_image(image_id="new", names=("x", "x"), digest=DIGEST),
    ),
    Act(
        "image with data",
        lambda go: (
            go.run("create-image", "-i", "new"),
            go.run("set-image-data", "new", "manifest-x", input="{}"),
            go.run("set-image-data", "new", "B", input=""),
        ),
        lambda s: s.create_image(image_id="new", big_data=(("manifest-x", b"{}"), ("B", b""))),
    ),
    Act(
        "container",
        lambda go: go.run("create-container", "-i", "new", "-n", "x", "-m", "m", "a"),
        lambda s: s.create_container(container_id="new", names=("x",), metadata="m", image="a"),
    ),
    Act(
        "volatile container",
        # Newest: in volatile-containers.json. With 1.43 beside, the stable file is the safe place.
        lambda go: go.run("create-container", "-i", "new", "--volatile", "two"),
        lambda s: s.create_container(container_id="new", image="two", volatile=True),
    ),
    Act(
        "container without an image",
        lambda go: go.run("create-container", "-i", "new", ""),
        lambda s: s.create_container(container_id="new"),
    ),
    Act(
        "container on an image without a layer",
        lambda go: go.run("create-container", "-i", "new", "none"),
        lambda s: s.create_container(container_id="new", image="none"),
    ),
    # Names.
    Act(
        "set names of a layer",
        lambda go: go.run("set-names", "-n", "x", "-n", "base-name", "base"),
        lambda s: s.set_names("layers", "base", ("x", "base-name")),
    ),
    Act(
        "set names of an image, twice",
        lambda go: (
            go.run("set-names", "-n", "x", "-n", "y", "-n", "x", "one"),
            go.run("set-names", "-n", "a", "-n", "x", "one"),
        ),
        lambda s: (
            s.set_names("images", "one", ("x", "y", "x")),
            s.set_names("images", "one", ("a", "x")),
        ),
    ),
    Act(
        "set names of a container",
        lambda go: go.run("set-names", "-n", "x", "c1"),
        lambda s: s.set_names("containers", "c1", ("x",)),
    ),
    Act(
        "no names",
        lambda go: go.run("set-names", "one"),
        lambda s: s.set_names("images", "one", ()),
    ),
    Act(
        "a name taken from another layer",
        lambda go: go.run("set-names", "-n", "child-name", "-n", "lone-name", "base"),
        lambda s: s.set_names("layers", "base", ("child-name", "lone-name")),
    ),
    Act(
        "a name taken from another image",
        lambda go: go.run("set-names", "-n", "a", "-n", "c", "two"),
        lambda s: s.set_names("images", "two", ("a", "c")),
    ),
    Act(
        "a name taken from another container",
        lambda go: go.run("set-names", "-n", "uno", "c0"),
        lambda s: s.set_names("containers", "c0", ("uno",)),
    ),
    Act(
        "the name of another kind is free",
        lambda go: go.run("set-names", "-n", "a", "base"),
        lambda s: s.set_names("layers", "base", ("a",)),
    ),
    Act(
        "add names",
        # 1.43 puts the old names first, the newest the new ones: so it is set here.
        lambda go: go.run("set-names", "-n", "x", "-n", "y", "-n", "a", "-n", "b", "one"),
        lambda s: s.add_names("images", "one", ("x", "y")),
    ),
    Act(
        "add a name that it has",
        lambda go: go.run("set-names", "-n", "b", "-n", "a", "one"),
        lambda s: s.add_names("images", "one", ("b",)),
    ),
    Act(
        "remove names",
        # 1.43 has no remove-names.
        lambda go: go.run("set-names", "-n", "b", "one"),
        lambda s: s.remove_names("images", "one", ("a", "nobody's")),
    ),
    Act(
        "rename",
        lambda go: go.run("set-names", "-n", "x", "-n", "b", "one"),
        lambda s: s.rename("images", "a", "x", replace=False),
    ),
    # Metadata and data.
    Act(
        "metadata of a layer",
        lambda go: go.run("set-metadata", "-m", "<new>\n", "base"),
        lambda s: s.set_metadata("layers", "base", "<new>\n"),
    ),
    Act(
        "metadata of an image",
        lambda go: go.run("set-metadata", "-m", "new", "one"),
        lambda s: s.set_metadata("images", "one", "new"),
    ),
    Act(
        "metadata of a container",
        lambda go: go.run("set-metadata", "-m", "new", "c1"),
        lambda s: s.set_metadata("containers", "c1", "new"),
    ),
    Act(
        "a new data item of an image",
        lambda go: go.run("set-image-data", "a", "A-b", input=b"\x00\xff"),
        lambda s: s.set_big_data("images", "a", "A-b", b"\x00\xff"),
    ),
    Act(
        "an empty data item",
        lambda go: go.run("set-image-data", "one", "empty", input=b""),
        lambda s: s.set_big_data("images", "one", "empty", b""),
    ),
    Act(
        "another manifest",
        lambda go: go.run("set-image-data", "one", "manifest", input="{}"),
        lambda s: s.set_big_data("images", "one", "manifest", b"{}"),
    ),
    Act(
        "the first manifest",
        lambda go: go.run("set-image-data", "two", "manifest-7", input="{}"),
        lambda s: s.set_big_data("images", "two", "manifest-7", b"{}"),
    ),
    Act(
        "a manifest of an image that has its digest",
        lambda go: go.run("set-image-data", "none", "manifest", input="{}"),
        lambda s: s.set_big_data("images", "none", "manifest", b"{}"),
    ),
    Act(
        "the same data again",
        lambda go: go.run("set-image-data", "one", "odd key", input="odd"),
        lambda s: s.set_big_data("images", "one", "odd key", b"odd"),
    ),
    Act(
        "data of a container",
        lambda go: (
            go.run("set-container-data", "c1", "config.json", input="{1}"),
            go.run("set-container-data", "c0", "x", input="1"),
        ),
        in_turn(
            lambda s: s.set_big_data("containers", "c1", "config.json", b"{1}"),
            lambda s: s.set_big_data("containers", "c0", "x", b"1"),
        ),
    ),
    Act(
        "data of a layer",
        lambda go: (
            go.run("set-layer-data", "base", "some-data", input="y"),
            go.run("set-layer-data", "lone", "l", input="z"),
        ),
        in_turn(
            lambda s: s.set_big_data("layers", "base", "some-data", b"y"),
            lambda s: s.set_big_data("layers", "lone", "l", b"z"),
        ),
    ),
    # Deleting.
    Act(
        "delete-layer",
        lambda go: go.run("delete-layer", "lone"),
        lambda s: s.delete_layer("lone"),
    ),
    Act(
        "delete-image whose layers are used",
        lambda go: go.run("delete-image", "spare-name"),
        lambda s: s.delete_image("spare-name"),
    ),
    Act(
        "delete-container, then both images and their layers as far as they are free",
        lambda go: [
            go.run("delete-container", "first"),
            go.run("delete-image", "spare"),
            go.run("delete-image", "one"),
        ],
        in_turn(
            lambda s: s.delete_container("first"),
            lambda s: s.delete_image("spare"),
            lambda s: s.delete_image("one"),
        ),
    ),
    Act(
        "delete of a layer in use",
        lambda go: go.run("delete", "base"),
        lambda s: s.delete("base"),
    ),
    Act(
        "delete of an image leaves its layers",
        lambda go: go.run("delete", "one"),
        lambda s: s.delete("one"),
    ),
    Act(
        "delete of a container",
        lambda go: go.run("delete", "zero"),
        lambda s: s.delete("zero"),
    ),
    Act(
        "delete of a container with data",
        lambda go: go.run("delete", "c1"),
        lambda s: s.delete("c1"),
    ),
    Act("wipe", lambda go: go.run("wipe"), lambda s: s.wipe()),
    # Mounting.
    Act(
        "mount",
        lambda go: [go.run("mount", "c1"), go.run("mount", "c1"), go.run("mount", "lone")],
        lambda s: [s.mount("c1"), s.mount("c1"), s.mount("lone")],
    ),
    Act(
        "mount and unmount",
        lambda go: [go.run("mount", "first"), go.run("mount", "c1"), go.run("unmount", "c1")],
        lambda s: [s.mount("first"), s.mount("c1"), s.unmount("c1")],
    ),
    Act(
        "unmount by force",
        lambda go: [go.run("mount", "c1"), go.run("mount", "c1"), go.run("unmount", "-f", "c1")],
        lambda s: [s.mount("c1"), s.mount("c1"), s.unmount("c1", force=True)],
    ),
    Act(
        "delete what is mounted",
        lambda go: [go.run("mount", "c1"), go.run("delete-container", "c1")],
        in_turn(lambda s: s.mount("c1"), lambda s: s.delete_container("c1")),
    ),
    Act(
        "shutdown",
        lambda go: go.run("shutdown"),
        lambda s: s.shutdown(),
    ),
]


@pytest.mark.parametrize("act", DONE, ids=lambda act: act.name)
def test_an_act_leaves_the_bytes_that_the_real_tool_leaves(
    twins: tuple[Live, Live], act: Act
) -> None:
    theirs, ours = twins
    base = b"".join(map(ours.file, ("layers", "images", "containers")))

    act.go(theirs.go)
    act.ours(ours.store)

    assert Comparable(theirs, base).content() == Comparable(ours, base).content()
    assert_same_views(ours)
