"""
What the rows on content measure with: SOURCE as a layer, on fresh file systems.

A file system that was filled and emptied before is slower, and differs from run to run.
"""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.bench.sizes import SOURCE
from tests.needs import loop_mounted

#: Enough for two unpacked layers; sparse, so only what is written counts.
DISK_SIZE = 6 << 30
_COMPRESSORS = {"": "cat", ".gz": "gzip -6", ".zst": "zstd -q -3"}
_TIMEOUT_S = 300

_top = tempfile.TemporaryDirectory(prefix="holdfs-bench-content-")


@cache
def tar_of_source(suffix: str = "") -> str:
    """Return the path of a tar of SOURCE, kept until the end; suffix is "", ".gz" or ".zst"."""
    path = f"{_top.name}/layer.tar{suffix}"
    # Sorted and without times of access: what a builder makes.
    make = f"tar -C {SOURCE} --sort=name --numeric-owner -cf - . | {_COMPRESSORS[suffix]} > {path}"
    subprocess.run(["bash", "-o", "pipefail", "-c", make], check=True, timeout=_TIMEOUT_S)
    return path


@contextmanager
def fresh_disk(kind: str = "ext4") -> Iterator[Path]:
    """Give a new, empty, mounted file system (ext4, xfs, btrfs); all else is written out before."""
    with tempfile.TemporaryDirectory(prefix="holdfs-bench-disk-") as top:
        subprocess.run(["sync"], check=True, timeout=_TIMEOUT_S)
        with loop_mounted(kind, top, size=DISK_SIZE) as mount_point:
            yield Path(mount_point)
