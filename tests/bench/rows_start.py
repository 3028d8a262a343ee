"""Rows about starting: holdctl from start to end on a small store, beside the bare interpreter."""

import sys
from collections.abc import Iterator
from functools import partial

from tests.bench.measure import Row, in_turn, peak_mib, time_command
from tests.bench.stores import BenchStore, made
from tests.cli.holdctl import Holdctl
from tests.peers import GoStore

SMALL = 10
#: A run takes some ms: many of them cost little, and the median is steadier.
_RUNS_A_PAIR = 5


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

    def __init__(self, tool: GoStore, store: BenchStore, what: str, first: int) -> None:
        self._tool = tool
        self._store = store
        self._what = what
        self._number = first

    def __call__(self) -> float:
        self._number += 1
        return time_command(self._tool.command(*writing(self._store, self._number)[self._what]))


def start_read(pairs: int) -> Iterator[Row]:
    """Commands that only look, at a small store."""
    bare = partial(time_command, [sys.executable, "-c", "pass"])
    with made(SMALL) as store:
        tool = Holdctl(store.graph, store.run)
        for what, words in reading(store).items():
            ours = tool.command(*words)
            samples = in_turn(partial(time_command, ours), bare, pairs * _RUNS_A_PAIR)
            yield Row(
                name="start-read",
                what=f"holdctl {what}, {SMALL} images",
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
        with made(SMALL) as store:
            ours = Calls(Holdctl(store.graph, store.run), store, what, 0)
            samples = in_turn(ours, bare, pairs * _RUNS_A_PAIR)
            yield Row(
                name="start-write",
                what=f"holdctl {what}, {SMALL} images",
                against="python3 -c pass",
                ours=samples[0],
                peer=samples[1],
                limit=3.5,
            )


ROWS = {"start-read": start_read, "start-write": start_write}
