"""Mount option words: which are flags of the mount, and which go to the file system. Pure."""

from __future__ import annotations

from holdfs.native import mount as sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

# word: (flags set, flags cleared), as mount(8) and the Go tools have them.
_FLAG_WORDS: Final = {
    "defaults": (0, 0),
    "ro": (sys.MS_RDONLY, 0),
    "rw": (0, sys.MS_RDONLY),
    "suid": (0, sys.MS_NOSUID),
    "nosuid": (sys.MS_NOSUID, 0),
    "dev": (0, sys.MS_NODEV),
    "nodev": (sys.MS_NODEV, 0),
    "exec": (0, sys.MS_NOEXEC),
    "noexec": (sys.MS_NOEXEC, 0),
    "sync": (sys.MS_SYNCHRONOUS, 0),
    "async": (0, sys.MS_SYNCHRONOUS),
    "dirsync": (sys.MS_DIRSYNC, 0),
    "mand": (sys.MS_MANDLOCK, 0),
    "nomand": (0, sys.MS_MANDLOCK),
    "atime": (0, sys.MS_NOATIME),
    "noatime": (sys.MS_NOATIME, 0),
    "diratime": (0, sys.MS_NODIRATIME),
    "nodiratime": (sys.MS_NODIRATIME, 0),
    "relatime": (sys.MS_RELATIME, 0),
    "norelatime": (0, sys.MS_RELATIME),
    "strictatime": (sys.MS_STRICTATIME, 0),
    "nostrictatime": (0, sys.MS_STRICTATIME),
}


def split_words(words: Iterable[str]) -> tuple[int, tuple[str, ...]]:
    """Return the MS_* flags that the words set, and the words that are the file system's own."""
    flags = 0
    rest = []
    for word in words:
        if word in _FLAG_WORDS:
            added, removed = _FLAG_WORDS[word]
            flags = (flags | added) & ~removed
        elif word:
            rest.append(word)
    return flags, tuple(rest)


def has_metacopy(words: Sequence[str]) -> bool:
    """Whether the words ask for copies of metadata alone."""
    return "metacopy=on" in words


def choose_words(
    configured: str, requested: Sequence[str] | None, *, is_metacopy_used: bool
) -> tuple[str, ...]:
    """
    Return the option words of a mount: the requested ones, or the configured if there are none.

    Args:
        configured: The driver's `mountopt`, comma separated.
        is_metacopy_used: Whether the kernel makes copies of metadata with the configured options.
            Then every mount must have the word, or it would not find the data of such files; if
            the kernel does not, it would refuse the word.
    """
    defaults = [word for word in configured.split(",") if word]
    words = list(requested) if requested else list(defaults)
    if is_metacopy_used and has_metacopy(defaults) and not has_metacopy(words):
        words.append("metacopy=on")
    if not is_metacopy_used:
        words = [word for word in words if word != "metacopy=on"]
    return tuple(words)
