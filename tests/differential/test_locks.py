"""
Real locks, held by the one while the other wants them: fcntl record locks exclude both ways.

The Go tools take fcntl locks of their process, we take those of an open file; the kernel lets them
exclude each other. A hold that lasts too long ends in LockTimeout on our side.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfs.core.errors import LockTimeout
from holdfs.core.lockfile import LockFile
from holdfs.core.store import Store
from tests.differential.live import Live
from tests.needs import needs

pytestmark = needs("root", "overlay", "containers-storage")

#: As a Go tool holds it: fcntl.F_SETLK by the process, on the whole file.
HOLD = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX if sys.argv[2] == "exclusive" else fcntl.LOCK_SH)
print("held", flush=True)
sys.stdin.read()
"""

WANTS: dict[str, Callable[[Store], object]] = {
    "layers": lambda s: s.create_layer(),
    "images": lambda s: s.set_metadata("images", "image", "x"),
    "containers": lambda s: s.set_metadata("containers", "container", "x"),
    "mountpoints": lambda s: s.mount("layer"),
    "storage": lambda s: s.mount("layer"),
}
GO_WANTS = {
    "layers": ["create-layer"],
    "images": ["set-metadata", "-m", "y", "image"],
    "containers": ["set-metadata", "-m", "y", "container"],
    "mountpoints": ["mount", "layer"],
    "storage": ["mount", "layer"],
}


@pytest.fixture
def filled(live: Live) -> Live:
    live.go.run("create-layer", "-i", "layer")
    live.go.run("create-image", "-i", "image", "layer")
    live.go.run("create-container", "-i", "container", "image")
    return live


def lock_path(live: Live, kind: str) -> str:
    if kind == "storage":
        return f"{live.roots.graph}/storage.lock"
    return str(live.path(kind, f"{kind}.lock"))


@contextmanager
def held_by_another_process(path: str, how: str) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, path, how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "held\n" == process.stdout.readline()
        yield
    finally:
        process.communicate(timeout=20)


@pytest.mark.parametrize("how", ["exclusive", "shared"])
@pytest.mark.parametrize("kind", WANTS)
def test_a_lock_held_by_another_process_ends_our_wait_in_time(
    filled: Live, kind: str, how: str
) -> None:
    store = filled.open(lock_timeout_s=0.2)
    path = lock_path(filled, kind)
    before = {kind: filled.file(kind) for kind in ("layers", "images", "containers")}

    with held_by_another_process(path, how):
        started = time.monotonic()
        with pytest.raises(LockTimeout) as caught:
            WANTS[kind](store)
        assert 0.2 <= time.monotonic() - started < 5
        assert path == caught.value.path
        # Reading waits for nobody.
        assert ("image",) == store.snapshot().images.ids

    assert before == {kind: filled.file(kind) for kind in ("layers", "images", "containers")}
    WANTS[kind](store)
    store.unmount("layer", force=True)


@pytest.mark.parametrize("kind", GO_WANTS)
def test_the_go_tool_waits_for_a_lock_that_we_hold(filled: Live, kind: str) -> None:
    lock = LockFile(lock_path(filled, kind))

    with lock.writing():
        command = filled.go.command(*GO_WANTS[kind])
        waiting = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        # It comes to sleep in the kernel, for this very lock.
        until = time.monotonic() + 20
        while not _waits_for_a_lock(waiting.pid, lock.path):
            assert waiting.poll() is None, "it did not wait"
            assert time.monotonic() < until
    _, said = waiting.communicate(timeout=20)

    assert (0, b"") == (waiting.returncode, said)
    filled.store.unmount("layer", force=True)


def test_a_diff_that_nobody_reads_keeps_us_out_until_it_ends(filled: Live, tmp_path: Path) -> None:
    # The Go tool holds layers.lock, shared, until its stream is read: a long hold in real life.
    root = filled.go.out("mount", "layer")
    Path(root, "big").write_bytes(os.urandom(4 << 20))
    filled.go.run("unmount", "layer")
    store = filled.open(lock_timeout_s=0.2)
    stream = subprocess.Popen(filled.go.command("diff", "layer"), stdout=subprocess.PIPE)
    try:
        assert stream.stdout is not None
        assert stream.stdout.read(1)

        with pytest.raises(LockTimeout):
            store.create_layer()
        assert "layer" in store.snapshot().layers
    finally:
        stream.kill()
        stream.communicate()
    store.create_layer(layer_id="after")
    assert "after" in {layer["id"] for layer in json.loads(filled.go.out("layers", "--json"))}


def _waits_for_a_lock(pid: int, path: str) -> bool:
    inode = os.stat(path).st_ino
    with open("/proc/locks", encoding="ascii") as file:
        waiting = [line.split() for line in file if "->" in line]
    return any(int(words[5]) == pid and words[6].endswith(f":{inode}") for words in waiting)
