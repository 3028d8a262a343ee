"""
How the time of each operation grows with the store, from few objects to 20,000: `growth.svg`.

Every command and every read of one object through the tree, of stores of all sizes in turn; of some
the Go tool's in turn with them.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.bench.measure import Row, time_command
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
#: But for what else the machine does meanwhile.
_FLAT = 1.25
#: A look takes a fraction of a millisecond, or two with its process.
_LOOKS_A_PAIR = 5
#: Of which the plot shows the Go tool's too.
_BESIDE_GO = ("image NAME", "images", "add-names")

_Call = Callable[[], float]
#: By number of objects.
_Calls = dict[int, _Call]
_Samples = dict[int, list[float]]


def growth(pairs: int) -> Iterator[Row]:
    """
    The time of each operation at the largest size, as a ratio.

    Of a command that is to its time at half the size: linear gives 2 at most. Of a read through the
    tree it is to the time at the smallest size. Where the Go tool is measured too, to its time.
    """
    stores = {count: shared(count) for count in SIZES}
    ours = _by_command({n: _commands(store, go=False) for n, store in stores.items()})
    theirs = _by_command({n: _commands(store, go=True) for n, store in stores.items()})
    for what, calls in ours.items():
        name = f"holdctl {what}"
        yield _own_growth(name, calls, pairs, base=SIZES[-2], limit=SIZES[-1] / SIZES[-2])
        if what in _BESIDE_GO:
            yield _beside_go(name, calls, theirs[what], pairs, limit=0.12)
    with ExitStack() as mounts:
        roots = {count: _mount(mounts, store) for count, store in stores.items()}
        cat = "cat images/NAME/names"
        cats: _Calls = {
            # The last name: the looks below begin at the first.
            n: partial(time_command, ["cat", f"{_by_name(roots[n], store.name(n - 1))}/names"])
            for n, store in stores.items()
        }
        yield _own_growth(cat, cats, pairs * _LOOKS_A_PAIR, base=_FLAT_FROM, limit=_FLAT)
        yield _beside_go(cat, cats, theirs["image NAME"], pairs, limit=0.01)
        numbers = {count: iter(range(count)) for count in SIZES if count >= _FLAT_FROM}
        for what, look in (
            ("the first stat of images/NAME", _stat),
            ("reading images/NAME/names", _read),
        ):
            looks: _Calls = {
                n: partial(_look, look, roots[n], stores[n], left) for n, left in numbers.items()
            }
            yield _own_growth(what, looks, pairs * _LOOKS_A_PAIR, base=_FLAT_FROM, limit=_FLAT)


# -- what is called ----------------------------------------------------------------------------


def _commands(store: BenchStore, *, go: bool) -> dict[str, _Call]:
    tool = store.go if go else Holdctl(store.graph, store.run)
    return {
        **{
            what: partial(time_command, tool.command(*words))
            for what, words in reading(store).items()
        },
        **{what: Calls(tool, store, what) for what in WRITING},
    }


def _by_command(by_count: dict[int, dict[str, _Call]]) -> dict[str, _Calls]:
    return {
        what: {count: calls[what] for count, calls in by_count.items()}
        for what in by_count[SIZES[0]]
    }


def _mount(mounts: ExitStack, store: BenchStore) -> Path:
    top = mounts.enter_context(tempfile.TemporaryDirectory(prefix="holdfs-bench-mnt-"))
    return mounts.enter_context(serving(store.graph, store.run, Path(top, "mnt"))).root


def _by_name(root: Path, name: str) -> str:
    return f"{root}/images/{name.replace('/', '%2F')}"


def _look(
    look: Callable[[str], None], root: Path, store: BenchStore, numbers: Iterator[int]
) -> float:
    """Return how long it takes to look at an image by a name that was never seen."""
    path = _by_name(root, store.name(next(numbers)))
    start = time.perf_counter()
    look(path)
    return time.perf_counter() - start


def _stat(path: str) -> None:
    os.stat(path)


def _read(path: str) -> None:
    with open(f"{path}/names", "rb") as f:
        f.read()


# -- samples and lines -------------------------------------------------------------------------


def _in_turn(programs: Sequence[_Calls], rounds: int) -> list[_Samples]:
    """Return each program's samples of all sizes, after one call of each that does not count."""
    samples: list[_Samples] = [{count: [] for count in calls} for calls in programs]
    for number in range(rounds + 1):
        for count in programs[0]:
            for calls, seen in zip(programs, samples, strict=True):
                took = calls[count]()
                if number > 0:
                    seen[count].append(took)
    return samples


def _own_growth(what: str, calls: _Calls, rounds: int, *, base: int, limit: float) -> Row:
    # Without the Go tool, which would leave the processor's caches the worse, the more it reads.
    [samples] = _in_turn([calls], rounds)
    return Row(
        name="growth",
        what=f"growth of {what}, {SIZES[-1]:,} images",
        against=f"itself, {base:,} images",
        ours=samples[SIZES[-1]],
        peer=samples[base],
        limit=limit,
        notes={f"{n:,}": f"{seconds * 1000:.3f} ms" for n, seconds in _medians(samples).items()},
    )


def _beside_go(
    what: str, our_calls: _Calls, their_calls: _Calls, pairs: int, *, limit: float
) -> Row:
    ours, theirs = _in_turn([our_calls, their_calls], pairs)
    return Row(
        name="growth",
        what=f"{what}, {SIZES[-1]:,} images",
        against="containers-storage",
        ours=ours[SIZES[-1]],
        peer=theirs[SIZES[-1]],
        limit=limit,
        curves={"ours": _medians(ours), "theirs": _medians(theirs)},
    )


def _medians(samples: _Samples) -> dict[int, float]:
    return {count: statistics.median(seen) for count, seen in samples.items()}


ROWS = {"growth": growth}
