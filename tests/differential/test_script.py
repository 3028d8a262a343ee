"""A script written for containers-storage does the same with holdctl: examples/store_round.sh."""

import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.holdctl import Holdctl
from tests.conftest import GraphRun
from tests.house.sources import TOP
from tests.needs import loop_mounted, needs
from tests.peers import GoStore

pytestmark = needs("root", "overlay", "containers-storage")

#: Each driver, and whether there is an additional image store: btrfs can't have one.
CASES = [
    ("overlay", True),
    ("vfs", True),
    pytest.param(("btrfs", False), marks=needs("btrfs")),
]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}{' with another store' * case[1]}")
def case(
    request: pytest.FixtureRequest, stores: Callable[[], GraphRun], tmp_path: Path
) -> Iterator[tuple[str, list[GraphRun], list[str]]]:
    """Give a driver, two pairs of empty roots, and the arguments for another store."""
    driver, has_other = request.param
    with ExitStack() as stack:
        roots = [stores(), stores()]
        if driver == "btrfs":
            top = stack.enter_context(loop_mounted("btrfs", str(tmp_path)))
            roots = [GraphRun(f"{top}/{name}/g", f"{top}/{name}/r") for name in ("a", "b")]
        others: list[str] = []
        if has_other:
            other = stores()
            filler = GoStore(*other, driver)
            (tmp_path / "file").write_text("theirs")
            with tarfile.open(tmp_path / "tar", "w") as archive:
                archive.add(tmp_path / "file", "file")
            filler.run("import-layer", "-i", "their-layer", "-f", str(tmp_path / "tar"))
            filler.run("create-image", "-i", "their-image", "-n", "theirs", "their-layer")
            filler.run("shutdown")
            others = [other.graph, "theirs"]
        yield driver, roots, others


def run_script(command: str, roots: GraphRun, driver: str, others: list[str]) -> str:
    done = subprocess.run(
        [TOP / "examples" / "store_round.sh", *roots, driver, *others],
        env={**os.environ, "COMMAND": command, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=False,
        text=True,
    )
    assert 0 == done.returncode, done.stdout
    return done.stdout.replace(roots.graph, "GRAPH").replace(roots.run, "RUN")


def test_a_script_for_containers_storage_runs_with_holdctl_unchanged(
    case: tuple[str, list[GraphRun], list[str]],
) -> None:
    driver, roots, others = case

    expected = run_script("containers-storage", roots[0], driver, others)

    assert expected == run_script(Holdctl.program, roots[1], driver, others)
    assert expected.count("\n==") == 5 + bool(others)
    # And in the store that the other has left.
    assert expected == run_script(Holdctl.program, roots[0], driver, others)
