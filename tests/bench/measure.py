"""
Two programs measured in turn, A B A B …, so that what the machine does meanwhile meets both.

Every figure is a ratio of medians taken in one run. Times are in seconds, memory in MiB.
"""

import os
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

#: No single command of a benchmark takes longer than this.
TIMEOUT_S = 120


@dataclass(frozen=True, kw_only=True)
class Row:
    """
    One line of the table.

    Attributes:
        name: How the row is asked for.
        what, against: Our side, and the peer's, in words; `against` is "" where there is none.
        ours, peer: The samples.
        limit: What the ratio of medians may be; without a peer, what our median may be.
        unit: Of the samples.
        notes: Further facts, by name.
        curves: Medians by number of objects, of "ours" and "theirs", for the plot.
    """

    name: str
    what: str
    ours: Sequence[float]
    limit: float
    against: str = ""
    peer: Sequence[float] = ()
    unit: str = "s"
    notes: dict[str, str] = field(default_factory=dict)
    curves: dict[str, dict[int, float]] = field(default_factory=dict)

    @property
    def figure(self) -> float:
        """The ratio, or our median where there is no peer."""
        ours = statistics.median(self.ours)
        return ours / statistics.median(self.peer) if self.peer else ours

    @property
    def is_reached(self) -> bool:
        return self.figure <= self.limit


def in_turn(
    ours: Callable[[], float], peer: Callable[[], float], pairs: int, *, is_warm: bool = False
) -> tuple[list[float], list[float]]:
    """Return the samples of both, after one run of each that does not count, if they need one."""
    if not is_warm:
        ours()
        peer()
    samples = [(ours(), peer()) for _ in range(pairs)]
    return [a for a, _ in samples], [b for _, b in samples]


def time_command(command: Sequence[str]) -> float:
    """Return how long a command takes from its start to its end, all of it."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    # Not by wait(timeout=…): that sleeps 0.5, 1, 2, 4 ms and sees the end only then.
    pidfd = os.pidfd_open(process.pid)
    try:
        if not select.select([pidfd], [], [], TIMEOUT_S)[0]:
            process.kill()
    finally:
        os.close(pidfd)
    status = process.wait()
    took = time.perf_counter() - start
    assert status == 0, f"{' '.join(command)}: exit status {status}"
    return took


def time_and_peak(command: Sequence[str]) -> tuple[float, float]:
    """
    Return how long a command takes, and its peak memory: 9 MiB or so at least, by what starts it.

    A process takes over the peak of the one that it was forked from, so a small one does it.
    """
    starter = (
        "import os, sys, time\n"
        "null = [(os.POSIX_SPAWN_OPEN, 1, '/dev/null', os.O_WRONLY, 0)]\n"
        "start = time.perf_counter()\n"
        "pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=null)\n"
        "_, status, usage = os.wait4(pid, 0)\n"
        "print(time.perf_counter() - start, usage.ru_maxrss)\n"
        "sys.exit(status != 0)\n"
    )
    words = [sys.executable, "-I", "-S", "-c", starter, *command]
    done = subprocess.run(
        words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=TIMEOUT_S
    )
    took_s, peak_kib = done.stdout.split()
    return float(took_s), int(peak_kib) / 1024


def peak_mib(command: Sequence[str]) -> float:
    """Return a command's peak memory."""
    return time_and_peak(command)[1]


def time_calls(call: Callable[[], object], calls: int) -> float:
    """Return how long one call takes, of many in a row."""
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls


def resident_mib(pid: int) -> dict[str, float]:
    """Return a process's memory now (VmRSS) and at most so far (VmHWM)."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        fields = dict(line.split(":", 1) for line in f)
    return {key: int(fields[key].split()[0]) / 1024 for key in ("VmRSS", "VmHWM")}
