"""
holdctl fed by a peer that stalls: nobody else waits, and killing it at any moment leaves no trace.

    peer ──TAR, up to some byte──► holdctl import-layer | applydiff ──► SIGKILL, SIGTERM, SIGINT
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfs.core.gc import collect
from tests.cli.holdctl import Holdctl
from tests.conftest import DriverRoots
from tests.core.test_filling import diff_of, tar_of
from tests.differential.live import Live
from tests.needs import needs

pytestmark = needs("root", "overlay", "containers-storage")

TAR = tar_of(
    ("etc", None), *((f"etc/{n}", bytes([n]) * 30_000) for n in range(40)), ("end", b"end")
)
#: How much the peer sends before it stalls: nothing, in a header, in a file, all but the end, all.
MOMENTS = (0, 700, 200_000, len(TAR) - 1000, len(TAR))
_PATIENCE_S = 30


@pytest.fixture
def live(driver_roots: DriverRoots) -> Iterator[Live]:
    live = Live(driver_roots.roots, driver_roots.driver)
    live.holdctl.run("create-layer", "-i", "empty")
    live.holdctl.run("import-layer", "-i", "full", input=tar_of(("old", b"old")))
    yield live
    live.store.shutdown(force=True)


@contextmanager
def stalled(live: Live, moment: int, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Give a holdctl that has read so much of TAR and waits for more; ended at the end."""
    reader, writer = os.pipe()
    command = live.holdctl.command(*words)
    with subprocess.Popen(
        command, stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        os.close(reader)
        try:
            with open(writer, "wb", buffering=0, closefd=False) as peer:
                sent = memoryview(TAR)[:moment]
                while sent:
                    sent = sent[peer.write(sent) :]
            eventually(lambda: bool(staged(live)), "nothing is staged")
            eventually(lambda: is_waiting(process.pid), "it does not wait")
            yield process
        finally:
            os.close(writer)
            process.kill()


def staged(live: Live) -> list[str]:
    return os.listdir(Path(live.roots.graph, "tmp"))


def is_waiting(pid: int) -> bool:
    """Whether all threads of the process sleep."""
    states = [
        Path(task, "stat").read_text().rpartition(")")[2].split()[0]
        for task in Path(f"/proc/{pid}/task").iterdir()
    ]
    return set(states) == {"S"}


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


ACTS = {
    "import": ("import-layer", "-i", "new"),
    "into an empty layer": ("applydiff", "empty"),
    "into a full layer": ("applydiff", "full"),
}


@pytest.mark.parametrize("act", ACTS)
def test_nobody_waits_for_a_peer_that_stalls(live: Live, act: str) -> None:
    with stalled(live, 200_000, *ACTS[act]) as process:
        live.go.run("create-layer", "-i", "theirs", timeout_s=_PATIENCE_S)
        live.holdctl.run("create-layer", "-i", "ours", timeout_s=_PATIENCE_S)
        live.go.run("delete-layer", "theirs")
        assert process.poll() is None
    assert "ours" in live.records("layers")


@pytest.mark.parametrize("act", ACTS)
def test_killed_at_any_moment_it_leaves_the_layers_as_they_were(
    live: Live, act: str, tmp_path: Path
) -> None:
    before = live.file("layers")
    old = live.go.run_bytes("diff", "-u", "full").stdout
    for number, moment in enumerate(MOMENTS):
        how = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[number % 3]
        with stalled(live, moment, *ACTS[act]) as process:
            process.send_signal(how)
            ended = process.wait(_PATIENCE_S)
        assert (130 if how == signal.SIGINT else -how) == ended
        # Who is told to end clears up; what others leave goes with the next one, or with gc.
        if how == signal.SIGINT:
            assert [] == staged(live)
        collect(live.store)
        assert [] == staged(live)
        assert before == live.file("layers")
        assert old == diff_of(live.store, "full", tmp_path)
    assert old == live.go.run_bytes("diff", "-u", "full").stdout
    ours = live.holdctl.run(*ACTS[act], input=TAR)
    assert "" == ours.stderr
    ref = ACTS[act][-1]
    assert TAR == live.go.run_bytes("diff", "-u", ref).stdout
    if ref != "full":  # which holds more than the stream that its digest is of now
        assert "" == live.holdctl.out("check")


def test_an_endless_stream_of_nothing_is_ended_by_its_reader_alone(live: Live) -> None:
    with (
        open("/dev/zero", "rb") as zeros,
        subprocess.Popen(
            live.holdctl.command("import-layer"),
            stdin=zeros,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process,
    ):
        eventually(lambda: bool(staged(live)), "nothing is staged")
        live.go.run("create-layer", "-i", "theirs", timeout_s=_PATIENCE_S)
        high = next(
            line
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines()
            if line.startswith("VmHWM")
        )
        assert int(high.split()[1]) < 96 << 10
        process.send_signal(signal.SIGINT)
        assert (b"", b"") == process.communicate(timeout=_PATIENCE_S)
    assert 130 == process.returncode
    assert [] == staged(live)


@pytest.mark.parametrize("source", ["/dev/urandom", "yes"])
def test_endless_garbage_is_refused_at_its_first_block(live: Live, source: str) -> None:
    with subprocess.Popen(
        ["yes"] if source == "yes" else ["cat", source], stdout=subprocess.PIPE
    ) as peer:
        done = subprocess.run(
            live.holdctl.command("import-layer"),
            stdin=peer.stdout,
            capture_output=True,
            timeout=_PATIENCE_S,
            text=True,
            check=False,
        )
        peer.kill()
    assert (1, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n"))
    assert "archive/tar: invalid tar header" in done.stderr
    assert "(at byte 0 of the tar)" in done.stderr
    assert [] == staged(live)


def test_an_import_of_an_archive_that_stalls_or_is_killed_leaves_no_layer(live: Live) -> None:
    with stalled_import(live) as process:
        live.go.run("create-layer", "-i", "theirs", timeout_s=_PATIENCE_S)
        process.send_signal(signal.SIGKILL)
        process.wait(_PATIENCE_S)
    assert {"empty", "full", "theirs"} == set(live.records("layers"))
    assert {} == live.records("images")


@contextmanager
def stalled_import(live: Live) -> Iterator["subprocess.Popen[bytes]"]:
    holdctl = Holdctl(live.roots.graph, live.roots.run, live.driver)
    with subprocess.Popen(
        holdctl.command("import", "-"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(TAR[:100_000])
        process.stdin.flush()
        eventually(lambda: is_waiting(process.pid), "it does not wait")
        try:
            yield process
        finally:
            process.stdin.close()
            process.kill()
