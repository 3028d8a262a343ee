"""
The real `holdfs` for tests: started, waited for, unmounted, and looked at once more at the end.

    with serving(graph, run, root) as daemon:
        os.listdir(daemon.root)

The daemon is a child in the foreground, so a test has its pid and its exit status. It says when it
serves through NOTIFY_SOCKET, as to systemd; nobody sleeps.
"""

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.mounts import detach, mounts_below

#: The command as installed beside this interpreter.
HOLDFS = str(Path(sys.executable).parent / "holdfs")

#: Long enough that reaching it means that something hangs.
PATIENCE_S = 30.0


@dataclass
class Daemon:
    """A `holdfs -f` that serves. `expected` are words of log lines that a test has provoked."""

    root: Path
    process: subprocess.Popen[bytes]
    log_path: Path
    expected: list[str] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        return self.log_path.read_text()

    def fds(self) -> list[str]:
        """What its descriptors lead to, sorted."""
        directory = f"/proc/{self.pid}/fd"
        found = []
        for fd in os.listdir(directory):
            with suppress(FileNotFoundError):  # closed meanwhile
                found.append(os.readlink(f"{directory}/{fd}"))
        return sorted(found)

    def wait(self) -> int:
        """Return the exit status of a daemon that is to end by itself."""
        return self.process.wait(PATIENCE_S)


def command(
    graph: str, run_root: str, root: Path | str, *args: str, driver: str = "overlay"
) -> list[str]:
    """Return the command line that mounts this store at `root`."""
    return [HOLDFS, graph, str(root), "--run", run_root, "--storage-driver", driver, *args]


def run(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
    )


def background(graph: str, run_root: str, root: Path, *args: str) -> int:
    """Mount as a user does, and return the daemon's pid."""
    done = run(*command(graph, run_root, root, *args))
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    return pid_of(root)


def pid_of(root: Path, program: str = HOLDFS) -> int:
    """Return the pid of the program that has `root` among its arguments."""
    for entry in os.listdir("/proc"):
        try:
            words = Path("/proc", entry, "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
            continue
        if os.fsencode(str(root)) in words and os.fsencode(program) in words:
            return int(entry)
    raise AssertionError(f"nobody serves {root}")


def is_running(pid: int) -> bool:
    """Whether the process lives. In a container its first process may reap nobody."""
    try:
        stat = Path("/proc", str(pid), "stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(b") ")[2][:1] != b"Z"


@contextmanager
def serving(
    graph: str,
    run_root: str,
    root: Path,
    *options: str,
    driver: str = "overlay",
    env: Mapping[str, str] | None = None,
) -> Iterator[Daemon]:
    """
    Give a daemon that serves the store at `root`, which is made if missing.

    At the end it is unmounted, unless the test has done so, and must then be gone, with status 0,
    no mount and no warning in its log.

    Args:
        options: Words for `-o`.
    """
    root.mkdir(exist_ok=True)
    log_path = root.with_name(f"{root.name}.log")
    words = ",".join((f"log={log_path}", *options))
    out_path = root.with_name(f"{root.name}.out")
    with _notify_socket() as (notify, address), out_path.open("wb") as out:
        process = subprocess.Popen(
            command(graph, run_root, root, "-f", "-o", words, driver=driver),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {}), "NOTIFY_SOCKET": address},
        )
        try:
            _await_ready(notify, process, out_path)
        except BaseException:
            _stop(process, root)
            raise
    daemon = Daemon(root, process, log_path)
    try:
        yield daemon
        if process.poll() is None and mounts_below(str(root)):
            unmount(root)
        assert 0 == daemon.wait(), daemon.log()
    finally:
        _stop(process, root)
    warnings = [
        line
        for line in daemon.log().splitlines()
        if (" WARNING " in line or " ERROR " in line or line.startswith("Traceback"))
        and not any(word in line for word in daemon.expected)
    ]
    assert [] == warnings, daemon.log()
    assert b"" == out_path.read_bytes(), "it wrote to the terminal"


def unmount(root: Path) -> None:
    """Unmount as a user does: again while a stranger, such as an indexer, walks through it."""
    eventually(lambda: run("fusermount3", "-u", str(root)).returncode == 0, f"{root} stays busy")


def eventually(condition: Callable[[], object], what: str = "it did not come true") -> None:
    """Return as soon as `condition` is true; fail the test if it does not become so."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


@contextmanager
def _notify_socket() -> Iterator[tuple[socket.socket, str]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        # Not by its path: those of sockets must be short, those of tests are long.
        address = f"@holdfs-test-{os.getpid()}-{time.monotonic_ns()}"
        notify.bind("\0" + address[1:])
        yield notify, address


def _await_ready(notify: socket.socket, process: subprocess.Popen[bytes], out_path: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not select.select([notify], [], [], 0.02)[0]:
        assert process.poll() is None, os.fsdecode(out_path.read_bytes())
        assert time.monotonic() < deadline, "it did not get ready"
    assert b"READY=1" == notify.recv(100)


def _stop(process: subprocess.Popen[bytes], root: Path) -> None:
    """Whatever has happened: no process and no mount."""
    if process.poll() is None:
        process.kill()
        process.wait(PATIENCE_S)
    while mounts_below(str(root)):
        detach(str(root))
