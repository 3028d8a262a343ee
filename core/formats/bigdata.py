"""
Names of big-data files: a key becomes one name in the object's directory.

    manifest        manifest                   only a-z 0-9 . : as it is
    manifest-foo    =bWFuaWZlc3QtZm9v          else "=" and the key in standard base64
    A, é, key-      the same                   … unless the odd character is the last one

Source: containers/storage, store.go makeBigDataBaseName; spec 3.1.
"""

from __future__ import annotations

from holdfs.core.errors import InvalidBigDataName

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_PLAIN: Final = frozenset(".0123456789abcdefghijklmnopqrstuvwxyz")


def file_name(key: str) -> str:
    """
    Return the file name for a big-data key.

    Raises:
        InvalidBigDataName: The key is empty, or its file name would not be one name in one
            directory: the Go tools join it into a path unescaped, so it would land elsewhere.
    """
    name = key
    if any(char not in _PLAIN for char in key[:-1]):
        import base64

        name = "=" + base64.standard_b64encode(os_bytes(key)).decode("ascii")
        # Go cleans the joined path, which drops a trailing slash; an inner one needs a directory.
        name = name.rstrip("/")
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise InvalidBigDataName(f"{key!r} can't be the name of a big-data item")
    if len(os_bytes(name)) > 255:
        raise InvalidBigDataName(f"big-data name of {len(os_bytes(key))} bytes is too long")
    return name


def os_bytes(key: str) -> bytes:
    """Return the key's UTF-8 bytes."""
    try:
        return key.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidBigDataName(f"{key!r} is not valid UTF-8") from error
