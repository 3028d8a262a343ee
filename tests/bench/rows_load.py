"""Rows about a large store: 10,000 images, 20,000 layers, 2,000 containers, and 50 readers."""

import statistics
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.bench.load import put_under_load
from tests.bench.measure import Row, time_command
from tests.bench.sizes import IS_SMALL, MANY
from tests.bench.stores import shared
from tests.mount.daemons import serving

_LAYERS_EACH = 2
_CONTAINERS = MANY // 5
_CLIENTS = 50
_WRITERS = 2
_SECONDS = 300.0
_QUICK_SECONDS = 5.0 if IS_SMALL else 20.0
#: Fewer pairs than this are asked for by who wants to see something soon.
_QUICK_PAIRS = 3


def load(pairs: int) -> Iterator[Row]:
    """Five minutes of reading and writing at once; with QUICK some seconds."""
    seconds = _SECONDS if pairs > _QUICK_PAIRS else _QUICK_SECONDS
    store = shared(MANY, layers_each=_LAYERS_EACH, containers=_CONTAINERS)
    with (
        tempfile.TemporaryDirectory(prefix="holdfs-bench-mnt-") as top,
        serving(store.graph, store.run, Path(top, "mnt")) as daemon,
    ):
        root = str(daemon.root)
        for words, limit in (
            (["ls", "-U", f"{root}/images"], 1.0),
            (["ls", "-lR", f"{root}/images/by-name"], 3.0),
            (["find", root, "-maxdepth", "2"], 3.0),
            (["find", f"{root}/containers"], 10.0),
        ):
            shown = " ".join(words).replace(root, "MNT")
            yield Row(
                name="load",
                what=f"{shown}, {MANY:,} images",
                ours=[time_command(words) for _ in range(pairs)],
                limit=limit,
            )
        before = len(daemon.fds())
        outcome = put_under_load(store, daemon, clients=_CLIENTS, writers=_WRITERS, seconds=seconds)
        assert not outcome.wrong, "\n".join(outcome.wrong)
        calls = sum(outcome.calls.values())
        longest = max(outcome.longest_s, key=partial(dict.__getitem__, outcome.longest_s))
        yield Row(
            name="load",
            what=f"longest of all calls, {_CLIENTS} readers, {_WRITERS} writers, {seconds:.0f} s",
            ours=[outcome.longest_s[longest]],
            limit=1.0,
            notes={
                "calls": f"{calls:,}, an entry of a listing counted as one",
                "longest": longest,
                "changes": f"{outcome.changes}, shown after {statistics.median(outcome.lags_s):.2f}"
                f" s, at most {max(outcome.lags_s):.2f} s",
            },
        )
        fifth = max(1, len(outcome.resident_mib) // 5)
        yield Row(
            name="load",
            what="memory in the last fifth of that time",
            against="in the second fifth",
            ours=outcome.resident_mib[-fifth:],
            peer=outcome.resident_mib[fifth : 2 * fifth],
            unit="MiB",
            limit=1.1,
            notes={"descriptors": f"{before} before, {max(outcome.descriptors)} at most"},
        )


ROWS = {"load": load}
