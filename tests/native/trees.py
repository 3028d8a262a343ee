"""What is in a directory, as a value that can be compared."""

import os
import stat
from typing import NamedTuple


class Entry(NamedTuple):
    """One file; `first` is the least path of the same inode, to see hard links."""

    mode: int
    uid: int
    gid: int
    mtime_ns: int
    device: int
    content: bytes
    xattrs: tuple[tuple[str, bytes], ...]
    first: str


def tree_of(top: str, *, no_times: tuple[str, ...] = ()) -> dict[str, Entry]:
    """Return everything below `top`, and "." itself. Times of `no_times` are 0: made-up parents."""
    entries: dict[str, Entry] = {}
    first: dict[tuple[int, int], str] = {}
    pending = ["."]
    while pending:
        path = pending.pop()
        full = os.path.join(top, path)
        found = os.lstat(full)
        if stat.S_ISDIR(found.st_mode):
            pending += [os.path.normpath(f"{path}/{name}") for name in os.listdir(full)]
        inode = (found.st_dev, found.st_ino)
        first[inode] = min(path, first.get(inode, path))
        entries[path] = Entry(
            mode=found.st_mode,
            uid=found.st_uid,
            gid=found.st_gid,
            mtime_ns=0 if path in no_times else found.st_mtime_ns,
            device=found.st_rdev,
            content=_content(full, found),
            xattrs=_xattrs(full),
            first=str(inode),
        )
    by_inode = {str(inode): path for inode, path in first.items()}
    return {path: entry._replace(first=by_inode[entry.first]) for path, entry in entries.items()}


def _content(path: str, found: os.stat_result) -> bytes:
    if stat.S_ISLNK(found.st_mode):
        return os.fsencode(os.readlink(path))
    if stat.S_ISREG(found.st_mode):
        with open(path, "rb") as f:
            return f.read()
    return b""


def _xattrs(path: str) -> tuple[tuple[str, bytes], ...]:
    names = os.listxattr(path, follow_symlinks=False)
    return tuple(sorted((n, os.getxattr(path, n, follow_symlinks=False)) for n in names))


def difference(expected: dict[str, Entry], actual: dict[str, Entry]) -> str:
    """Return a line per path that differs, "" if none does."""
    lines = []
    for path in sorted(expected.keys() | actual.keys()):
        a, b = expected.get(path), actual.get(path)
        if a is None or b is None:
            lines.append(f"{path}: only {'expected' if b is None else 'made'}")
        elif a != b:
            fields = [
                f"{name} {_short(x)} != {_short(y)}"
                for name, x, y in zip(Entry._fields, a, b, strict=True)
                if x != y
            ]
            lines.append(f"{path}: {', '.join(fields)}")
    return "\n".join(lines)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 200 else f"{text[:80]}… ({len(text)})"
