"""Listings that are kept from view to view: the same as made anew, whatever has changed."""

import gc
import weakref
from collections.abc import Callable

import pytest

from holdfs.fusefs.attrs import Attributes
from holdfs.fusefs.replies import Listings
from holdfs.fusefs.settings import Settings
from holdfs.fusefs.tree.node import Directory, Node
from tests.tree.conftest import Grove


def layer_id(number: int) -> str:
    return f"{number:064x}"


@pytest.fixture
def layers(grove: Grove) -> Directory:
    for number in range(6):
        grove.store.create_layer(layer_id=layer_id(number))
    return grove.directory("layers")


def kept(grove: Grove, layers: Directory, listings: Listings) -> set[str]:
    """Give each entry a reply, and return the entries of which one is kept."""
    view = grove.tree.view
    attributes = Attributes(Settings(mount_point="/mnt/store"))
    for name in listings.names(layers, view):
        node = layers.lookup(view, name)
        assert isinstance(node, Node)
        reply = attributes.fill(node.ino, node.attributes(view), lasting_entry=node.lasting_entry)
        listings.keep(layers, view, node, reply)
    return {n for n in layers.names(view) if listings.replies(layers, view).get(n) is not None}


@pytest.mark.parametrize(
    "change",
    [
        lambda store: store.create_layer(layer_id=layer_id(9)),
        lambda store: store.delete(layer_id(0)),
        lambda store: store.delete(layer_id(3)),
        lambda store: store.delete(layer_id(5)),
        lambda store: (store.delete(layer_id(0)), store.create_layer(layer_id=layer_id(9))),
        lambda store: (store.delete(layer_id(1)), store.delete(layer_id(4))),
        lambda store: [store.delete(layer_id(number)) for number in range(6)],
        lambda store: store.set_metadata("layers", layer_id(2), "text"),
    ],
    ids=["made", "first", "middle", "last", "first and made", "two", "all", "none"],
)
def test_names_and_replies_follow_a_change(
    grove: Grove, layers: Directory, change: Callable[[object], object]
) -> None:
    listings = Listings()
    before = kept(grove, layers, listings)
    assert {layer_id(number) for number in range(6)} == before

    change(grove.store)
    grove.tree.load()
    view = grove.tree.view

    assert list(layers.names(view)) == list(listings.names(layers, view))
    still = {n for n in layers.names(view) if listings.replies(layers, view).get(n) is not None}
    assert before & set(layers.names(view)) == still
    gone = before - set(layers.names(view))
    assert [None] * len(gone) == [listings.replies(layers, view).get(name) for name in gone]


def test_an_object_made_again_under_its_id_has_another_reply(
    grove: Grove, layers: Directory
) -> None:
    listings = Listings()
    kept(grove, layers, listings)

    grove.store.delete(layer_id(3))
    grove.store.create_layer(layer_id=layer_id(3))
    grove.tree.load()

    assert listings.replies(layers, grove.tree.view).get(layer_id(3)) is None
    assert listings.replies(layers, grove.tree.view).get(layer_id(2)) is not None


def test_a_view_that_nobody_has_any_more_is_gone_at_once(grove: Grove, layers: Directory) -> None:
    """It holds the whole store, and must not wait for the garbage collector."""
    node = grove.find(f"layers/{layer_id(1)}/id")
    assert node is not None
    node.attributes(grove.tree.view)
    seen = weakref.ref(grove.tree.view)

    gc.disable()
    try:
        grove.store.create_layer(layer_id=layer_id(9))
        grove.tree.load()
        while grove.tree.take_news() is not None:
            pass
        assert seen() is None
    finally:
        gc.enable()
