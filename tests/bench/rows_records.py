"""Rows about many records: looking and changing, by holdctl and in the tree, beside the Go tool."""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.bench.measure import Row, in_turn, peak_mib, resident_mib, time_command
from tests.bench.rows_start import FRESH, Calls, reading
from tests.bench.sizes import MANY
from tests.bench.stores import BenchStore, shared
from tests.cli.holdctl import Holdctl
from tests.mount.daemons import serving

#: What changes a record or adds one.
WRITING = ("add-names", "set-metadata", "create-layer", "create-container")


def read_large(pairs: int) -> Iterator[Row]:
    """Commands that only look, at a large store."""
    store = shared(MANY)
    tool = Holdctl(store.graph, store.run)
    for what, words in reading(store).items():
        ours, theirs = tool.command(*words), store.go.command(*words)
        # This warms both.
        peaks = f"{peak_mib(ours):.0f} and {peak_mib(theirs):.0f} MiB"
        calls = partial(time_command, ours), partial(time_command, theirs)
        samples = in_turn(*calls, pairs, is_warm=True)
        yield Row(
            name="read-10000",
            what=f"holdctl {what}, {MANY:,} images",
            against="containers-storage",
            ours=samples[0],
            peer=samples[1],
            limit=0.12,
            notes={"peak": peaks},
        )


def write_large(pairs: int) -> Iterator[Row]:
    """Commands that change a record of a large store, or add one."""
    store = shared(MANY)
    tool = Holdctl(store.graph, store.run)
    for what in WRITING:
        ours, theirs = Calls(tool, store, what), Calls(store.go, store, what)
        # This warms both.
        peaks = f"{ours.peak_mib():.0f} and {theirs.peak_mib():.0f} MiB"
        samples = in_turn(ours, theirs, pairs, is_warm=True)
        yield Row(
            name="write-10000",
            what=f"holdctl {what}, {MANY:,} images",
            against="containers-storage",
            ours=samples[0],
            peer=samples[1],
            limit=0.12,
            notes={"peak": peaks},
        )


# -- through the tree --------------------------------------------------------------------------


class _TreeCalls:
    """A command of the shell's that changes the mounted tree, with new values each time."""

    def __init__(self, root: Path, store: BenchStore, what: str) -> None:
        self._images = root / "images"
        self._layers = root / "layers"
        self._store = store
        self._what = what

    def __call__(self) -> float:
        number = next(FRESH)
        image = self._images / self._store.name(number % self._store.count).replace("/", "%2F")
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
    store = shared(MANY)
    with (
        tempfile.TemporaryDirectory(prefix="holdfs-bench-mnt-") as top,
        serving(store.graph, store.run, Path(top, "mnt")) as daemon,
    ):
        for what, same in _SAME.items():
            ours = _TreeCalls(daemon.root, store, what)
            samples = in_turn(ours, Calls(store.go, store, same), pairs)
            yield Row(
                name="tree-write-10000",
                what=f"{what} in the tree, {MANY:,} images",
                against=f"containers-storage {same}",
                ours=samples[0],
                peer=samples[1],
                limit=0.05,
                notes={"daemon's peak": f"{resident_mib(daemon.pid)['VmHWM']:.0f} MiB"},
            )


ROWS = {
    "read-10000": read_large,
    "write-10000": write_large,
    "tree-write-10000": tree_write,
}
