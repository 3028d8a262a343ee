"""Texts and lists of them as Go's JSON encoder writes them, without a JSON library."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_ESCAPES = {code: f"\\u{code:04x}" for code in (*range(0x20), *map(ord, "<>&\u2028\u2029"))}
_ESCAPES.update({ord(char): "\\" + char for char in '"\\'})
_ESCAPES.update({8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r"})


def json_string(text: str) -> str:
    """Return `text` as a JSON string; each byte that is not UTF-8 becomes U+FFFD."""
    escaped = text.translate(_ESCAPES)
    if not escaped.isascii():
        escaped = "".join("\\ufffd" if "\ud800" <= c <= "\udfff" else c for c in escaped)
    return f'"{escaped}"'


def json_value(value: str | Iterable[str]) -> bytes:
    """Return the JSON of a text, or of a list of texts."""
    if isinstance(value, str):
        return json_string(value).encode()
    return f"[{','.join(map(json_string, value))}]".encode()
