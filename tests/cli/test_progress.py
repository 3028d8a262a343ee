"""What is shown of long work: on a terminal alone, and never in the way of what is printed."""

import io
import os
import pty
import re
import select
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest

from tests.cli.holdctl import Holdctl
from tests.conftest import GraphRun
from tests.needs import needs

pytestmark = needs("root")


@pytest.fixture
def ours(graph_run: GraphRun) -> Holdctl:
    return Holdctl(*graph_run, "vfs")


@pytest.fixture
def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("file")
        member.size = 3 << 20
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    return buffer.getvalue()


class Watched:
    """A command with stderr on a terminal; what it is told comes when the test gives it."""

    def __init__(self, command: list[str], *, stdout: int = subprocess.PIPE) -> None:
        self.terminal, its_side = pty.openpty()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=its_side if stdout == subprocess.STDOUT else stdout,
            stderr=its_side,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        )
        os.close(its_side)
        self.shown = ""

    def see(self, pattern: str, timeout_s: float = 60) -> None:
        """Read what is shown until it has this."""
        deadline = time.monotonic() + timeout_s
        while not re.search(pattern, self.shown):
            left = deadline - time.monotonic()
            assert left > 0, self.shown
            self._read(left)

    def give(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def end(self) -> tuple[int, bytes]:
        """Give no more, read all the rest, and return exit status and stdout."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        while self._read(60):
            pass
        os.close(self.terminal)
        printed = b""
        if self.process.stdout is not None:
            with self.process.stdout as stdout:
                printed = stdout.read()
        return self.process.wait(60), printed

    def _read(self, timeout_s: float) -> bool:
        if not select.select([self.terminal], [], [], timeout_s)[0]:
            raise AssertionError(f"nothing more is shown after {self.shown!r}")
        try:
            data = os.read(self.terminal, 65536)
        except OSError:  # EIO: nobody has the other side open
            return False
        self.shown += data.decode()
        return bool(data)


def test_a_slow_stream_is_shown_and_the_bar_is_gone_in_the_end(ours: Holdctl, tar: bytes) -> None:
    watched = Watched(ours.command("import-layer", "-i", "new", "-n", "name"))

    watched.give(tar[: 2 << 20])
    watched.see("importing")
    watched.see(r"2\.1/\? MB")
    watched.give(tar[2 << 20 :])

    assert (0, b"new\n\tname\n") == watched.end()
    # The last that is done erases the line.
    assert "\x1b[2K" in watched.shown.rpartition("MB")[2]


def test_a_file_shows_how_much_there_is(ours: Holdctl, tar: bytes, tmp_path: Path) -> None:
    # One that ends, and whose reader waits for a lock long enough to be seen.
    (tmp_path / "a.tar").write_bytes(tar)
    lock = Path(ours.graph, "vfs-layers", "layers.lock")
    ours.run("layers")
    ours.run("create-layer", "-i", "there")
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX);"
            "print('held', flush=True); sys.stdin.read()",
            lock,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert b"held\n" == holder.stdout.readline()

    watched = Watched(ours.command("applydiff", "-f", str(tmp_path / "a.tar"), "there"))
    watched.see(r"applying.*3\.2/3\.2 MB")
    assert holder.stdin is not None
    holder.stdin.close()

    assert (0, b"") == watched.end()
    holder.stdout.close()
    assert 0 == holder.wait(60)


def test_a_failure_is_told_on_a_line_of_its_own(ours: Holdctl, tar: bytes) -> None:
    watched = Watched(ours.command("import-layer"), stdout=subprocess.STDOUT)
    watched.give(tar[:5000])
    watched.see("importing")

    assert (1, b"") == watched.end()
    # Behind what erases the bar.
    assert re.search(r"\x1b\[2Kunexpected EOF[^\r\n]*\r\n$", watched.shown)


def test_nothing_is_shown_where_no_terminal_watches(ours: Holdctl, tar: bytes) -> None:
    process = subprocess.Popen(
        ours.command("import-layer", "-i", "new"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    # Longer than a terminal would have to wait.
    threading.Event().wait(1.5)
    assert (b"new\n", b"") == process.communicate(tar, timeout=60)


def test_rich_is_not_loaded_for_what_is_done_at_once(ours: Holdctl) -> None:
    watched = Watched(
        [sys.executable, "-X", "importtime", *ours.command("create-layer", "-i", "quick")]
    )

    assert (0, b"quick\n") == watched.end()
    assert "holdfs.core.cli.progress" in watched.shown
    assert " rich" not in watched.shown


def test_a_stream_to_a_terminal_has_no_bar_in_it(ours: Holdctl, tar: bytes) -> None:
    ours.run("import-layer", "-i", "new", input=tar)
    watched = Watched(ours.command("diff", "-u", "new"), stdout=subprocess.STDOUT)
    # Nobody reads: it takes as long as we like.
    threading.Event().wait(1.5)

    assert (0, b"") == watched.end()
    assert "writing" not in watched.shown
    assert "\x1b" not in watched.shown
