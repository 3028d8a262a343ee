"""Rows about starting: holdctl from start to end on a small store, beside the bare interpreter."""

import sys
from collections.abc import Iterator
from functools import partial
from itertools import count

from tests.bench.measure import Row, in_turn, peak_mib, time_command
from tests.bench.sizes import FEW
from tests.bench.stores import BenchStore, made
from tests.cli.holdctl import Holdctl
from tests.peers import GoStore

#: A run takes some ms: many of them cost little, and the median is steadier.
_RUNS_A_PAIR = 5
#: What nobody has named yet: rows share stores.
FRESH = count(1)


def reading(store: BenchStore) -> dict[str, list[str]]:
    """Return the commands that only look, by what is shown of them."""
    name = store.name(store.count // 2)
    return {
        "layers": ["layers"],
        "layers --tree": ["layers", "--tree"],
        "images": ["images"],
        "containers": ["containers"],
        "image NAME": ["image", name],
        "layer ID": ["layer", store.layer_id(store.count // 2)],
        "get-names NAME": ["get-names", name],
        "metadata NAME": ["metadata", name],
        "exists NAME": ["exists", name],
        "list-image-data NAME": ["list-image-data", name],
    }


def writing(store: BenchStore, number: int) -> dict[str, list[str]]:
    """Return the commands that change a record or add one; `number` makes each call's new."""
    name = store.name(number % store.count)
    return {
        "add-names": ["add-names", "-n", f"localhost/new:{number}", name],
        "set-metadata": ["set-metadata", "-m", f"text {number}", name],
        "create-layer": ["create-layer"],
        "create-container": ["create-container", name],
    }


class Calls:
    """One command run again and again, with new values each time."""

    def __init__(self, tool: GoStore, store: BenchStore, what: str) -> None:
        self._tool = tool
        self._store = store
        self._what = what

    def __call__(self) -> float:
        return time_command(self._command())

    def peak_mib(self) -> float:
        """Return the peak memory of one more run."""
        return peak_mib(self._command())

    def _command(self) -> list[str]:
        return self._tool.command(*writing(self._store, next(FRESH))[self._what])


def start_read(pairs: int) -> Iterator[Row]:
    """Commands that only look, at a small store."""
    bare = partial(time_command, [sys.executable, "-c", "pass"])
    with made(FEW) as store:
        tool = Holdctl(store.graph, store.run)
        for what, words in reading(store).items():
            ours = tool.command(*words)
            samples = in_turn(partial(time_command, ours), bare, pairs * _RUNS_A_PAIR)
            yield Row(
                name="start-read",
                what=f"holdctl {what}, {FEW} images",
                against="python3 -c pass",
                ours=samples[0],
                peer=samples[1],
                limit=1.5,
                notes={"peak": f"{peak_mib(ours):.0f} MiB"},
            )


def start_write(pairs: int) -> Iterator[Row]:
    """Commands that change a record, or add one, in a small store."""
    bare = partial(time_command, [sys.executable, "-c", "pass"])
    for what in ("add-names", "set-metadata", "create-layer", "create-container"):
        with made(FEW) as store:
            ours = Calls(Holdctl(store.graph, store.run), store, what)
            samples = in_turn(ours, bare, pairs * _RUNS_A_PAIR)
            yield Row(
                name="start-write",
                what=f"holdctl {what}, {FEW} images",
                against="python3 -c pass",
                ours=samples[0],
                peer=samples[1],
                limit=3.5,
                notes={"peak": f"{ours.peak_mib():.0f} MiB"},
            )


ROWS = {"start-read": start_read, "start-write": start_write}
