"""Each sample tar, applied by containers-storage and by us: the same tree, the same records."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfs.native.untar import UntarError, UntarOptions, Whiteouts
from tests.conftest import GraphRun
from tests.mounts import unmount_below
from tests.native.tarcases import BAD, GOOD, SPARSE, WHITEOUTS
from tests.native.trees import Entry, difference, tree_of
from tests.native.unpacking import Made, SplitFile, parse_split, reassemble, unpack
from tests.needs import needs
from tests.peers import GoStore

pytestmark = needs("root", "overlay", "containers-storage")

ALL = {**GOOD, **WHITEOUTS, **SPARSE}
DRIVERS = {"overlay": Whiteouts.OVERLAY, "vfs": Whiteouts.MERGE}
#: Times of made-up parents are those of the extraction; no sample has any in these years.
NOW_NS = range(1_750_000_000_000_000_000, 2_500_000_000_000_000_000)

#: Names of trees that differ, and why that is right.
OTHER_TREES = {
    "pax lost before a global one": "Go makes the parent of a header that describes no file",
}
#: Where our tar-split holds payloads that Go's refers to: its own reassembly fails or is wrong.
KEPT = {
    "hard link with data",
    "file size in a link",
    "whiteout with data",
    "names",
    "through a link",
    *SPARSE,
}
#: Go's own tar-split of these does not give the original.
LOST_BY_GO = {*KEPT, "half the padding"} - {"through a link"}


class Layers:
    """A Go store of one driver, and what its layers are on disk."""

    def __init__(self, roots: GraphRun, driver: str) -> None:
        self.go = GoStore(*roots, driver=driver)
        self.driver = driver
        self._graph = Path(roots.graph)
        self._applied: dict[bytes, str] = {}

    def apply(self, data: bytes, source: Path) -> str:
        """Return the layer that the tar was applied to."""
        if data not in self._applied:
            source.write_bytes(data)
            layer = self.go.out("create-layer").split()[0]
            self.go.run("applydiff", "-f", str(source), layer)
            self._applied[data] = layer
        return self._applied[data]

    def directory(self, layer: str) -> Path:
        below = f"overlay/{layer}/diff" if self.driver == "overlay" else f"vfs/dir/{layer}"
        return self._graph / below

    def split(self, layer: str) -> Path:
        return self._graph / f"{self.driver}-layers/{layer}.tar-split.gz"

    def record(self, layer: str) -> dict[str, Any]:
        records = json.loads((self._graph / f"{self.driver}-layers/layers.json").read_bytes())
        return next(record for record in records if record["id"] == layer)


@pytest.fixture(scope="module", params=DRIVERS)
def layers(request: pytest.FixtureRequest) -> Iterator[Layers]:
    """One store for the module: each sample is applied to it once."""
    top = tempfile.mkdtemp(prefix="holdfs")
    roots = GraphRun(f"{top}/graph", f"{top}/run")
    for each in roots:
        os.mkdir(each, 0o700)
    yield Layers(roots, request.param)
    unmount_below(top)
    shutil.rmtree(top)


def comparable(directory: Path) -> dict[str, Entry]:
    tree = tree_of(str(directory))
    # The Go tool itself makes and removes a directory in the root afterwards.
    return {
        path: entry._replace(mtime_ns=0) if path == "." or entry.mtime_ns in NOW_NS else entry
        for path, entry in tree.items()
    }


def unpack_as(layers: Layers, data: bytes, top: Path) -> Made:
    (top / "diff").mkdir()
    (top / "diff").chmod(0o555)
    return unpack(data, top, UntarOptions(whiteouts=DRIVERS[layers.driver]))


@pytest.mark.parametrize("name", ALL)
def test_a_tar_becomes_what_the_go_tool_makes_of_it(
    name: str, layers: Layers, tmp_path: Path
) -> None:
    layer = layers.apply(ALL[name], tmp_path / "in")
    made = unpack_as(layers, ALL[name], tmp_path)
    record = layers.record(layer)

    if name not in OTHER_TREES:
        assert "" == difference(comparable(layers.directory(layer)), comparable(made.directory))
    assert record["diff-digest"] == f"sha256:{made.unpacked.sha256}"
    assert record.get("diff-size", 0) == made.unpacked.size
    assert record["compressed-diff-digest"] == f"sha256:{made.unpacked.compressed_sha256}"
    assert sorted(record.get("uidset", [])) == list(made.unpacked.uids)
    assert sorted(record.get("gidset", [])) == list(made.unpacked.gids)


@pytest.mark.parametrize("name", ALL)
def test_the_tar_split_lists_what_the_go_tools_does(
    name: str, layers: Layers, tmp_path: Path
) -> None:
    go = parse_split(layers.split(layers.apply(ALL[name], tmp_path / "in")))
    ours = parse_split(unpack_as(layers, ALL[name], tmp_path).split)

    def names(parts: list[bytes | SplitFile]) -> list[tuple[str | None, str | None]]:
        return [(p.name, p.name_raw) for p in parts if isinstance(p, SplitFile)]

    assert names(go) == names(ours)
    if name not in KEPT | LOST_BY_GO:
        assert go == ours


@pytest.mark.parametrize("name", ALL)
def test_the_go_tool_gives_back_the_tar_from_our_tar_split(
    name: str, layers: Layers, tmp_path: Path
) -> None:
    layer = layers.apply(ALL[name], tmp_path / "in")
    made = unpack_as(layers, ALL[name], tmp_path)

    kept = layers.split(layer).read_bytes()
    shutil.copy(made.split, layers.split(layer))
    try:
        assert ALL[name] == layers.go.run_bytes("diff", "-u", layer).stdout
    finally:
        layers.split(layer).write_bytes(kept)


@pytest.mark.parametrize("name", sorted(ALL.keys() - LOST_BY_GO))
def test_we_give_back_the_tar_from_the_go_tools_tar_split(
    name: str, layers: Layers, tmp_path: Path
) -> None:
    layer = layers.apply(ALL[name], tmp_path / "in")
    split = Path(shutil.copy(layers.split(layer), tmp_path / "go.split"))

    assert ALL[name] == reassemble(split, layers.directory(layer))


@pytest.mark.parametrize("name", BAD)
def test_what_the_go_tool_refuses_we_refuse_in_its_words(
    name: str, graph_run: GraphRun, tmp_path: Path
) -> None:
    data, words = BAD[name]
    layers = Layers(graph_run, "overlay")
    (tmp_path / "in").write_bytes(data)

    go = layers.go.run("import-layer", "-f", str(tmp_path / "in"), check=False)
    with pytest.raises(UntarError) as ours:
        unpack(data, tmp_path)

    assert 0 != go.returncode
    assert words in go.stdout + go.stderr
    assert words in str(ours.value)
