"""Rows about the mounted tree: reading beside the Go tool, caching, starting, memory, freshness."""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.bench.measure import (
    Row,
    in_turn,
    peak_mib,
    resident_mib,
    time_calls,
    time_command,
)
from tests.bench.sizes import FEW, MANY
from tests.bench.stores import BenchStore, made, shared
from tests.mount.daemons import Daemon, command, serving, unmount

_STATS = 20_000


@contextmanager
def _mounted(store: BenchStore, *options: str) -> Iterator[Daemon]:
    with tempfile.TemporaryDirectory(prefix="holdfs-bench-mnt-") as top:
        root = Path(top, "mnt")
        with serving(store.graph, store.run, root, *options) as daemon:
            yield daemon


def _by_name(root: Path, name: str) -> str:
    return f"{root}/images/{name.replace('/', '%2F')}"


# -- reading -----------------------------------------------------------------------------------


def cat_names(pairs: int) -> Iterator[Row]:
    """`cat images/NAME/names` beside `containers-storage image NAME`, process included."""
    for count, limit in ((FEW, 0.25), (MANY, 0.01)):
        store = shared(count)
        with _mounted(store) as daemon:
            name = store.name(count // 2)
            ours = ["cat", f"{_by_name(daemon.root, name)}/names"]
            theirs = store.go.command("image", name)
            samples = in_turn(partial(time_command, ours), partial(time_command, theirs), pairs)
            yield Row(
                name="cat-names",
                what=f"cat images/NAME/names, {count:,} images",
                against="containers-storage image NAME",
                ours=samples[0],
                peer=samples[1],
                limit=limit,
                notes={"peak": f"{peak_mib(ours):.0f} and {peak_mib(theirs):.0f} MiB"},
            )


def cached_stat(pairs: int) -> Iterator[Row]:
    """A stat that the kernel answers itself, beside one of the file system."""
    store = shared(FEW)
    with _mounted(store) as daemon:
        image_id = os.listdir(daemon.root / "images")[0]
        below = f"images/{image_id}/id"
        twin = Path(f"{store.graph}/../twin/mnt", below)
        twin.parent.mkdir(parents=True, exist_ok=True)
        twin.write_text("x\n")
        paths = f"{daemon.root}/{below}", os.path.realpath(twin)

        def stat(path: str) -> float:
            return time_calls(lambda: os.stat(path), _STATS)

        samples = in_turn(lambda: stat(paths[0]), lambda: stat(paths[1]), pairs)
        yield Row(
            name="cached-stat",
            what="stat of an attribute, again and again",
            against="stat of a file of the graph root's file system",
            ours=samples[0],
            peer=samples[1],
            limit=1.3,
        )


# -- the daemon --------------------------------------------------------------------------------


def start(pairs: int) -> Iterator[Row]:
    """From the command's start until it has returned and an image's names are read."""
    for count in (FEW, MANY):
        store = shared(count)
        with tempfile.TemporaryDirectory(prefix="holdfs-bench-mnt-") as top:
            root = Path(top, "mnt")
            root.mkdir()

            def mount_and_read(store: BenchStore = store, root: Path = root) -> float:
                begin = time.perf_counter()
                time_command(command(store.graph, store.run, root))
                Path(_by_name(root, store.name(1)), "names").read_text()
                took = time.perf_counter() - begin
                unmount(root)
                return took

            bare = partial(time_command, [sys.executable, "-c", "pass"])
            samples = in_turn(mount_and_read, bare, pairs)
            yield Row(
                name="start",
                what=f"holdfs until an image can be read, {count:,} images",
                ours=samples[0],
                limit=1.0,
                notes={"the interpreter alone": f"{min(samples[1]):.3f} s"},
            )


def memory(_pairs: int) -> Iterator[Row]:
    """What the daemon keeps after everything was looked at, and at most."""
    store = shared(MANY)
    with _mounted(store) as daemon:
        for path in ("images", "layers", "images/by-name/docker.io/library"):
            time_command(["ls", "-l", f"{daemon.root}/{path}"])
        used = resident_mib(daemon.pid)
        yield Row(
            name="memory",
            what=f"daemon's resident memory, {MANY:,} images and layers, all listed",
            ours=[used["VmRSS"]],
            unit="MiB",
            limit=150,
            notes={"at most so far": f"{used['VmHWM']:.0f} MiB"},
        )


def freshness(pairs: int) -> Iterator[Row]:
    """From another tool's exit until its change shows; in strict mode the first look shows it."""
    for count in (FEW, MANY):
        store = shared(count)
        with _mounted(store) as daemon:
            delays = [_show(store, daemon, number)[0] for number in range(max(pairs, 5) * 4)]
            yield Row(
                name="freshness",
                what=f"a name added by containers-storage shows, {count:,} images",
                ours=delays,
                limit=0.005,
                notes={"99th percentile": f"{_high(delays) * 1000:.1f} ms"},
            )
    with made(FEW) as store, _mounted(store, "strict") as daemon:
        yield Row(
            name="freshness",
            what="the same, strict: how many looks it takes",
            ours=[_show(store, daemon, number)[1] for number in range(max(pairs, 5) * 4)],
            unit="looks",
            limit=1,
        )


def _high(delays: list[float]) -> float:
    return statistics.quantiles(delays, n=100, method="inclusive")[98]


def _show(store: BenchStore, daemon: Daemon, number: int) -> tuple[float, int]:
    """Add a name by the Go tool; return how long after its exit, and at which look, it shows."""
    link = f"{daemon.root}/images/by-name/localhost/new{number}"
    assert not os.path.lexists(link)
    time_command(store.go.command("add-names", "-n", f"localhost/new{number}", store.name(0)))
    exited = time.perf_counter()
    looks = 1
    while not os.path.lexists(link):
        assert time.perf_counter() < exited + 10, "the change never showed"
        looks += 1
    return time.perf_counter() - exited, looks


ROWS = {
    "cat-names": cat_names,
    "cached-stat": cached_stat,
    "start": start,
    "memory": memory,
    "freshness": freshness,
}
