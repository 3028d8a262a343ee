"""Rows about answering the kernel: beside a C program on libfuse, and listing a large store."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.bench import peer
from tests.bench.measure import TIMEOUT_S, Row, in_turn, peak_mib, resident_mib, time_command
from tests.bench.sizes import FEW, MANY
from tests.bench.stores import shared
from tests.mount.daemons import serving

#: Of one sample: short, as how the scheduler places the two sides lasts for one run of the caller.
_CALLS = 3_000
_SAMPLES_A_PAIR = 3
#: What the kernel sends after its caches were dropped is answered within this.
_SETTLE_S = 0.5

_WHAT = {
    "stat": ("uncached-stat", "a stat that the kernel does not answer itself", 1.7),
    "read": ("open-read-close", "open, read and close of an attribute", 1.8),
}


def _requests(what: str, pairs: int) -> Iterator[Row]:
    name, words, limit = _WHAT[what]
    store = shared(FEW)
    with (
        tempfile.TemporaryDirectory(prefix="holdfs-bench-mnt-") as top,
        serving(store.graph, store.run, Path(top, "mnt")) as daemon,
        peer.memoryfs() as twin,
    ):
        for pid in (daemon.pid, twin.pid):
            _confine(pid)
        path = next(p for p in (daemon.root / "images").iterdir() if len(p.name) == 64) / "id"
        ours, theirs = in_turn(
            partial(peer.call, what, path, _CALLS),
            partial(peer.call, what, twin.path, _CALLS),
            pairs * _SAMPLES_A_PAIR,
        )
        yield Row(
            name=name,
            what=words,
            against="the same of a C program on libfuse's low-level API",
            ours=ours,
            peer=theirs,
            limit=limit,
            notes={
                "peak": " and ".join(
                    f"{resident_mib(pid)['VmHWM']:.0f}" for pid in (daemon.pid, twin.pid)
                )
                + " MiB"
            },
        )


def _confine(pid: int) -> None:
    """
    Keep a daemon on the processor that its caller is on.

    Left to the scheduler, a stat of either side takes 9, 25 or 100 µs, by whether a processor has
    to be woken for it; so we compare the work and the two switches, which is the hardest case for
    us, as our look for the next request then saves no wake-up.
    """
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), {peer.PROCESSOR})


def list_large(pairs: int) -> Iterator[Row]:
    """`ls -l images/`, with what the kernel keeps of the tree dropped before and not."""
    store = shared(MANY)
    with (
        tempfile.TemporaryDirectory(prefix="holdfs-bench-mnt-") as top,
        serving(store.graph, store.run, Path(top, "mnt")) as daemon,
    ):
        ours = ["ls", "-l", f"{daemon.root}/images"]
        theirs = store.go.command("images")
        peaks = f"{peak_mib(ours):.0f} and {peak_mib(theirs):.0f} MiB"
        for state, prepare, limit in (("cold", _drop, 0.10), ("warm", None, 0.03)):
            samples = in_turn(
                partial(_timed, ours, prepare), partial(_timed, theirs, prepare), pairs
            )
            yield Row(
                name="ls-l",
                what=f"ls -l images/, {MANY:,} images, kernel's cache {state}",
                against="containers-storage images",
                ours=samples[0],
                peer=samples[1],
                limit=limit,
                notes={"peak": peaks, **_limit_of_ls(top, Path(ours[-1]), pairs)},
            )


def _timed(command: list[str], prepare: Callable[[], None] | None) -> float:
    if prepare is not None:
        prepare()
    return time_command(command)


def _drop() -> None:
    """Let the kernel forget entries and inodes; pages of files stay."""
    Path("/proc/sys/vm/drop_caches").write_text("2")
    time.sleep(_SETTLE_S)


def _limit_of_ls(top: str, listed: Path, pairs: int) -> dict[str, str]:
    """Return what `ls -l` takes of as many directories in memory: no tree can be quicker."""
    twin = Path(top, "twin")
    twin.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", str(twin)], check=True, timeout=TIMEOUT_S)
    try:
        for entry in listed.iterdir():
            (twin / entry.name).mkdir()
        took = min(time_command(["ls", "-l", str(twin)]) for _ in range(pairs))
    finally:
        subprocess.run(["umount", str(twin)], check=True, timeout=TIMEOUT_S)
    return {"the same on tmpfs": f"{took * 1000:.0f} ms"}


ROWS = {
    "uncached-stat": partial(_requests, "stat"),
    "open-read-close": partial(_requests, "read"),
    "ls-l": list_large,
}
