"""
Links in the content of an object, written anew so that they stay inside its tree. Pure.

    in /a/b/    /etc/one      ../../etc/one        absolute: from the top of the tree
                ../../../x    ../../x              above the top is the top, as in a container
                to/../../x    ../../x              where /a/b/to is a link to /etc: by what it is
                ../c/one      ../c/one             all others as they are
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

#: As many links as the kernel follows on one way.
_MOST_LINKS: Final = 40


def kept_inside(
    text: bytes,
    directory: Sequence[bytes],
    look: Callable[[Sequence[bytes]], bytes | bool],
) -> bytes:
    """
    Return what a link is to say so that it leads to what it means to the content's own programs.

    Args:
        text: What it says.
        directory: Where it is: the names from the top of the tree down to it.
        look: Tells what is at a path of names: the text of a link, True for a directory, False for
            anything else or nothing. Asked only where a `..` follows a name.
    """
    names = _names(text)
    ups = next((at for at, name in enumerate(names) if name != b".."), len(names))
    is_absolute = text.startswith(b"/")
    if b".." in names[ups:]:
        last = len(names) - names[::-1].index(b"..")
        at = _resolve([] if is_absolute else directory, names[:last], look)
        names = [*at, *names[last:]]
    elif is_absolute or ups > len(directory):
        names = names[ups:]
    else:
        return text
    way = b"/".join((*[b".."] * len(directory), *names)) or b"."
    return way + b"/" if names and text.endswith(b"/") else way


def _resolve(
    start: Iterable[bytes],
    names: Iterable[bytes],
    look: Callable[[Sequence[bytes]], bytes | bool],
) -> list[bytes]:
    """Return the path of the directory that `names` lead to from `start`, no link on it."""
    at, ahead, links = list(start), deque(names), 0
    while ahead:
        name = ahead.popleft()
        if name == b"..":
            del at[-1:]
            continue
        at.append(name)
        found = look(at)
        if isinstance(found, bytes) and links < _MOST_LINKS:
            links += 1
            del at[-1:]
            if found.startswith(b"/"):
                at = []
            ahead.extendleft(reversed(_names(found)))
        elif found is not True:
            # Nobody comes past what is no directory, nor round in circles: neither here.
            return [*at, b"."]
    return at


def _names(text: bytes) -> list[bytes]:
    return [name for name in text.split(b"/") if name not in (b"", b".")]
