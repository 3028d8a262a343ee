"""
One record with other values, its other keys as they were byte for byte.

Known keys go in the order of the kind, keys that we don't know follow: a newer tool's data survives
an older one's edit.
"""

from __future__ import annotations

from holdfs.core.formats.gojson import json_string, json_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from holdfs.core.formats.shapes import Shape

_NEVER_MADE = "0001-01-01T00:00:00Z"


def spliced(
    members: Sequence[tuple[str, bytes]],
    shape: Shape[Any],
    changes: Mapping[str, object],
) -> bytes:
    """
    Return a record's JSON.

    Args:
        members: What it has, the values as they stand.
        changes: The new values by JSON key; one that is empty goes.
    """
    kept = dict(members)
    parts = []
    for key in shape.keys:
        raw = kept.pop(key, None)
        if key in changes:
            value = changes[key]
            raw = json_value(value) if value or key in shape.always else None
        elif raw is None and key in shape.always:
            raw = json_value(_NEVER_MADE if key == "created" else "")
        if raw is not None:
            parts.append(b'"%s":%s' % (key.encode(), raw))
    parts.extend(b"%s:%s" % (json_string(key).encode(), raw) for key, raw in kept.items())
    return b"{" + b",".join(parts) + b"}"
