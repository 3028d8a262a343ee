"""Content in the tree: where its links lead, and what is kept of it while the kernel knows it."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from holdfs.fusefs.inodes import Inodes
from holdfs.fusefs.settings import Settings
from holdfs.fusefs.tree.content import ContentDir
from holdfs.fusefs.tree.contentlinks import kept_inside
from tests.needs import needs
from tests.tree.conftest import Grove

#: What there is where links are followed: text of a link, or True for a directory.
PLACES: dict[bytes, bytes | bool] = {
    b"usr": True, b"usr/lib": True, b"lib": b"usr/lib", b"abs": b"/usr/lib", b"a": True,
    b"a/b": True, b"a/up": b"../../..", b"file": False, b"x": b"y", b"y": b"x",
}  # fmt: skip


def look(names: Sequence[bytes]) -> bytes | bool:
    return PLACES.get(b"/".join(names), False)


@pytest.mark.parametrize(
    ("directory", "text", "expected"),
    [
        ("", "/", "."),
        ("", "/etc", "etc"),
        ("", "..", "."),
        ("", "../../etc", "etc"),
        ("", "etc/motd", "etc/motd"),
        ("a/b", "/etc/motd", "../../etc/motd"),
        ("a/b", "//etc//motd/", "../../etc/motd/"),
        ("a/b", "../../etc", "../../etc"),
        ("a/b", "../../../etc", "../../etc"),
        ("a/b", "./.././../etc", "./.././../etc"),
        # A .. after a name goes by what the name is.
        ("a/b", "/lib/../share", "../../usr/share"),
        ("a/b", "/abs/../../etc", "../../etc"),
        ("a", "b/../../../etc", "../etc"),
        ("a", "up/../../etc", "../etc"),
        ("", "lib/..", "usr"),
        # Nobody comes past these, neither in a container nor here.
        ("a", "/file/../etc", "../file/./etc"),
        ("a", "/nowhere/../../../..", "../nowhere/."),
        ("a", "../x/../etc", "../x/./etc"),
    ],
)
def test_a_link_is_kept_inside(directory: str, text: str, expected: str) -> None:
    names = [os.fsencode(name) for name in directory.split("/") if name]
    assert os.fsencode(expected) == kept_inside(os.fsencode(text), names, look)


def content_of(grove: Grove, layer: str) -> ContentDir:
    found = grove.directory(f".files/layers/{layer}")
    assert isinstance(found, ContentDir)
    return found


@pytest.fixture
def filled(grove: Grove, chain: Callable[[], None]) -> Grove:
    """Give a tree with `files`, and a layer that has a file of two names in it."""
    chain()
    path = Path(grove.store.mount("top"))
    (path / "one").write_text("x")
    os.link(path / "one", path / "two")
    (path / "sub").mkdir()
    (path / "sub" / "three").touch()
    return Grove(grove.store, Settings(mount_point="/mnt/store", files=True))


@needs("root")
def test_nodes_go_when_the_kernel_forgets_them(filled: Grove) -> None:
    view = filled.tree.view
    inodes = Inodes(filled.root)
    before = len(inodes)
    top = content_of(filled, "d" * 64)
    known = [inodes.enter(top)]
    for node, _ in filter(None, top.entries(view, top.names(view))):
        known.append(inodes.enter(node))
    # Of the top, of the file with its two names, and of the directory.
    assert before + 3 == len(inodes)
    assert list(inodes.about("d" * 64)) == [top]

    inodes.forget([(node.ino, 1) for node in known])

    assert before == len(inodes)


@needs("root")
def test_of_two_names_the_one_that_was_found_last_stands_for_the_inode(filled: Grove) -> None:
    view, inodes = filled.tree.view, Inodes(filled.root)
    top = content_of(filled, "d" * 64)
    first, second = top.lookup(view, "one"), top.lookup(view, "two")
    assert first is not None and second is not None

    assert first is inodes.enter(first)
    assert second is inodes.enter(second)

    assert first.ino == second.ino
    assert "two" == inodes.get(first.ino).name
    inodes.forget([(first.ino, 2)])
    assert None is inodes.find(first.ino)
