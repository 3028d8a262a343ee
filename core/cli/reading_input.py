"""What a command reads: the file of an option, or standard input."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


def text_of(path: str) -> str:
    """Return a file's text; bytes that are none come as surrogates."""
    return bytes_of(path).decode("utf-8", "surrogateescape")


def bytes_of(path: str) -> bytes:
    """Return a file's bytes, those of standard input for ""."""
    if path:
        with open(path, "rb") as file:
            return file.read()
    return sys.stdin.buffer.read() if sys.stdin is not None else b""


class opened:
    """A descriptor to read a file from, or standard input for ""; closed at the end of `with`."""

    def __init__(self, path: str) -> None:
        flags = os.O_RDONLY | os.O_CLOEXEC
        self._fd = os.open(path, flags) if path else os.dup(0)

    def __enter__(self) -> int:
        return self._fd

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._fd)
