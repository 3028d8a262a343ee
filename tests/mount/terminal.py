"""Programs that want a terminal: started on one, typed into, and waited for by what they draw."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.mount.daemons import PATIENCE_S

DOWN, F5, F6, F7, F8, F10 = (
    b"\x1bOB", b"\x1b[15~", b"\x1b[17~", b"\x1b[18~", b"\x1b[19~", b"\x1b[21~",
)  # fmt: skip

#: Who draws nothing for so long has come to rest.
_REST_S = 0.25

_SEQUENCES = re.compile(
    rb"\x1b(?:\[[0-9;?]*[a-zA-Z@`]|[()][0-9A-B]|[=>78]|\][^\x07]*\x07)|[\x0e\x0f]"
)


class Terminal:
    """The side of a terminal that a person sits at."""

    def __init__(self, fd: int, process: subprocess.Popen[bytes]) -> None:
        self._fd = fd
        self.process = process
        self._seen = b""

    def type(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def await_text(self, text: str) -> None:
        """Wait until the program has drawn `text` and rests; what was drawn is forgotten then."""
        deadline = time.monotonic() + PATIENCE_S
        while text.encode() not in (shown := _SEQUENCES.sub(b"", self._seen)):
            assert time.monotonic() < deadline, f"no {text!r}: {shown[-2000:].decode()}"
            self._read(0.05)
        # Keys that come while it still draws are lost, or are for what it draws upon.
        self.await_rest()
        self._seen = b""

    def await_rest(self) -> None:
        """Wait until the program draws nothing for a while: it takes keys then."""
        deadline = time.monotonic() + PATIENCE_S
        while select.select([self._fd], [], [], _REST_S)[0] and self.process.poll() is None:
            assert time.monotonic() < deadline, "it draws without an end"
            self._read(0)

    def await_end(self) -> int:
        """Return the program's exit status."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, _SEQUENCES.sub(b"", self._seen)[-2000:].decode()
            self._read(0.05)
        return self.process.returncode

    def _read(self, timeout_s: float) -> None:
        if select.select([self._fd], [], [], timeout_s)[0]:
            try:
                self._seen += os.read(self._fd, 1 << 16)
            except OSError:
                pass  # EIO: the program has ended


@contextmanager
def terminal(*command: str, cwd: Path, env: Mapping[str, str]) -> Iterator[Terminal]:
    """Give the terminal of a program that is killed at the end if it still runs."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = subprocess.Popen(
        command, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", **env},
    )  # fmt: skip
    os.close(theirs)
    try:
        yield Terminal(ours, process)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(PATIENCE_S)
        os.close(ours)
