"""
Names of entries as the kernel has them: bytes, and what they are in the tree.

In what is ours names are UTF-8; in content they are any bytes, as `os.fsdecode` gives them.
"""

import errno
import os

from holdfs.fusefs.tree.encoding import LONGEST
from holdfs.fusefs.tree.node import Directory, refusal


def known_name(directory: Directory, name: bytes) -> str | None:
    """Return the name to look up; None if nothing can have it, as it is not UTF-8."""
    if len(name) > LONGEST:
        raise OSError(errno.ENAMETOOLONG, f"a name can't be longer than {LONGEST} bytes")
    if directory.is_content:
        return os.fsdecode(name)
    try:
        return name.decode()
    except UnicodeDecodeError:
        return None


def new_name(directory: Directory, name: bytes) -> str:
    """Return the name of an entry to be made, moved or removed."""
    text = known_name(directory, name)
    if text is None:
        raise refusal(errno.EINVAL, "the name is not UTF-8")
    return text


def listed_name(directory: Directory, name: str) -> bytes:
    """Return the name of an entry for a listing."""
    return os.fsencode(name) if directory.is_content else name.encode("utf-8", "surrogatepass")
