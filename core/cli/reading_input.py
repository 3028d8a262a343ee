"""What a command reads whole: the file of an option, or standard input."""

from __future__ import annotations

import sys


def text_of(path: str) -> str:
    """Return a file's text; bytes that are none come as surrogates."""
    return bytes_of(path).decode("utf-8", "surrogateescape")


def bytes_of(path: str) -> bytes:
    """Return a file's bytes, those of standard input for ""."""
    if path:
        with open(path, "rb") as file:
            return file.read()
    return sys.stdin.buffer.read() if sys.stdin is not None else b""
