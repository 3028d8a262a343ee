"""The quick loop answers what comes at once and in a row, and lets nothing else wait for it."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from holdfs.native import lock
from tests.conftest import GraphRun
from tests.mount.daemons import PATIENCE_S, Daemon, eventually, serving
from tests.needs import needs
from tests.peers import GoStore

pytestmark = needs("root", "overlay", "fuse", "containers-storage")

#: Keeps one client at it without a pause.
_BUSY = "import os, sys\nwhile True:\n    os.statvfs(sys.argv[1])\n"


def test_a_signal_ends_it_under_load(daemon: Daemon) -> None:
    busy = subprocess.Popen(
        [sys.executable, "-c", _BUSY, str(daemon.root)], stderr=subprocess.DEVNULL
    )
    try:
        time.sleep(0.2)
        os.kill(daemon.pid, signal.SIGTERM)

        assert 0 == daemon.wait()
    finally:
        busy.kill()
        busy.wait()


def test_changes_of_others_show_under_load(daemon: Daemon, graph_run: GraphRun) -> None:
    busy = [subprocess.Popen([sys.executable, "-c", _BUSY, str(daemon.root)]) for _ in range(2)]
    try:
        by_name = daemon.root / "images" / "by-name"
        assert [] == os.listdir(by_name)
        GoStore(*graph_run).run("create-image", "-n", "shop")
        eventually(lambda: os.listdir(by_name) == ["shop"])
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_a_request_that_waits_for_a_lock_stops_no_other(graph_run: GraphRun, root: Path) -> None:
    GoStore(*graph_run).run("create-image", "-n", "shop")
    with serving(*graph_run, root, "lock_timeout=20"), ThreadPoolExecutor(4) as pool:
        fd = os.open(f"{graph_run.graph}/overlay-layers/layers.lock", os.O_RDWR | os.O_CLOEXEC)
        assert lock.lock_try(fd, exclusive=True)
        try:
            waiting = [pool.submit(os.mkdir, root / "layers" / f"new{i}") for i in range(3)]
            begin = time.monotonic()
            while time.monotonic() < begin + 0.5:
                # Elsewhere: in layers/ the kernel itself lets look-ups wait for a mkdir.
                assert "shop\n" == (root / "images" / "shop" / "names").read_text()
            assert [] == [one.exception() for one in waiting if one.done()]
        finally:
            os.close(fd)
        for one in waiting:
            one.result(PATIENCE_S)
        assert {"new0", "new1", "new2"} <= set(os.listdir(root / "layers" / "by-name"))


def test_many_clients_at_once_are_all_answered(daemon: Daemon, graph_run: GraphRun) -> None:
    GoStore(*graph_run).run("create-layer", "-n", "base")
    eventually(lambda: (daemon.root / "layers" / "base").exists())

    def read(_: int) -> str:
        return (daemon.root / "layers" / "base" / "names").read_text()

    with ThreadPoolExecutor(50) as pool:
        assert {"base\n"} == set(pool.map(read, range(2000)))
