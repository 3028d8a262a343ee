"""Rows for the plot of cost against number of objects, ours beside the Go tool at each size."""

import statistics
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.bench.measure import Row, in_turn, time_command
from tests.bench.rows_start import Calls
from tests.bench.stores import BenchStore, made
from tests.cli.holdctl import Holdctl
from tests.mount.daemons import serving

#: From few to many; twice as many as any row of one size has.
SIZES = (10, 100, 1_000, 10_000, 20_000)
_QUICK_SIZES = (10, 1_000, 5_000)
#: Fewer pairs than this is a quick look.
_FULL_PAIRS = 5
_NEVER_RUNS_OUT = 1_000_000

_Pair = tuple[Callable[[], float], Callable[[], float]]


def _calls(store: BenchStore, root: Path) -> dict[str, _Pair]:
    tool, name = Holdctl(store.graph, store.run), store.name(store.count // 2)

    def command(*words: str) -> _Pair:
        return (
            partial(time_command, tool.command(*words)),
            partial(time_command, store.go.command(*words)),
        )

    path = f"{root}/images/{name.replace('/', '%2F')}/names"
    return {
        "cat images/NAME/names": (
            partial(time_command, ["cat", path]),
            partial(time_command, store.go.command("image", name)),
        ),
        "holdctl image NAME": command("image", name),
        "holdctl images": command("images"),
        "holdctl add-names": (
            Calls(tool, store, "add-names", 0),
            Calls(store.go, store, "add-names", _NEVER_RUNS_OUT),
        ),
    }


def curves(pairs: int) -> Iterator[Row]:
    """Look at one image and at all, and name one, in stores of every size."""
    sizes = SIZES if pairs >= _FULL_PAIRS else _QUICK_SIZES
    found: dict[str, dict[int, tuple[list[float], list[float]]]] = {}
    for count in sizes:
        with made(count) as store, tempfile.TemporaryDirectory(prefix="holdfs-bench-mnt-") as top:
            root = Path(top, "mnt")
            with serving(store.graph, store.run, root):
                for what, calls in _calls(store, root).items():
                    found.setdefault(what, {})[count] = in_turn(*calls, pairs)
    for what, by_size in found.items():
        ours, theirs = by_size[sizes[-1]]
        yield Row(
            name="curves",
            what=f"{what}, {sizes[-1]:,} images",
            against="containers-storage",
            ours=ours,
            peer=theirs,
            limit=0.01 if what.startswith("cat") else 0.12,
            curves={
                "ours": {n: statistics.median(samples[0]) for n, samples in by_size.items()},
                "theirs": {n: statistics.median(samples[1]) for n, samples in by_size.items()},
            },
        )


ROWS = {"curves": curves}
