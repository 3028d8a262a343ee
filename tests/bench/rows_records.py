"""Rows about many records: looking and changing beside the Go tool, and how cost grows."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.bench.measure import Row, in_turn, peak_mib, time_command
from tests.bench.rows_start import Calls, reading
from tests.bench.stores import BenchStore, made
from tests.cli.holdctl import Holdctl
from tests.mount.daemons import serving

LARGE = 10_000
#: Where growth is looked at.
SIZES = (100, 1_000, 5_000, 10_000, 20_000)
_WRITING = ("add-names", "set-metadata", "create-layer", "create-container")
_NEVER_RUNS_OUT = 1_000_000


def read_large(pairs: int) -> Iterator[Row]:
    """Commands that only look, at a large store."""
    with made(LARGE) as store:
        tool = Holdctl(store.graph, store.run)
        for what, words in reading(store).items():
            ours, theirs = tool.command(*words), store.go.command(*words)
            samples = in_turn(partial(time_command, ours), partial(time_command, theirs), pairs)
            yield Row(
                name="read-10000",
                what=f"holdctl {what}, {LARGE:,} images",
                against="containers-storage",
                ours=samples[0],
                peer=samples[1],
                limit=0.12,
                notes={"peak": f"{peak_mib(ours):.0f} and {peak_mib(theirs):.0f} MiB"},
            )


def write_large(pairs: int) -> Iterator[Row]:
    """Commands that change a record of a large store, or add one."""
    for what in _WRITING:
        with made(LARGE) as store:
            ours = Calls(Holdctl(store.graph, store.run), store, what, 0)
            theirs = Calls(store.go, store, what, _NEVER_RUNS_OUT)
            samples = in_turn(ours, theirs, pairs)
            yield Row(
                name="write-10000",
                what=f"holdctl {what}, {LARGE:,} images",
                against="containers-storage",
                ours=samples[0],
                peer=samples[1],
                limit=0.12,
            )


# -- through the tree --------------------------------------------------------------------------


class _TreeCalls:
    """A command of the shell's that changes the mounted tree, with new values each time."""

    def __init__(self, root: Path, store: BenchStore, what: str) -> None:
        self._images = root / "images"
        self._layers = root / "layers"
        self._store = store
        self._what = what
        self._number = 0

    def __call__(self) -> float:
        self._number += 1
        number = self._number
        image = self._images / self._store.name(number).replace("/", "%2F")
        words = {
            "ln -s": ["ln", "-s", f"../{image.name}", f"{self._images}/by-name/made-{number}"],
            "mkdir": ["mkdir", str(self._layers / f"made-{number}")],
            "echo >> names": ["sh", "-c", f"echo more-{number} >>{image}/names"],
        }
        return time_command(words[self._what])


#: What does the same by containers-storage.
_SAME = {"ln -s": "add-names", "mkdir": "create-layer", "echo >> names": "add-names"}


def tree_write(pairs: int) -> Iterator[Row]:
    """`ln -s`, `mkdir`, `echo >>` in the tree of a large store, process included."""
    for what, same in _SAME.items():
        with made(LARGE) as store, tempfile.TemporaryDirectory(prefix="holdfs-bench-mnt-") as top:
            root = Path(top, "mnt")
            with serving(store.graph, store.run, root):
                ours = _TreeCalls(root, store, what)
                theirs = Calls(store.go, store, same, _NEVER_RUNS_OUT)
                samples = in_turn(ours, theirs, pairs)
                yield Row(
                    name="tree-write-10000",
                    what=f"{what} in the tree, {LARGE:,} images",
                    against=f"containers-storage {same}",
                    ours=samples[0],
                    peer=samples[1],
                    limit=0.05,
                )


# -- growth ------------------------------------------------------------------------------------


def growth(pairs: int) -> Iterator[Row]:
    """
    How the time of each operation grows with the store, as a plot can show it.

    The figure of a command is its time at the largest size to that at half of it: linear gives 2 at
    most. That of a read through the tree is its time at the largest size to that at the smallest.
    """
    found: dict[str, dict[int, list[float]]] = {}
    for count in SIZES:
        with made(count) as store:
            tool = Holdctl(store.graph, store.run)
            calls: dict[str, Callable[[], float]] = {
                **{
                    f"holdctl {what}": partial(time_command, tool.command(*words))
                    for what, words in reading(store).items()
                },
                **{f"holdctl {what}": Calls(tool, store, what, 0) for what in _WRITING},
            }
            for what, call in calls.items():
                call()
                found.setdefault(what, {})[count] = [call() for _ in range(pairs)]
            for what, samples in _tree_reads(store, pairs).items():
                found.setdefault(what, {})[count] = samples
    largest = SIZES[-1]
    for what, by_count in found.items():
        is_flat = not what.startswith("holdctl")
        yield Row(
            name="growth",
            what=f"growth of {what}, {largest:,} images",
            against=f"itself, {SIZES[0] if is_flat else largest // 2:,} images",
            ours=by_count[largest],
            peer=by_count[SIZES[0] if is_flat else largest // 2],
            # Flat, but for what else the machine does meanwhile.
            limit=1.25 if is_flat else 2.0,
            notes={
                f"{count:,}": f"{statistics.median(samples) * 1000:.3f} ms"
                for count, samples in by_count.items()
            },
        )


def _tree_reads(store: BenchStore, pairs: int) -> dict[str, list[float]]:
    """Return the samples of reads of one object through the tree, each of a name never seen."""
    with tempfile.TemporaryDirectory(prefix="holdfs-bench-mnt-") as top:
        root = Path(top, "mnt")
        with serving(store.graph, store.run, root):
            names = [store.name(n).replace("/", "%2F") for n in range(2 * pairs + 1)]

            def look(name: str) -> float:
                start = time.perf_counter()
                os.stat(f"{root}/images/{name}")
                return time.perf_counter() - start

            def read(name: str) -> float:
                start = time.perf_counter()
                with open(f"{root}/images/{name}/names", "rb") as f:
                    f.read()
                return time.perf_counter() - start

            read(names[0])
            looked = [look(name) for name in names[1 : pairs + 1]]
            return {
                "the first stat of images/NAME": looked,
                "reading images/NAME/names": [read(name) for name in names[pairs + 1 :]],
            }


ROWS = {
    "read-10000": read_large,
    "write-10000": write_large,
    "tree-write-10000": tree_write,
    "growth": growth,
}
