"""Which node a name leads to, from where it is read, and what it says then."""

import errno
import posixpath
from collections.abc import Callable

import pytest

from holdfs.fusefs.tree.bigdata import BigDataDir
from holdfs.fusefs.tree.entries import AttributeFile
from holdfs.fusefs.tree.links import ObjectLink
from holdfs.fusefs.tree.node import Directory, Link, Node
from holdfs.fusefs.tree.objects import ObjectDir
from tests.tree.conftest import Grove

IMAGE = "e" * 64


def every_node(grove: Grove, directory: Directory, depth: int) -> list[Node]:
    """Return all listed nodes down to a depth."""
    found: list[Node] = []
    for name in directory.names(grove.tree.view):
        node = directory.lookup(grove.tree.view, name)
        assert node is not None, f"{directory.path}/{name} is listed and not found"
        found.append(node)
        if isinstance(node, Directory) and depth > 0:
            found += every_node(grove, node, depth - 1)
    return found


def test_what_is_listed_is_found_and_has_attributes(
    grove: Grove, chain: Callable[[], None]
) -> None:
    chain()
    grove.tree.load()

    nodes = every_node(grove, grove.root, 5)

    inos = [node.ino for node in nodes]
    assert len(inos) == len(set(inos))
    for node in nodes:
        node.check(grove.tree.view)
        assert node.attributes(grove.tree.view).mode


def test_every_link_leads_to_an_entry_that_is_there(
    grove: Grove, chain: Callable[[], None]
) -> None:
    chain()
    places = ["images/shop", "layers/base/children/top", "layers/top/images/q%2Fshop", ""]
    for place in places:
        for node in every_node(grove, grove.directory(place), 3):
            if isinstance(node, Link) and not node.slow_target:
                target = node.target(grove.tree.view)
                there = posixpath.normpath(posixpath.join(posixpath.dirname(node.path), target))
                assert grove.find(there) is not None, f"{node.path} -> {target}"


@pytest.mark.parametrize("name", ["shop", "q%2Fshop", "e" * 8, "e" * 63, IMAGE])
def test_an_object_is_found_by_id_name_and_prefix(
    grove: Grove, chain: Callable[[], None], name: str
) -> None:
    chain()
    found = grove.find(f"images/{name}")

    assert isinstance(found, ObjectDir)
    assert IMAGE == found.object_id
    assert found.lasting_entry == (name == IMAGE)


@pytest.mark.parametrize("name", ["e" * 7, "q/shop", "q%2fshop", "%73hop", "E" * 8, "", "web"])
def test_nothing_else_is_found(grove: Grove, chain: Callable[[], None], name: str) -> None:
    chain()

    assert not isinstance(grove.find(f"images/{name}"), ObjectDir)


def test_a_name_comes_before_a_prefix_and_an_id_before_a_name(grove: Grove) -> None:
    store = grove.store
    store.create_layer(layer_id="a" * 64)
    store.create_layer(layer_id="c" * 64, names=["a" * 10, "a" * 64])

    for name, expected in (("a" * 9, "a"), ("a" * 10, "c"), ("a" * 64, "a")):
        found = grove.find(f"layers/{name}")
        assert isinstance(found, ObjectDir)
        assert expected * 64 == found.object_id


def test_an_ambiguous_prefix_is_nobody_s(grove: Grove) -> None:
    for last in "12":
        grove.store.create_layer(layer_id="a" * 63 + last)

    assert grove.find("layers/" + "a" * 20) is None


def test_fixed_entries_come_before_names(grove: Grove) -> None:
    grove.store.create_layer(names=["by-name", "dangling"])

    for name in ("by-name", "dangling"):
        assert not isinstance(grove.find(f"layers/{name}"), ObjectDir)


def test_members_are_found_by_name_only_where_they_belong(
    grove: Grove, chain: Callable[[], None]
) -> None:
    chain()

    assert isinstance(grove.find("layers/base/children/top"), ObjectDir)
    assert isinstance(grove.find("layers/base/children/" + "d" * 64), ObjectLink)
    assert isinstance(grove.find("layers/base/children/" + "d" * 12), ObjectDir)
    assert grove.find("layers/top/children/base") is None
    assert grove.find("layers/base/images/shop") is None
    assert isinstance(grove.find("layers/top/images/shop/containers/web/id"), AttributeFile)
    assert isinstance(grove.find("layers/top/images/shop/big-data"), BigDataDir)


def test_an_alias_keeps_its_object_when_the_name_moves(
    grove: Grove, chain: Callable[[], None]
) -> None:
    chain()
    alias = grove.directory("layers/base")
    link = grove.find("layers/by-name/base")
    assert link is not None

    grove.store.set_names("layers", "top", ["base"])
    grove.tree.load()

    names = alias.lookup(grove.tree.view, "names")
    assert isinstance(names, AttributeFile)
    assert b"" == names.content(grove.tree.view)
    with pytest.raises(OSError) as caught:
        link.check(grove.tree.view)
    assert errno.ESTALE == caught.value.errno
    moved = grove.find("layers/base")
    assert moved is not None
    assert moved.ino != alias.ino


def test_a_node_of_a_deleted_object_is_gone(grove: Grove) -> None:
    grove.store.create_layer(names=["x"])
    nodes = [grove.find("layers/x"), grove.find("layers/x/id"), grove.find("layers/x/children")]

    grove.store.delete_layer("x")
    grove.tree.load()

    for node in nodes:
        assert node is not None
        with pytest.raises(FileNotFoundError):
            node.attributes(grove.tree.view)


def test_nothing_can_be_changed_in_a_deleted_object(grove: Grove) -> None:
    grove.store.create_layer(names=["x"])
    directory, names = grove.directory("layers/x"), grove.find("layers/x/names")
    items = grove.directory("layers/x/big-data")
    assert isinstance(names, AttributeFile)
    grove.store.delete_layer("x")
    grove.tree.load()
    view = grove.tree.view

    for act in (
        lambda: names.open_writer(view, truncate=True, append=False),
        lambda: directory.unlink(view, "id"),
        lambda: directory.rename(view, "names", directory, "names~", replace=True),
        lambda: directory.create(view, "scratch", append=False),
        lambda: directory.symlink(view, "parent", "../y"),
        lambda: items.create(view, "item", append=False),
        lambda: items.unlink(view, "item"),
        lambda: directory.names(view),
    ):
        with pytest.raises(FileNotFoundError):
            act()


def test_inodes_depend_on_path_and_object(grove: Grove, chain: Callable[[], None]) -> None:
    chain()
    paths = ["images/shop", f"images/{IMAGE}", "layers/top/images/shop", "images/q%2Fshop"]

    inos = {node.ino for path in paths if (node := grove.find(path)) is not None}

    assert len(paths) == len(inos)
    again = grove.find("images/shop")
    assert again is not None
    assert again.ino in inos
    assert all(1 < ino < 1 << 63 for ino in inos)


def test_cut_keys_of_big_data_are_found(grove: Grove) -> None:
    grove.store.create_layer(names=["x"])
    keys = ["k" * 120 + "-", "%", "a b", "\n" * 100]
    for key in keys:
        grove.store.set_big_data("layers", "x", key, key.encode())

    for name in grove.names("layers/x/big-data"):
        assert grove.find(f"layers/x/big-data/{name}") is not None
    assert len(keys) == len(grove.names("layers/x/big-data"))
