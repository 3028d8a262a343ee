"""File systems for the driver tests: that of /tmp, and fresh xfs and btrfs images."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.conftest import GraphRun
from tests.mounts import unmount_below
from tests.needs import loop_mounted, needs


@pytest.fixture(scope="session")
def loop_top(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Give the mount point of a file system image by kind, made once per session."""
    made: dict[str, str] = {}
    with ExitStack() as stack:

        def top(kind: str) -> str:
            if kind not in made:
                directory = str(tmp_path_factory.mktemp(kind))
                made[kind] = stack.enter_context(loop_mounted(kind, directory))
                # pytest removes the image with its directory, which may be long after.
                stack.callback(os.unlink, f"{directory}/{kind}.img")
            return made[kind]

        yield top


@pytest.fixture(
    params=[
        "tmp",
        pytest.param("xfs", marks=needs("xfs")),
        pytest.param("btrfs", marks=needs("btrfs")),
    ]
)
def any_roots(request: pytest.FixtureRequest, loop_top: Callable[[str], str]) -> Iterator[GraphRun]:
    """Give an empty pair of roots, on each kind of file system in turn."""
    where = None if request.param == "tmp" else loop_top(request.param)
    top = os.path.realpath(tempfile.mkdtemp(prefix="holdfs", dir=where))
    roots = GraphRun(f"{top}/graph", f"{top}/run")
    for directory in roots:
        os.mkdir(directory, 0o700)
    yield roots
    left = unmount_below(top)
    shutil.rmtree(top)
    assert not left, f"left mounted: {left}"
