"""
Names of directory entries: any text as one path component, each in one spelling only.

    docker.io/me/x   docker.io%2Fme%2Fx          %, control characters, /      %25, %0A, %2F
    .   ..           %2E   %2E%2E                the empty text                %
    300 bytes …      180 bytes … %~0123456789abcdef       hex digits of the text's SHA-256

Nothing else is ever encoded, so `%41` and `%2f` are nobody's name. (spec/tree.md, Names of entries)
"""

import hashlib
import re
from typing import Final

from holdfs.core.errors import InvalidValue

#: The longest name of an entry, in bytes. The kernel lets FUSE have 1024: we have to say no.
LONGEST: Final = 255
_CUT_TO: Final = 180

# The control characters of Unicode: C0, DEL and C1.
_IN_LINES: Final = re.compile(r"[%\x00-\x1f\x7f-\x9f]")
_IN_ENTRIES: Final = re.compile(r"[%/\x00-\x1f\x7f-\x9f]")
_ENCODED: Final = re.compile(r"(?:%[0-9A-F]{2})+")


class BadSpelling(InvalidValue):
    """An entry can't be made under this name: it is not the one way to spell what it stands for."""


def encode(text: str) -> str:
    """Return the entry that stands for `text`, however long."""
    if text in ("", ".", ".."):
        return "%" if not text else "%2E" * len(text)
    return _IN_ENTRIES.sub(_escape, text)


def encode_line(text: str) -> str:
    """Return `text` as one line of a file: only `%` and control characters are encoded."""
    return _IN_LINES.sub(_escape, text) if text else "%"


def decode(entry: str) -> str:
    """
    Return the text that `entry` stands for.

    Raises:
        BadSpelling: No text is spelled so. A cut name is none either: look for it by `entry_name`.
    """
    text = _decode(entry)
    if encode(text) != entry:
        raise BadSpelling(f"{entry!r} is no name here: {encode(text)!r} is how it is spelled")
    return text


def decode_line(line: str) -> str:
    """
    Return the text that a line of a file stands for.

    Raises:
        BadSpelling: As for `decode`.
    """
    text = _decode(line)
    if encode_line(text) != line:
        raise BadSpelling(f"{line!r} can't stand here: {encode_line(text)!r} is how it is spelled")
    return text


def entry_name(text: str) -> str:
    """Return the entry that stands for `text`, cut to fit if it has to be."""
    entry = encode(text)
    if len(entry) <= LONGEST // 4 or len(os_bytes(entry)) <= LONGEST:
        return entry
    start = ""
    room = _CUT_TO
    for character in text:
        piece = encode(character) if character != "." else character
        room -= len(os_bytes(piece))
        if room < 0:
            break
        start += piece
    return f"{start}%~{hashlib.sha256(os_bytes(text)).hexdigest()[:16]}"


def is_cut(entry: str) -> bool:
    """Whether `entry` has the form of a name that was cut to fit."""
    return entry[-18:-16] == "%~"


def os_bytes(text: str) -> bytes:
    """Return UTF-8, lone surrogates (from bytes that were none, or from odd JSON) as they came."""
    return text.encode("utf-8", "surrogatepass")


def _escape(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in os_bytes(match[0]))


def _decode(entry: str) -> str:
    if entry == "%":
        return ""
    try:
        return _ENCODED.sub(_unescape, entry)
    except UnicodeDecodeError:
        raise BadSpelling(f"{entry!r} is no name here: it stands for no text") from None


def _unescape(match: re.Match[str]) -> str:
    return bytes.fromhex(match[0].replace("%", "")).decode("utf-8")
