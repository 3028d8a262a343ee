"""
The rows of test_every_command.py that a driver has a part in, on btrfs, beside the real tool.

Both stores are on one file system in a file. They are filled alike, one after the other, since a
copy of the files would have no subvolumes; so all IDs that were made up, and times, are numbered.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import GraphRun
from tests.differential.conftest import fill
from tests.differential.live import Comparable, Live
from tests.differential.outcomes import Plainer
from tests.differential.test_every_command import ROWS, alike, newest, split, tar
from tests.needs import loop_mounted, needs

pytestmark = needs("root", "btrfs", "containers-storage")

__all__ = ["tar"]  # the fixture

#: The commands that such rows begin with.
OF_DRIVERS = (
    "createlayer",
    "import-layer",
    "applydiff",
    "mount",
    "delete-container",
    "wipe",
    "copy",
)
CHOSEN = [row for row in ROWS if split(row[0])[0][0] in OF_DRIVERS]


@pytest.fixture(scope="module")
def btrfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with loop_mounted("btrfs", str(tmp_path_factory.mktemp("btrfs")), size=1 << 30) as top:
        yield top


_numbers = itertools.count()


def fresh(top: str) -> Live:
    """Return a store that is not there yet."""
    directory = Path(top, str(next(_numbers)))
    return Live(GraphRun(f"{directory}/graph", f"{directory}/run"), "btrfs")


@pytest.mark.parametrize("row", CHOSEN, ids="; ".join)
def test_a_row_of_commands_is_the_real_tools_on_btrfs(btrfs: str, tar: str, row: list[str]) -> None:
    theirs, ours = fresh(btrfs), fresh(btrfs)
    plainers = Plainer(theirs), Plainer(ours)
    for live in (theirs, ours):
        fill(live)

    for line in row:
        words, given = split(line.replace("{tar}", tar))
        expected = newest(words, plainers[0].run(theirs.go, words, given))
        said = plainers[1].run(ours.holdctl, words, given)
        assert alike(words, expected) == alike(words, said), line
    assert Comparable(theirs).content() == Comparable(ours).content()
