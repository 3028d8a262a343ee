"""
Records whose bytes may be anything: msgspec takes them by type, or says what is wrong.

The types are made of the shapes' table, so what counts as a record is said once.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from holdfs.core.formats import times
from holdfs.core.formats.records import IdMap, MountEntry, field_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

    from holdfs.core.formats.generic import R
    from holdfs.core.formats.shapes import Shape

#: The form is checked by msgspec's own C loop while it decodes.
Created = Annotated[str, Meta(pattern=times.PATTERN)]

#: What decoding raises for bytes that are no JSON, not of the wanted shape, or nested without end.
UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

T = TypeVar("T")


class _IdMap(Struct):
    container_id: int
    host_id: int
    size: int


class _MountEntry(Struct):
    id: str
    path: str = ""
    count: int = 0


#: Type and default of a key's value, by the letters of shapes.py.
_TYPES: dict[str, tuple[Any, Any]] = {
    "s": (str, ""),
    "t": (Created, times.ZERO),
    "i": (int, 0),
    "S": (tuple[str, ...], ()),
    "I": (tuple[int, ...], ()),
    "m": (dict[str, int], {}),
    "M": (dict[str, str], {}),
    "x": (tuple[_IdMap, ...], ()),
    "f": (dict[str, Any], {}),
}
_structs: dict[str, type[Struct]] = {}


def _struct_of(shape: Shape[Any]) -> type[Struct]:
    struct = _structs.get(shape.name)
    if struct is None:
        fields = [
            (field_of(key), _TYPES[kind][0]) if key == "id" else (field_of(key), *_TYPES[kind])
            for key, kind in shape.keys.items()
        ]
        keys = {field_of(key): key for key in shape.keys}
        struct = msgspec.defstruct(shape.name, fields, rename=keys)
        _structs[shape.name] = struct
    return struct


def decode(raw: bytes | Raw, shape: Shape[R]) -> R:
    """
    Return the record that `raw` holds.

    Raises:
        UNDECODABLE: It is no JSON, or not of this kind.
    """
    values = msgspec.structs.asdict(decode_as(raw, _struct_of(shape)))
    for key, kind in shape.keys.items():
        if kind == "x":
            maps = values[key]
            values[key] = tuple(IdMap(m.container_id, m.host_id, m.size) for m in maps)
    return shape.record_type(**values)


def decode_mounts(data: bytes) -> list[MountEntry]:
    """Return what mountpoints.json holds; raises as `decode`."""
    entries = decode_as(data, list[_MountEntry])
    for raw in msgspec.json.decode(data, type=list[Raw]):
        check_keys(raw, _MountEntry.__struct_fields__)
    return [MountEntry(entry.id, entry.path, entry.count) for entry in entries]


def check_keys(raw: bytes | Raw, known: Container[str]) -> None:
    """
    Raise DecodeError for a key that is one of the known ones only in another letter case.

    Go's decoders take `Layer` for `layer`, others don't: to read it as either would hide from one
    of us what is in use.
    """
    for key in msgspec.json.decode(raw, type=dict[str, Raw]):
        meant = key.casefold()
        if key != meant and meant in known:
            raise msgspec.DecodeError(f"the key `{key}` has to be written `{meant}`")


def decode_as(raw: bytes | Raw, kind: type[T]) -> T:
    """Return what `raw` holds, `null` taken for an absent key, as Go does; raises as `decode`."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError:
        # Hardly any store has a null: what is usual does not pay for it.
        return msgspec.convert(_without_nulls(msgspec.json.decode(raw)), type=kind)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
