"""
A mounted store under load: many readers that check every answer, writers that are the Go tool.

Each writer makes and changes an image and a container of its own, and after each command waits
until the mount shows it: what lags or is lost is found here, by name.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench.measure import resident_mib
from tests.bench.stores import BenchStore
from tests.mount.daemons import Daemon

#: A change that does not show after this is lost.
_LOST_S = 30.0
_LOOK_S = 0.01
#: Between two looks at the daemon.
_SAMPLE_S = 1.0
#: Readers that have had their time end by themselves; later something hangs.
_GRACE_S = 60.0


@dataclass
class Outcome:
    """
    What came of it.

    Attributes:
        calls, longest_s: The readers' system calls by name, and the longest of each.
        wrong: What was not as it must be, in words.
        changes: How many changes the writers made.
        lags_s: From the end of each writer's command until the mount showed it.
        resident_mib, descriptors: The daemon's, sampled in time order.
    """

    calls: dict[str, int] = field(default_factory=dict)
    longest_s: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    changes: int = 0
    lags_s: list[float] = field(default_factory=list)
    resident_mib: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)

    def add(self, said: dict[str, Any]) -> None:
        """Take in what one reader said."""
        for call, count in said["calls"].items():
            self.calls[call] = self.calls.get(call, 0) + count
        for call, took in said["longest_s"].items():
            self.longest_s[call] = max(took, self.longest_s.get(call, 0.0))
        self.wrong += said["wrong"]


def put_under_load(
    store: BenchStore, daemon: Daemon, *, clients: int, writers: int, seconds: float
) -> Outcome:
    """Let `clients` read and `writers` write for so long, all at once, and tell what came of it."""
    outcome = Outcome()
    stop = threading.Event()
    threads = [
        threading.Thread(target=_write, args=(store, daemon.root, number, stop, outcome))
        for number in range(writers)
    ]
    readers = _start_readers(store, daemon, clients, seconds)
    sampler = threading.Thread(target=_sample, args=(daemon, stop, outcome))
    for thread in (*threads, sampler):
        thread.start()
    try:
        said, complained = readers.communicate(_described(store), timeout=seconds + _GRACE_S)
    finally:
        stop.set()
        if readers.poll() is None:
            readers.kill()
            readers.communicate()
        for thread in (*threads, sampler):
            thread.join()
    lines = said.splitlines()
    for line in lines:
        outcome.add(json.loads(line))
    if readers.returncode != 0 or len(lines) != clients:
        outcome.wrong.append(f"{clients - len(lines)} readers broke off: {complained[-2000:]}")
    return outcome


def _start_readers(
    store: BenchStore, daemon: Daemon, clients: int, seconds: float
) -> subprocess.Popen[str]:
    script = Path(__file__).with_name("loadclients.py")
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(script), str(daemon.root), str(seconds), str(clients)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _described(store: BenchStore) -> str:
    layers = store.count * store.layers_each
    return json.dumps(
        {
            "images": store.count,
            "layers": layers + store.containers,
            "containers": store.containers,
            "layers_each": store.layers_each,
            "layer_ids": [store.layer_id(number) for number in range(layers)],
        }
    )


def _write(
    store: BenchStore, root: Path, number: int, stop: threading.Event, outcome: Outcome
) -> None:
    """Make, name, describe and delete, again and again."""
    image, box = f"made-{number}:1", f"made-box-{number}"
    layer = store.layer_id(number)
    images, containers = root / "images" / "by-name", root / "containers" / "by-name"
    turn = 0
    while not stop.is_set():
        turn += 1
        text = f"turn {turn} of {number}"
        metadata = root / "containers" / box / "metadata"
        steps: Sequence[tuple[tuple[str, ...], Callable[[], bool]]] = [
            (("create-image", "-n", image, layer), partial(_is_there, images / image)),
            (("create-container", "-n", box, image), partial(_is_there, containers / box)),
            (("set-metadata", "-m", text, box), partial(_has_text, metadata, f"{text}\n")),
            (("add-names", "-n", f"x-{image}", image), partial(_is_there, images / f"x-{image}")),
            (("delete-container", box), partial(_is_gone, containers / box)),
            (("delete-image", image), partial(_is_gone, images / image)),
        ]
        for words, is_shown in steps:
            try:
                _change(store, words, is_shown, outcome)
            except Exception as error:  # whatever it is, the load goes on and the end tells
                outcome.wrong.append(f"writer {number}, {' '.join(words)}: {error!r}")
                return


def _change(
    store: BenchStore, words: Sequence[str], is_shown: Callable[[], bool], outcome: Outcome
) -> None:
    store.go.run(*words)
    done = time.monotonic()
    outcome.changes += 1
    while not is_shown():
        if time.monotonic() > done + _LOST_S:
            outcome.wrong.append(f"not shown: {' '.join(words)}")
            return
        time.sleep(_LOOK_S)
    outcome.lags_s.append(time.monotonic() - done)


def _is_there(path: Path) -> bool:
    return os.path.lexists(path)


def _is_gone(path: Path) -> bool:
    return not os.path.lexists(path)


def _has_text(path: Path, text: str) -> bool:
    try:
        return path.read_text() == text
    except FileNotFoundError:
        return False


def _sample(daemon: Daemon, stop: threading.Event, outcome: Outcome) -> None:
    while not stop.wait(_SAMPLE_S):
        outcome.resident_mib.append(resident_mib(daemon.pid)["VmRSS"])
        outcome.descriptors.append(len(daemon.fds()))
