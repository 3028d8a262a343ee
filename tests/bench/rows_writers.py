"""Rows about two who write to one store at once, and about a daemon that has nothing to do."""

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.bench.measure import TIMEOUT_S, Row
from tests.bench.sizes import FEW, IS_SMALL
from tests.bench.stores import BenchStore, made
from tests.mount.daemons import serving

_CHANGES = 50 if IS_SMALL else 500
#: Before that, each by itself: enough for a median.
_ALONE = _CHANGES // 5
#: After which a thread that nobody needs has ended.
_SETTLE_S = 12.0
_IDLE_S = 3.0 if IS_SMALL else 10.0


def _ours(root: Path, name: str, number: int) -> float:
    """Add a name by a link in the tree; return how long that system call took."""
    link = root / "images" / "by-name" / "localhost" / f"ours-{number}"
    target = f"../../{name.replace('/', '%2F')}"
    start = time.perf_counter()
    os.symlink(target, link)
    return time.perf_counter() - start


def _theirs(store: BenchStore, name: str, number: int) -> float:
    words = store.go.command("add-names", "-n", f"localhost/theirs-{number}", name)
    start = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, timeout=TIMEOUT_S)
    return time.perf_counter() - start


def _all(change: Callable[[int], float], numbers: range) -> list[float]:
    return [change(number) for number in numbers]


def writers(_pairs: int) -> Iterator[Row]:
    """Each adds names, alone and then both at once; in the end every one of them must be there."""
    count = _CHANGES
    alone, both = range(_ALONE), range(_ALONE, _ALONE + count)
    with (
        made(FEW) as store,
        tempfile.TemporaryDirectory(prefix="holdfs-bench-mnt-") as top,
        serving(store.graph, store.run, Path(top, "mnt")) as daemon,
        ThreadPoolExecutor(2) as pool,
    ):
        (daemon.root / "images" / "by-name" / "localhost").mkdir()
        ours = partial(_ours, daemon.root, store.name(1))
        theirs = partial(_theirs, store, store.name(2))
        ours_alone, theirs_alone = _all(ours, alone), _all(theirs, alone)
        running = pool.submit(_all, ours, both), pool.submit(_all, theirs, both)
        ours_both, theirs_both = (one.result() for one in running)
        expected = {f"{side}-{n}" for side in ("ours", "theirs") for n in range(_ALONE + count)}
        shown = set(os.listdir(daemon.root / "images" / "by-name" / "localhost"))
        stored = {
            name.removeprefix("localhost/")
            for image in store.go.json("images")
            for name in image.get("names", [])
            if name.startswith("localhost/")
        }
    lost = len(expected - shown) + len(expected - stored)
    yield Row(
        name="writers",
        what=f"{count} changes each at once, through the tree and by containers-storage: lost",
        ours=[lost],
        unit="changes",
        limit=0,
    )
    yield Row(
        name="writers",
        what=f"how long one of these takes us, 99th percentile of {count}",
        against="its median, ten times that at most",
        ours=[_percentile(ours_both, 99)],
        peer=[statistics.median(ours_both)],
        limit=10,
        notes={
            "medians alone": _milliseconds(ours_alone, theirs_alone),
            "medians at once": _milliseconds(ours_both, theirs_both),
        },
    )


def _percentile(samples: list[float], percent: int) -> float:
    return statistics.quantiles(samples, n=100, method="inclusive")[percent - 1]


def _milliseconds(ours: list[float], theirs: list[float]) -> str:
    return f"{statistics.median(ours) * 1e3:.1f} and {statistics.median(theirs) * 1e3:.1f} ms"


def idle(_pairs: int) -> Iterator[Row]:
    """How often any thread of a daemon that nobody asks gets the processor."""
    with (
        made(FEW) as store,
        tempfile.TemporaryDirectory(prefix="holdfs-bench-mnt-") as top,
        serving(store.graph, store.run, Path(top, "mnt")) as daemon,
    ):
        os.listdir(daemon.root / "images")
        time.sleep(_SETTLE_S)
        before = _switches(daemon.pid)
        time.sleep(_IDLE_S)
        woken = _switches(daemon.pid) - before
    yield Row(
        name="idle",
        what=f"how often a daemon with nothing to do wakes, {_IDLE_S:.0f} s",
        ours=[woken],
        unit="times",
        limit=0,
    )


def _switches(pid: int) -> int:
    """Return how often the threads of a process were switched from."""
    total = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        for line in status.read_text().splitlines():
            if "ctxt_switches" in line:
                total += int(line.split()[1])
    return total


ROWS = {"writers": writers, "idle": idle}
