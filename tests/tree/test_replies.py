"""Replies are given again for as long as they are true, and for no longer."""

from collections.abc import Callable

from holdfs.fusefs.attrs import Attributes, Reply
from holdfs.fusefs.replies import Kept, Listings
from holdfs.fusefs.settings import Settings
from tests.tree.conftest import Grove

BASE = "b" * 64


def test_a_reply_is_given_again_in_its_own_view_alone(
    grove: Grove, chain: Callable[[], None]
) -> None:
    kept, reply = Kept(), _reply(grove, "")
    before = grove.tree.view
    kept.keep(before, 5, reply)
    assert reply is kept.get(before, 5)
    assert kept.get(before, 6) is None
    chain()
    grove.tree.load()
    assert kept.get(grove.tree.view, 5) is None
    kept.keep(grove.tree.view, 6, reply)
    assert kept.get(grove.tree.view, 5) is None


def test_a_listing_is_the_very_same_while_nothing_changes(
    grove: Grove, chain: Callable[[], None]
) -> None:
    chain()
    layers, listings = grove.directory("layers"), Listings()
    names = listings.names(layers, grove.tree.view)
    assert list(layers.names(grove.tree.view)) == list(names)
    assert names is listings.names(layers, grove.tree.view)


def test_what_may_not_last_is_not_kept(grove: Grove, chain: Callable[[], None]) -> None:
    chain()
    layers, listings = grove.directory("layers"), Listings()
    node = grove.directory(f"layers/{BASE}")
    stat = node.attributes(grove.tree.view)._replace(lasting=False)
    attributes = Attributes(grove.tree.settings)
    reply = attributes.fill(node.ino, stat, lasting_entry=True)
    listings.keep(layers, grove.tree.view, node, reply)
    assert listings.replies(layers, grove.tree.view).get(BASE) is None


def _reply(grove: Grove, path: str) -> Reply:
    node = grove.directory(path)
    attributes = Attributes(Settings(mount_point="/mnt/store"))
    return attributes.fill(node.ino, node.attributes(grove.tree.view), lasting_entry=True)
