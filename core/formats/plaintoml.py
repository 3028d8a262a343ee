"""
The TOML that configuration files are mostly made of; for all else there is tomllib.

    # a comment
    [storage.options]
    driver = "overlay"
    size = 10
    skip = true
    stores = ["/a", "/b"]           in one line or in several
    pull_options = {a = "b"}

tomllib takes as long to import as the rest of a short command. So what is plain for certain is read
here, line by line, and the first sign of anything else, an error too, is left to it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Value: TypeAlias = "str | bool | int | list[str] | dict[str, str]"

_OF_KEYS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
_MOST_DIGITS = 9


class _NotPlain(Exception):
    """Something that is not read here."""


def parse(data: bytes) -> dict[str, Any] | None:
    """Return the document, None if it is not plain for certain."""
    try:
        text = data.decode()
        if not text.replace("\n", "").replace("\t", "").isprintable():
            return None
        return _parse(text)
    except (UnicodeDecodeError, _NotPlain):
        return None


def _parse(text: str) -> dict[str, Any]:
    document: dict[str, Any] = {}
    table = document
    headers: set[str] = set()
    opened: set[str] = set()
    lines = iter(text.split("\n"))
    for line in lines:
        line = line.strip(" \t")
        if not line or line[0] == "#":
            continue
        if line[0] == "[":
            name, close, rest = line[1:].partition("]")
            if not close or not _is_end(rest) or name in headers:
                raise _NotPlain
            table = _table(document, name, opened)
            headers.add(name)
            continue
        key, equals, rest = line.partition("=")
        key = key.rstrip(" \t")
        if not equals or not _is_key(key) or key in table:
            raise _NotPlain
        rest = rest.lstrip(" \t")
        while rest[:1] == "[" and "]" not in rest:
            # Joined by a blank: a comment in between, which would hide what follows, is not plain.
            rest += " " + next(lines, "]]").strip(" \t")
        table[key] = _value(rest)
    return document


def _table(document: dict[str, Any], name: str, opened: set[str]) -> dict[str, Any]:
    """Return the table of a header; those that headers have made so far are named in `opened`."""
    table, path = document, ""
    for key in name.split("."):
        path += f".{key}"
        # What stands there as a value is closed, a table in braces too.
        if not _is_key(key) or (key in table and path not in opened):
            raise _NotPlain
        opened.add(path)
        table = table.setdefault(key, {})
    return table


def _is_key(text: str) -> bool:
    return bool(text) and _OF_KEYS.issuperset(text)


def _is_end(text: str) -> bool:
    """Whether nothing but a comment follows."""
    text = text.lstrip(" \t")
    return not text or text[0] == "#"


def _value(text: str) -> Value:
    if text[:1] == "[":
        inside, _, rest = text[1:].partition("]")
        if not _is_end(rest):
            raise _NotPlain
        return _list(inside.strip(" \t"))
    if text[:1] == "{":
        inside, close, rest = text[1:].partition("}")
        if not close or not _is_end(rest):
            raise _NotPlain
        return _inline(inside.strip(" \t"))
    if text[:1] == '"':
        value, rest = _string(text)
        if not _is_end(rest):
            raise _NotPlain
        return value
    word = text.partition("#")[0].rstrip(" \t")
    if word in ("true", "false"):
        return word == "true"
    is_number = word.isascii() and word.isdecimal() and len(word) <= _MOST_DIGITS
    if is_number and (word == "0" or word[0] != "0"):
        return int(word)
    raise _NotPlain


def _string(text: str) -> tuple[str, str]:
    """Return a string at the start of `text`, and what follows it."""
    value, quote, rest = text[1:].partition('"')
    if not quote or "\\" in value or (not value and rest[:1] == '"'):
        raise _NotPlain
    return value, rest.lstrip(" \t")


def _list(text: str) -> list[str]:
    values = []
    while text:
        if text[0] != '"':
            raise _NotPlain
        value, text = _string(text)
        values.append(value)
        if text and text[0] != ",":
            raise _NotPlain
        text = text[1:].lstrip(" \t")
    return values


def _inline(text: str) -> dict[str, str]:
    values: dict[str, str] = {}
    while text:
        key, equals, rest = text.partition("=")
        key, rest = key.rstrip(" \t"), rest.lstrip(" \t")
        if not equals or not _is_key(key) or key in values or rest[:1] != '"':
            raise _NotPlain
        values[key], text = _string(rest)
        if text and text[0] != ",":
            raise _NotPlain
        # No comma behind the last.
        if text and not (text := text[1:].lstrip(" \t")):
            raise _NotPlain
    return values
