"""Which object an entry of a collection means: full ID, then name, then a prefix of 8 digits."""

import errno
from collections.abc import Callable
from typing import Any

from holdfs.core.reading import Records
from holdfs.fusefs.tree.encoding import decode, entry_name, is_cut
from holdfs.fusefs.tree.node import refusal

#: Shorter ones are left to names: `mkdir containers/db` must not now and then be EEXIST.
SHORTEST_PREFIX = 8
_HEX = frozenset("0123456789abcdef")


def _all(_: str) -> bool:
    return True


def find_alias(
    records: Records[Any], text: str, *, among: Callable[[str], bool] = _all
) -> str | None:
    """
    Return the ID of the object that `text`, which is no full ID, names or begins the ID of.

    Args:
        among: Which objects may be meant.
    """
    named = records.by_name.get(text)
    if named is not None:
        return named if among(named) else None
    if len(text) < SHORTEST_PREFIX or not _HEX.issuperset(text):
        return None
    found = records.resolve(text)
    return found if found is not None and among(found) else None


def check_new_name(entry: str) -> str:
    """
    Return the name that an object to be made under `entry` gets.

    Raises:
        OSError: It can't be made: EPERM for a trash, EINVAL for a spelling that is not the one.
    """
    if entry.startswith(".Trash"):
        # File managers then offer to delete for good, which is what we can.
        raise refusal(errno.EPERM, "there is no trash here: delete for good")
    if is_cut(entry):
        raise refusal(errno.EINVAL, f"{entry!r} is how a longer name is shown; it can't be made")
    text = decode(entry)
    assert entry_name(text) == entry
    return text
