"""
What goes to stdout and stderr, and JSON as Go's encoder writes it.

Each stream is written in the order of the calls, and what went to stdout before a line on stderr is
there before it: scripts merge the two. Text is UTF-8 whatever the locale, and bytes that are none
go out as they came in.

The store's records come as JSON from core.formats.records. The few small documents that are made
here are encoded by hand: the json module would cost more than the rest of a short command.
"""

from __future__ import annotations

import os
import sys

from holdfs.core.cli import failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO, TypeAlias

    from holdfs.native.values import Value

    Json: TypeAlias = "str | int | bool | Value | Sequence[Json] | dict[str, Json]"


class OutputFailed(Exception):
    """Standard output can't be written. That its reader went away is BrokenPipeError instead."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.words = f"write /dev/stdout: {failure.words(error)}"


def out(text: str) -> None:
    """Write `text` to stdout."""
    out_bytes(encoded(text))


def out_bytes(data: bytes | memoryview) -> None:
    """Write `data` to stdout."""
    if sys.stdout is not None:
        try:
            _write(sys.stdout, data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputFailed(error) from error


def err(text: str) -> None:
    """Write `text` to stderr, after all that went to stdout before."""
    flush()
    if sys.stderr is not None:
        try:
            _write(sys.stderr, encoded(text))
            sys.stderr.flush()
        except OSError:
            pass  # nowhere is left to tell it; the exit status still does


def flush() -> None:
    """Hand to the kernel what went to stdout."""
    if sys.stdout is not None:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputFailed(error) from error


def discard_stdout() -> None:
    """Drop what stdout still holds and send what follows nowhere: it can't be written."""
    if sys.stdout is not None:
        null_fd = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(null_fd, sys.stdout.fileno())
        os.close(null_fd)


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _write(stream: TextIO, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        # An unbuffered stream (PYTHONUNBUFFERED) may take less than all.
        view = view[stream.buffer.write(view) :]


def records(documents: Iterable[bytes], *, if_none: bytes) -> None:
    """
    Write one line, the array of these JSON documents.

    Args:
        if_none: What stands for no document at all: `null` or `[]`, as the contract has it for
            the command.
    """
    joined = b",".join(documents)
    out_bytes(b"[" + joined + b"]\n" if joined else if_none + b"\n")


def json(value: Json) -> None:
    """Write one line with this document."""
    out(json_text(value) + "\n")


def json_text(value: Json) -> str:
    """Return compact JSON, map keys sorted, escaped as by Go."""
    # Here, since most commands write none.
    from holdfs.core.formats import gojson

    return gojson.json_text(value)


def json_object(fields: Iterable[tuple[str, Json]]) -> str:
    """Return a JSON object with its keys in the order given, as Go writes a struct."""
    return "{" + ",".join(f"{json_text(k)}:{json_text(v)}" for k, v in fields) + "}"
