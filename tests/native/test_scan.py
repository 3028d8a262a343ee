"""Reading files of records, and what is told of them in C."""

import json
import os
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfs.core.cli.listing import _SHOWN
from holdfs.core.formats.shapes import CONTAINERS, IMAGES, LAYERS
from holdfs.native import scan

#: So much that two threads read it, and no whole number of anything.
_LARGE = (2 << 20) + 4097


@pytest.mark.parametrize("size", [0, 1, 4096, _LARGE])
@pytest.mark.parametrize("more", [0, 1, _LARGE], ids=["as told", "a byte less", "much less"])
def test_a_file_is_read_as_far_as_it_goes(tmp_path: Path, size: int, more: int) -> None:
    content = os.urandom(size)
    path = tmp_path / "file"
    path.write_bytes(content)
    with path.open("rb") as f:
        assert scan.read(f.fileno(), size + more) == content


def test_only_what_was_asked_for_is_read(tmp_path: Path) -> None:
    content = os.urandom(_LARGE)
    path = tmp_path / "file"
    path.write_bytes(content)
    with path.open("rb") as f:
        assert scan.read(f.fileno(), _LARGE - 5000) == content[:-5000]


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        for size in (1, _LARGE):
            with pytest.raises(IsADirectoryError):
                scan.read(fd, size)
    finally:
        os.close(fd)


def _lines(ids: list[str]) -> bytes | None:
    data = json.dumps([{"id": i} for i in ids], separators=(",", ":")).encode()
    lines = scan.image_lines(data, IMAGES.spec(_SHOWN))
    return None if lines is None else bytes(lines)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 9, 1000, 200_000])
def test_images_are_listed_in_their_order(count: int) -> None:
    ids = [f"{number:x}" for number in range(count)]
    assert _lines(ids) == "".join(f"{i}\n" for i in ids).encode()


@pytest.mark.parametrize("count", [1, 7, 8, 1000])
@pytest.mark.parametrize("twice", ["", "2a"], ids=["empty", "text"])
def test_an_id_that_is_there_twice_is_not_listed_here(count: int, twice: str) -> None:
    ids = [twice, *(f"x{number}" for number in range(count))]
    assert _lines(ids) is not None
    assert _lines([*ids, twice]) is None


Records: TypeAlias = list[dict[str, Any]]

ON = st.sampled_from(["", "a", "b", "c", "ab", "gone"])
NAMES = st.lists(st.text("aé𝄞 ", max_size=5))


def records(*, layer: bool) -> st.SearchStrategy[Records]:
    ids = st.text("abc", max_size=2)
    members: dict[str, st.SearchStrategy[Any]] = {"id": ids, "names": NAMES}
    if layer:
        members["layer"] = ON
    return st.lists(st.fixed_dictionaries(members), unique_by=lambda record: record["id"])


def _layers(layers: Records, images: Records, containers: Records) -> str | None:
    def file(of: Records) -> bytes:
        return json.dumps(of, ensure_ascii=False, separators=(",", ":")).encode()

    lines = scan.layer_lines(
        (file(layers), LAYERS.spec(("id", "names"))),
        (file(images), IMAGES.spec(("id", "layer", "names", "mapped-layers"))),
        (file(containers), CONTAINERS.spec(("id", "layer", "names"))),
    )
    return None if lines is None else bytes(lines).decode()


@given(layers=records(layer=False), images=records(layer=True), containers=records(layer=True))
@example(layers=[], images=[], containers=[])
def test_layers_are_listed_with_what_is_on_them(
    layers: Records, images: Records, containers: Records
) -> None:
    def on(layer_id: str, users: Records) -> Records:
        return [user for user in users if user["layer"] == layer_id]

    expected = []
    for layer in layers:
        expected += [layer["id"], *(f"\tname: {name}" for name in layer["names"])]
        last = on(layer["id"], containers)[-1:]
        for kind, users in (("image", on(layer["id"], images)), ("container", last)):
            for user in users:
                expected += [f"\t{kind}: {user['id']}"]
                expected += [f"\t\tname: {name}" for name in user["names"]]

    assert "".join(f"{line}\n" for line in expected) == _layers(layers, images, containers)


def test_layers_are_not_listed_here_if_an_image_has_several_or_an_id_is_there_twice() -> None:
    layer, user = {"id": "a"}, {"id": "i", "layer": "a"}

    assert _layers([layer], [user], [user]) is not None
    assert _layers([layer], [{**user, "mapped-layers": ["b"]}], []) is None
    assert _layers([layer, layer], [user], []) is None
    assert _layers([layer], [user, user], []) is None
    assert _layers([layer], [], [user, user]) is None
