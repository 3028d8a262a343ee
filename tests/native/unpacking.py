"""One call of the engine with real files around it, for tests."""

import base64
import gzip
import json
import os
from pathlib import Path
from typing import NamedTuple

from holdfs.native.tarout import Segments, tar_from_split
from holdfs.native.untar import Unpacked, UntarOptions, untar


class Made(NamedTuple):
    directory: Path
    split: Path
    unpacked: Unpacked


def unpack(
    data: bytes, top: Path, options: UntarOptions | None = None, *, name: str = "diff"
) -> Made:
    """Unpack into `top`/`name`, which may be there already."""
    directory, split, source = top / name, top / f"{name}.split", top / f"{name}.in"
    directory.mkdir(mode=0o755, exist_ok=True)
    source.write_bytes(data)
    split.write_bytes(b"")
    fds = [
        os.open(source, os.O_RDONLY),
        os.open(directory, os.O_RDONLY),
        os.open(split, os.O_RDWR),
    ]
    try:
        unpacked = untar(fds[0], fds[1], options=options, tar_split_fd=fds[2])
    finally:
        for fd in fds:
            os.close(fd)
    return Made(directory, split, unpacked)


def reassemble(split: Path, *directories: Path) -> bytes:
    """Return the tar that our engine puts together."""
    fds = [os.open(path, os.O_RDONLY) for path in (split, *directories)]
    out = split.with_suffix(".out")
    fds.append(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    try:
        tar_from_split(fds[0], fds[1:-1], fds[-1])
    finally:
        for fd in fds:
            os.close(fd)
    return out.read_bytes()


def segments(split: Path, spill: Path, *directories: Path) -> Segments:
    fds = [os.open(path, os.O_RDONLY) for path in (split, *directories)]
    fds.append(os.open(spill, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        return Segments.from_split(fds[0], fds[1:-1], fds[-1])
    finally:
        for fd in fds:
            os.close(fd)


class SplitFile(NamedTuple):
    name: str | None
    name_raw: str | None
    size: int
    payload: str | None


def parse_split(split: Path) -> list[bytes | SplitFile]:
    """Return files, and between any two the bytes of the segments there as one."""
    parts: list[bytes | SplitFile] = []
    pending = b""
    for position, line in enumerate(gzip.decompress(split.read_bytes()).splitlines()):
        entry = json.loads(line)
        assert position == entry["position"]
        if entry["type"] == 2:
            pending += base64.b64decode(entry["payload"] or "")
            continue
        parts.append(pending)
        pending = b""
        parts.append(
            SplitFile(
                entry.get("name"), entry.get("name_raw"), entry.get("size", 0), entry["payload"]
            )
        )
    parts.append(pending)
    return parts
