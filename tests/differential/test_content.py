"""
What a layer changes, told by the real tool and by us: the same bytes, whoever made the layer.

    from a stream   the stream again, bit for bit
    by hand         headers made of what is in the layer; against any other layer
"""

import gzip
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfs.native.blocks import Blocks
from holdfs.native.untar import Compression
from tests.conftest import DriverRoots
from tests.differential.live import Live
from tests.native.changing import build, change
from tests.native.tarcases import GOOD, SPARSE, WHITEOUTS
from tests.native.test_untar_peers import LOST_BY_GO
from tests.needs import needs

pytestmark = needs("root", "overlay", "containers-storage")

ALL = {**GOOD, **WHITEOUTS, **SPARSE}
#: Go's own layers of which Go's own diff is not the original, or fails.
LOST = {*LOST_BY_GO, "through a link"}
SIDES = ("theirs", "ours")


@pytest.fixture
def live(driver_roots: DriverRoots) -> Iterator[Live]:
    """Give an empty store of each driver in turn."""
    live = Live(driver_roots.roots, driver_roots.driver)
    yield live
    for layer_id in live.store.snapshot().mounts:
        live.store.unmount(layer_id, force=True)
    live.store.shutdown()


def our_diff(live: Live, ref: str, from_: str = "") -> bytes:
    """Return what our store, open all the time, writes."""
    path = Path(live.roots.run, "diff.tar")
    with path.open("wb") as file:
        live.store.write_diff(ref, file.fileno(), from_=from_, compression=Compression.NONE)
    return path.read_bytes()


def our_segments(live: Live, ref: str) -> bytes:
    """Return what is read of the layer's diff in pieces of an odd size."""
    with live.store.open_diff(ref) as segments:
        size, blocks = 70_001, Blocks(70_001, 1)
        return b"".join(segments.read(at, size, blocks) for at in range(0, segments.size, size))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("side", SIDES)
def test_a_stream_comes_out_of_both_as_it_went_in(live: Live, side: str, tmp_path: Path) -> None:
    source = tmp_path / "in"
    (live.go if side == "theirs" else live.holdctl).run("create-layer", "-i", "base")
    for number, name in enumerate(ALL):
        data = ALL[name]
        source.write_bytes(gzip.compress(data, 1) if data and number % 2 else data)
        ref, parent = f"layer{number}", "base" if number % 3 else ""
        words = [f"-i={ref}", f"-f={source}", *([parent] if parent else [])]
        if side == "theirs":
            live.go.run("import-layer", *words)
        else:
            with source.open("rb") as stream:
                live.store.import_layer(stream.fileno(), layer_id=ref, parent=parent)
        if side == "ours" or name not in LOST:
            assert data == live.go.run_bytes("diff", "-u", ref).stdout, name
            assert data == our_diff(live, ref), name
            assert data == our_segments(live, ref), name
        assert [int(live.go.out("diffsize", ref))] == [live.store.diff_size(ref)], name


def test_the_program_writes_what_the_real_one_writes(live: Live, tmp_path: Path) -> None:
    data = ALL["python pax"]
    (tmp_path / "in").write_bytes(data)
    live.holdctl.run("import-layer", "-i", "layer", input=gzip.compress(data))

    for words in (["-u"], ["-u", "-f", f"{tmp_path}/out"], ["-c"], []):
        written = [
            each.run_bytes("diff", *words, "layer").stdout for each in (live.go, live.holdctl)
        ]
        if "-f" in words:
            assert [b"", b""] == written
            assert data == (tmp_path / "out").read_bytes()
        elif "-u" in words:
            assert [data, data] == written
        else:
            # The compressed form is each library's own.
            assert [data, data] == [gzip.decompress(each) for each in written]
    assert live.go.run_bytes("diff", "layer").returncode == 0


def dateless(tar: bytes) -> bytes:
    """Return the tar with the times of its deletions zeroed: those of the moment it was made."""
    result = bytearray(tar)
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for member in archive:
            if os.path.basename(member.name).startswith(".wh."):
                header = member.offset_data - 512
                result[header + 136 : header + 156] = bytes(20)
    return bytes(result)


@pytest.mark.parametrize("side", SIDES)
def test_a_layer_made_by_hand_is_the_same_tar_to_both_against_any_other(
    live: Live, side: str
) -> None:
    """
    base ── child          stranger
    """
    tool = live.go if side == "theirs" else live.holdctl
    for ref, parent in (("base", ""), ("child", "base"), ("stranger", "")):
        tool.run("create-layer", "-i", ref, *([parent] if parent else []))
        top = tool.out("mount", ref)
        if ref == "child":
            # 1.43 can't list, on overlay, what is below a directory that was a file.
            change(top, is_overlay=live.driver == "overlay")
        else:
            build(top)
        tool.run("unmount", ref)
    Path(tool.out("mount", "stranger"), "gone2").write_text("another")
    tool.run("unmount", "stranger")

    for ref, other in (
        ("base", ""),
        ("child", ""),
        ("child", "stranger"),
        ("stranger", "child"),
        ("base", "child"),
    ):
        words = [ref, *([other] if other else [])]
        told = live.go.run_bytes("diff", "-u", *words).stdout
        pair = f"{ref} from {other}"
        assert dateless(told) == dateless(our_diff(live, ref, other)), pair
        assert live.go.out("diffsize", *words) == str(live.store.diff_size(ref, from_=other)), pair
        assert sorted(live.go.out("changes", *words).splitlines()) == sorted(
            live.holdctl.out("changes", *words).splitlines()
        ), pair
        assert told, pair
    told = live.go.run_bytes("diff", "-u", "child").stdout
    assert dateless(told) == dateless(our_segments(live, "child"))
    assert dateless(told) == dateless(live.holdctl.run_bytes("diff", "-u", "child").stdout)
