"""Generated diffs against containers-storage 1.43, byte for byte."""

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from holdfs.native.blocks import Blocks
from holdfs.native.treediff import Changes, DiffOf, changes, segments_from_diff, tar_from_diff
from tests.conftest import GraphRun
from tests.native.changing import build, change
from tests.needs import needs
from tests.peers import GoStore

pytestmark = needs("root", "overlay", "containers-storage")

WORDS = {"A": "Add", "C": "Modify", "D": "Delete"}


class Layers(NamedTuple):
    """A layer on another, changed through its mount; what the Go tool says about it."""

    go: GoStore
    base: Path
    child: Path
    tar: bytes
    changes: list[str]
    size: int


@pytest.fixture(params=["overlay", "vfs"])
def layers(request: pytest.FixtureRequest, graph_run: GraphRun) -> Layers:
    driver: str = request.param
    go = GoStore(*graph_run, driver=driver)
    base = go.out("create-layer").split()[0]
    build(go.out("mount", base))
    go.run("unmount", base)
    child = go.out("create-layer", base).split()[0]
    change(go.out("mount", child), is_overlay=driver == "overlay")
    go.run("unmount", child)
    graph = Path(graph_run.graph)
    base_dir, child_dir = (
        graph / (f"overlay/{each}/diff" if driver == "overlay" else f"vfs/dir/{each}")
        for each in (base, child)
    )
    return Layers(
        go,
        base_dir,
        child_dir,
        go.run_bytes("diff", "-u", child).stdout,
        go.out("changes", child).splitlines(),
        int(go.out("diffsize", child)),
    )


@contextmanager
def diff_of(layers: Layers) -> Iterator[DiffOf]:
    base_fd, child_fd = os.open(layers.base, os.O_RDONLY), os.open(layers.child, os.O_RDONLY)
    try:
        if layers.go.driver == "overlay":
            yield DiffOf(new_fd=child_fd, is_overlay=True, lower_fds=[base_fd])
        else:
            # Deletions have the time of the tar that they are compared with.
            with tarfile.open(fileobj=io.BytesIO(layers.tar)) as tar:
                now = next(int(each.mtime) for each in tar if ".wh." in each.name)
            yield DiffOf(new_fd=child_fd, old_fd=base_fd, now=now)
    finally:
        os.close(base_fd)
        os.close(child_fd)


def written(diff: DiffOf, to: Path) -> bytes:
    fd = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        tar_from_diff(diff, fd)
    finally:
        os.close(fd)
    return to.read_bytes()


def test_the_tar_is_the_go_tools_byte_for_byte(layers: Layers, tmp_path: Path) -> None:
    with diff_of(layers) as diff:
        ours = written(diff, tmp_path / "out")

    assert layers.tar == ours


def test_the_segments_are_the_same_tar(layers: Layers, tmp_path: Path) -> None:
    spill_fd = os.open(tmp_path / "spill", os.O_RDWR | os.O_CREAT, 0o600)
    with diff_of(layers) as diff, segments_from_diff(diff, spill_fd) as segments:
        os.close(spill_fd)
        blocks = Blocks(4099, 1)
        ours = b"".join(segments.read(at, 4099, blocks) for at in range(0, segments.size, 4099))

    assert layers.tar == ours


def found(layers: Layers) -> Changes:
    with diff_of(layers) as diff:
        return changes(diff)


def test_the_changes_are_the_go_tools(layers: Layers) -> None:
    entries = found(layers).entries

    assert sorted(layers.changes) == sorted(f'{WORDS[e.kind]} "{e.path}"' for e in entries)


def test_the_changes_are_sorted_by_path(layers: Layers) -> None:
    paths = [os.fsencode(each.path) for each in found(layers).entries]

    assert sorted(paths) == paths


def test_the_size_is_the_go_tools(layers: Layers) -> None:
    assert layers.size == found(layers).size


def test_gnu_tar_reads_it(layers: Layers, tmp_path: Path) -> None:
    with diff_of(layers) as diff:
        written(diff, tmp_path / "out.tar")

    listed = subprocess.run(
        ["tar", "-tvf", tmp_path / "out.tar"], capture_output=True, check=True, timeout=60
    )
    assert b"" == listed.stderr
