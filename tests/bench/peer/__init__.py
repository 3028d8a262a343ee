"""
The C side of the FUSE rows, built when they are measured: the limit that they are held to.

    memoryfs.c   a file system on libfuse's low-level API that answers from memory
    caller.c     who asks it and holdfs
"""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.mount.daemons import eventually
from tests.mounts import detach, mounts_below

_SOURCES = Path(__file__).parent
_FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror")
_TIMEOUT_S = 60
#: Where the caller runs.
PROCESSOR = min(os.sched_getaffinity(0))

_built = tempfile.TemporaryDirectory(prefix="holdfs-bench-peer-")


@cache
def program(name: str) -> str:
    """Return the path of one of the programs, compiled; it lasts to the end of the run."""
    path = f"{_built.name}/{name}"
    asked = ["pkg-config", "--cflags", "--libs", "fuse3"]
    libfuse = subprocess.run(asked, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)
    source = str(_SOURCES / f"{name}.c")
    words = ["gcc", *_FLAGS, "-o", path, source, *shlex.split(libfuse.stdout)]
    subprocess.run(words, check=True, timeout=_TIMEOUT_S)
    return path


def call(what: str, path: Path, times: int) -> float:
    """Return how long one `stat`, or `read` with its open and close, takes of many in a row."""
    words = ["taskset", "-c", str(PROCESSOR), program("caller"), what, str(path), str(times)]
    done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)
    return float(done.stdout)


@dataclass(frozen=True)
class MemoryFs:
    """A mounted `memoryfs`: its process, and the path of its one file."""

    pid: int
    path: Path


@contextmanager
def memoryfs() -> Iterator[MemoryFs]:
    """Give the file system mounted, for as long as it is wanted."""
    with tempfile.TemporaryDirectory(prefix="holdfs-bench-peer-mnt-") as root:
        process = subprocess.Popen([program("memoryfs"), "-f", root], stdin=subprocess.DEVNULL)
        try:
            eventually(lambda: bool(mounts_below(root)))
            yield MemoryFs(process.pid, Path(root, "attribute"))
        finally:
            detach(root)
            process.wait(_TIMEOUT_S)
