"""
Whether two directory trees are the same, as the drivers judge it that keep no record of changes.

Two files are the same if type, mode, owner, device and, unless they are directories, size and time
agree: content is not read.
Source: spec/store-format.md 8.9 ("naive").
"""

import os
import stat
from collections.abc import Iterator

_NS = 1_000_000_000


def trees_differ(one: str, other: str) -> bool:
    """Whether `one` and `other` or anything below them differs; stops at the first difference."""
    if not _is_same(os.stat(one), os.stat(other)):
        return True
    return any(_differences(one, other))


def _differences(one: str, other: str) -> Iterator[bool]:
    pending = ["."]
    while pending:
        path = pending.pop()
        ones, others = _entries(f"{one}/{path}"), _entries(f"{other}/{path}")
        if ones.keys() != others.keys():
            yield True
        for name, shown in ones.items():
            yield not _is_same(shown, others[name])
            if stat.S_ISDIR(shown.st_mode):
                pending.append(f"{path}/{name}")


def _entries(path: str) -> dict[str, os.stat_result]:
    with os.scandir(path) as entries:
        return {entry.name: entry.stat(follow_symlinks=False) for entry in entries}


def _is_same(one: os.stat_result, other: os.stat_result) -> bool:
    if (one.st_mode, one.st_uid, one.st_gid) != (other.st_mode, other.st_uid, other.st_gid):
        return False
    if stat.S_ISBLK(one.st_mode) or stat.S_ISCHR(one.st_mode):
        return one.st_rdev == other.st_rdev
    if stat.S_ISDIR(one.st_mode):
        return True
    return one.st_size == other.st_size and _is_same_time(one.st_mtime_ns, other.st_mtime_ns)


def _is_same_time(one_ns: int, other_ns: int) -> bool:
    # Archives keep whole seconds: a time without a fraction agrees with any of its second.
    if one_ns == other_ns:
        return True
    whole = one_ns % _NS == 0 or other_ns % _NS == 0
    return whole and one_ns // _NS == other_ns // _NS
