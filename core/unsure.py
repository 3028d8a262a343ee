"""
Files of records that are not good for certain: what is wrong with them, and what is in them.

msgspec decides: it says what is damaged, and where, and takes what only looks odd (a null, a leap
day, a key given twice).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from sys import byteorder
from typing import Any

import msgspec
from msgspec import Raw, Struct

from holdfs.core.column import Column
from holdfs.core.errors import StoreDamaged
from holdfs.core.formats import times, typed
from holdfs.core.formats.shapes import Shape
from holdfs.core.part import Part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfs.core.column import Cell
    from holdfs.core.formats.generic import R
    from holdfs.core.part import Row, Signature, Source


class _Head(Struct, gc=False, rename=lambda field: field.replace("_", "-")):
    """What columns are made of, of whatever kind: a field its kind lacks is empty."""

    id: str
    names: tuple[str, ...] = ()
    created: typed.Created = times.ZERO
    parent: str = ""
    layer: str = ""
    mapped_layers: tuple[str, ...] = ()
    image: str = ""


class _Named(Struct):
    id: str


def parse(source: Source, shape: Shape[Any], signature: Signature, data: bytes) -> Part:
    """Return the part that `data` is, with `damage` or `broken` set if it is damaged."""
    try:
        raws = msgspec.json.decode(data, type=list[Raw] | None) or []
    except typed.UNDECODABLE as error:
        damage = StoreDamaged(source.path, reason(error), position=_position(data, error))
        return Part(source, signature, damage=damage, is_sound=False)
    spans: list[int] = []
    heads: list[_Head] = []
    broken: dict[str, StoreDamaged] = {}
    end = 0
    for raw in raws:
        start = data.index(bytes(raw), end)
        end = start + len(bytes(raw))
        spans += (start, end)
        try:
            typed.check_keys(raw, shape.keys)
            heads.append(typed.decode_as(raw, _Head))
        except typed.UNDECODABLE as error:
            damage = StoreDamaged(source.path, reason(error), position=start)
            try:
                named = msgspec.json.decode(raw, type=_Named)
            except typed.UNDECODABLE:
                return Part(source, signature, damage=damage, is_sound=False)
            heads.append(_Head(id=named.id))
            broken[named.id] = damage
    rows = [_row(shape, head) for head in heads]
    return Part(
        source,
        signature,
        data,
        memoryview(b"".join(n.to_bytes(4, byteorder) for n in spans)).cast("I"),
        {key: Column(cells=[row[key] for row in rows]) for key in shape.columns},
        broken=broken,
        is_sound=False,
    )


def row_of(shape: Shape[Any], raw: bytes) -> Row:
    """Return the cells of one record; raises as `typed.decode`."""
    return _row(shape, typed.decode_as(raw, _Head))


def members_of(raw: bytes) -> list[tuple[str, bytes]]:
    """Return a record's members, the values as they stand there."""
    members = msgspec.json.decode(raw, type=dict[str, Raw])
    return [(key, bytes(value)) for key, value in members.items()]


def _row(shape: Shape[Any], head: _Head) -> Mapping[str, Cell]:
    return {key: getattr(head, key.replace("-", "_")) for key in shape.columns}


def check_part(part: Part, shape: Shape[Any]) -> None:
    """
    Raise StoreDamaged unless every record of the part is wholly of its kind.

    Done before anything is saved: what can't be decoded is not written over.
    """
    if part.damage is not None:
        raise part.damage
    for damage in part.broken.values():
        raise damage
    for at, raw in enumerate(part.raws):
        try:
            typed.decode(raw, shape)
        except typed.UNDECODABLE as error:
            position = part.spans[2 * at]
            raise StoreDamaged(part.source.path, reason(error), position=position) from None


def decoded(part: Part, shape: Shape[R], at: int) -> R:
    """
    Return a record, whole.

    Raises:
        StoreDamaged: It can't be decoded.
    """
    record_id = part.ids[at]
    if record_id in part.broken:
        raise part.broken[record_id]
    try:
        return typed.decode(part.raw(at), shape)
    except typed.UNDECODABLE as error:
        raise StoreDamaged(part.source.path, f"record {record_id}: {reason(error)}") from None


def reason(error: Exception) -> str:
    """Return what msgspec says, as the middle of a sentence and without the place."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    text = re.sub(r" \(byte \d+\)$", "", str(error))
    text = re.sub(r"`str` matching regex '.*'", "a time as in RFC 3339", text)
    return text if text.startswith("JSON") else text[:1].lower() + text[1:]


def _position(data: bytes, error: Exception) -> int:
    if isinstance(error, UnicodeDecodeError):
        # msgspec decodes one string at a time; the file as a whole gives the place.
        try:
            data.decode()
        except UnicodeDecodeError as whole:
            return whole.start
    match = re.search(r"\(byte (\d+)\)$", str(error))
    return int(match[1]) if match else len(data) if "truncated" in str(error) else 0
