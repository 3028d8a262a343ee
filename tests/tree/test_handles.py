"""Writers: what each write, flush and release comes to, in whatever order they arrive."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfs.core.errors import InvalidValue
from holdfs.fusefs.tree.encoding import encode_line
from holdfs.fusefs.tree.handles import metadata_text, parse_names
from holdfs.fusefs.tree.node import File
from tests.tree.conftest import Grove


def writer(grove: Grove, path: str, *, truncate: bool = True, append: bool = False) -> Any:
    node = grove.find(path)
    assert isinstance(node, File)
    return node.open_writer(grove.tree.view, truncate=truncate, append=append)


def run(step: Any) -> None:
    if step is not None:
        step()


def write(handle: Any, off: int, data: bytes) -> None:
    handle.write(off, data)
    run(handle.after_write())


@given(st.lists(st.text(alphabet="ab%/\n\x7fé", max_size=5), unique=True))
def test_names_written_as_they_are_shown_are_the_same(names: list[str]) -> None:
    text = "".join(f"{encode_line(name)}\n" for name in names)

    assert names == parse_names(text.encode())


@given(st.text(alphabet="ab\né€", max_size=8))
def test_metadata_written_as_it_is_shown_is_the_same(text: str) -> None:
    assert text == metadata_text(f"{text}\n".encode(), whole=True)


@given(st.text(alphabet="aé€😀", max_size=8), st.integers(0, 40))
def test_an_incomplete_character_is_left_for_later(text: str, at: int) -> None:
    assert text.startswith(metadata_text(text.encode()[:at], whole=False))


def test_half_a_character_at_the_end_is_refused_at_close(grove: Grove) -> None:
    grove.store.create_layer(names=["x"])
    handle = writer(grove, "layers/x/metadata")
    write(handle, 0, "a€".encode()[:-1])

    assert "a" == grove.store.metadata("x")
    with pytest.raises(InvalidValue):
        handle.at_flush()


def test_a_failed_write_of_names_drops_none_at_flush(grove: Grove) -> None:
    layer = grove.store.create_layer(names=["x"])
    handle = writer(grove, "layers/x/names")
    write(handle, 0, b"a\n")
    with pytest.raises(InvalidValue):
        write(handle, 2, b"%41\n")

    assert handle.at_flush() is None
    assert ("x", "a") == grove.store.snapshot().layers.names_of(layer.id)


def test_append_writes_at_the_end_whatever_the_offset(grove: Grove) -> None:
    layer = grove.store.create_layer(names=["x"])
    handle = writer(grove, "layers/x/names", truncate=False, append=True)
    write(handle, 700, b"a\n")
    write(handle, 0, b"b")
    run(handle.at_flush())

    assert ("x", "a", "b") == grove.store.snapshot().layers.names_of(layer.id)


def test_a_flush_without_a_write_does_nothing(grove: Grove) -> None:
    grove.store.create_layer(names=["x"])
    for path in ("names", "metadata"):
        handle = writer(grove, f"layers/x/{path}")
        assert handle.at_flush() is None
        assert handle.at_release() is None
        assert 0 == handle.shown_size


def test_an_item_that_could_not_be_stored_is_not_stored_at_release(grove: Grove) -> None:
    grove.store.create_layer(names=["x"])
    grove.store.set_big_data("layers", "x", "k", b"old")
    handle = writer(grove, "layers/x/big-data/k")
    handle.write(0, b"new")

    assert handle.at_flush() is not None  # and say it failed
    assert handle.at_release() is None


def test_a_hole_in_an_item_holds_zeros(grove: Grove) -> None:
    grove.store.create_layer(names=["x"])
    grove.store.set_big_data("layers", "x", "k", b"old")
    handle = writer(grove, "layers/x/big-data/k", truncate=False)
    handle.write(5, b"new")
    run(handle.at_flush())

    assert b"old\0\0new" == grove.store.read_big_data("layers", "x", "k")
