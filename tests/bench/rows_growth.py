"""
How the time of each operation grows with the store, from few objects to 20,000: `growth.svg`.

One walk through stores of every size: every command and every read of one object through the tree,
and of some the Go tool's in turn with ours.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.bench.measure import Row, in_turn, time_command
from tests.bench.rows_records import WRITING
from tests.bench.rows_start import Calls, reading
from tests.bench.sizes import IS_SMALL
from tests.bench.stores import BenchStore, shared
from tests.cli.holdctl import Holdctl
from tests.mount.daemons import serving

#: Twice as many in the end as any row of one size has. The last is twice the one before.
SIZES = (10, 100, 1_000, 2_000) if IS_SMALL else (10, 100, 1_000, 10_000, 20_000)
#: From here on a read of one object is to take the same.
_FLAT_FROM = 100
#: A look takes a fraction of a millisecond.
_LOOKS_A_PAIR = 5
#: Of which the plot shows the Go tool's too.
_BESIDE_GO = ("image NAME", "images", "add-names")
_CAT = "cat images/NAME/names"

#: A program's samples, by what is done and number of objects.
_Samples = dict[str, dict[int, list[float]]]


def growth(pairs: int) -> Iterator[Row]:
    """
    The time of each operation at the largest size, as a ratio.

    Of a command that is to its time at half the size: linear gives 2 at most. Of a read through the
    tree it is to the time at the smallest size. Where the Go tool is measured too, to its time.
    """
    ours: _Samples = {}
    theirs: _Samples = {}
    for count in SIZES:
        store = shared(count)
        tool = Holdctl(store.graph, store.run)
        calls: dict[str, tuple[Callable[[], float], Callable[[], float]]] = {
            what: (
                partial(time_command, tool.command(*words)),
                partial(time_command, store.go.command(*words)),
            )
            for what, words in reading(store).items()
        }
        for what in WRITING:
            calls[what] = Calls(tool, store, what), Calls(store.go, store, what)
        for what, (our_call, their_call) in calls.items():
            name = f"holdctl {what}"
            if what in _BESIDE_GO:
                samples = in_turn(our_call, their_call, pairs)
                ours.setdefault(name, {})[count], theirs.setdefault(name, {})[count] = samples
            else:
                our_call()
                ours.setdefault(name, {})[count] = [our_call() for _ in range(pairs)]
        with _mounted(store) as root:
            path = _by_name(root, store.name(count // 2))
            cat = partial(time_command, ["cat", f"{path}/names"])
            samples = in_turn(cat, calls["image NAME"][1], pairs)
            ours.setdefault(_CAT, {})[count], theirs.setdefault(_CAT, {})[count] = samples
        if count >= _FLAT_FROM:
            for what, seen in _first_looks(store, pairs * _LOOKS_A_PAIR).items():
                ours.setdefault(what, {})[count] = seen
    for what, by_count in ours.items():
        yield _own_growth(what, by_count)
    for what, by_count in theirs.items():
        yield _beside_go(what, ours[what], by_count)


def _own_growth(what: str, by_count: dict[int, list[float]]) -> Row:
    is_flat = not what.startswith("holdctl")
    base = _FLAT_FROM if is_flat else SIZES[-2]
    return Row(
        name="growth",
        what=f"growth of {what}, {SIZES[-1]:,} images",
        against=f"itself, {base:,} images",
        ours=by_count[SIZES[-1]],
        peer=by_count[base],
        # Flat, but for what else the machine does meanwhile.
        limit=1.25 if is_flat else SIZES[-1] / SIZES[-2],
        notes={f"{count:,}": f"{seconds * 1000:.3f} ms" for count, seconds in _medians(by_count)},
    )


def _beside_go(what: str, ours: dict[int, list[float]], theirs: dict[int, list[float]]) -> Row:
    return Row(
        name="growth",
        what=f"{what}, {SIZES[-1]:,} images",
        against="containers-storage",
        ours=ours[SIZES[-1]],
        peer=theirs[SIZES[-1]],
        limit=0.01 if what == _CAT else 0.12,
        curves={"ours": dict(_medians(ours)), "theirs": dict(_medians(theirs))},
    )


def _medians(by_count: dict[int, list[float]]) -> list[tuple[int, float]]:
    return [(count, statistics.median(samples)) for count, samples in by_count.items()]


@contextmanager
def _mounted(store: BenchStore) -> Iterator[Path]:
    with (
        tempfile.TemporaryDirectory(prefix="holdfs-bench-mnt-") as top,
        serving(store.graph, store.run, Path(top, "mnt")) as daemon,
    ):
        yield daemon.root


def _by_name(root: Path, name: str) -> str:
    return f"{root}/images/{name.replace('/', '%2F')}"


def _first_looks(store: BenchStore, looks: int) -> dict[str, list[float]]:
    """Return the samples of reads of one object through the tree, each of a name never seen."""
    with _mounted(store) as root:
        numbers = iter(range(store.count))

        def look() -> float:
            path = _by_name(root, store.name(next(numbers)))
            start = time.perf_counter()
            os.stat(path)
            return time.perf_counter() - start

        def read() -> float:
            path = f"{_by_name(root, store.name(next(numbers)))}/names"
            start = time.perf_counter()
            with open(path, "rb") as f:
                f.read()
            return time.perf_counter() - start

        read()
        return {
            "the first stat of images/NAME": [look() for _ in range(looks)],
            "reading images/NAME/names": [read() for _ in range(looks)],
        }


ROWS = {"growth": growth}
