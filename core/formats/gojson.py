"""JSON as Go's encoder writes it, without a JSON library, which takes long to import."""

from __future__ import annotations

from holdfs.native.values import Value

_ESCAPES = {code: f"\\u{code:04x}" for code in (*range(0x20), *map(ord, "<>&\u2028\u2029"))}
_ESCAPES.update({ord(char): "\\" + char for char in '"\\'})
_ESCAPES.update({8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r"})


def json_string(text: str) -> str:
    """Return `text` as a JSON string; each byte that is not UTF-8 becomes U+FFFD."""
    escaped = text.translate(_ESCAPES)
    if not escaped.isascii():
        escaped = "".join("\\ufffd" if "\ud800" <= c <= "\udfff" else c for c in escaped)
    return f'"{escaped}"'


def json_text(value: object) -> str:
    """
    Return the compact JSON of texts, numbers, maps and lists of them; a map's keys are sorted.

    Raises:
        TypeError: JSON has no such value.
    """
    if isinstance(value, str):
        return json_string(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        # Go sorts the bytes of the keys.
        keys = sorted(value, key=lambda key: key.encode("utf-8", "surrogateescape"))
        return "{" + ",".join(f"{json_string(k)}:{json_text(value[k])}" for k in keys) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(json_text, value)) + "]"
    if isinstance(value, Value):
        fields = zip(value.fields, value.values(), strict=True)
        return "{" + ",".join(f"{json_string(k)}:{json_text(v)}" for k, v in fields) + "}"
    if isinstance(value, float):
        # Only ever in a flag that some other program set.
        import msgspec

        return msgspec.json.encode(value).decode()
    raise TypeError(f"JSON has nothing for {value!r}")


def json_value(value: object) -> bytes:
    """Return the JSON of a value, as `json_text` has it."""
    return json_text(value).encode()
