"""
Layer, image and container as the store's JSON files hold them.

    [{"id":"…","names":["…"],"parent":"…","created":"2026-…Z"},{…}]     one line, Go's key order

A record read is a frozen value. A record written is spliced: keys whose value did not change keep
their bytes, and keys that we don't know stay, so a newer tool's data survives an older one's edit.

What is known to be a record of its kind is decoded here, by the scanner that Python's own json
module stands on: that module as a whole takes longer to import than a short command. All else is
for typed.py.

Source: containers/storage, layers.go, images.go, containers.go; spec 2.
"""

from __future__ import annotations

from _json import make_scanner

from holdfs.core.formats.gojson import json_value
from holdfs.core.formats.shapes import CONTAINERS, IMAGES, LAYERS
from holdfs.core.formats.splicing import spliced
from holdfs.core.formats.times import ZERO
from holdfs.native.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final

    from holdfs.core.formats.generic import R
    from holdfs.core.formats.shapes import Shape


class IdMap(Value):
    """`size` IDs from `container_id` on, shown to the host from `host_id` on."""

    container_id: int
    host_id: int
    size: int


class Record(Value):
    """What the three kinds share."""

    id: str


class Layer(Record):
    """One set of changes on a parent. Mount point and count live in mountpoints.json."""

    names: tuple[str, ...] = ()
    parent: str = ""
    metadata: str = ""
    mount_label: str = ""
    created: str = ZERO
    compressed_diff_digest: str = ""
    compressed_size: int = 0
    diff_digest: str = ""
    toc_digest: str = ""
    diff_size: int = 0
    compression: int = 0
    uidset: tuple[int, ...] = ()
    gidset: tuple[int, ...] = ()
    flags: dict[str, Any] = {}  # noqa: RUF012  # as all of a value, never changed
    uidmap: tuple[IdMap, ...] = ()
    gidmap: tuple[IdMap, ...] = ()
    big_data_names: tuple[str, ...] = ()


class Image(Record):
    """A reference to a top layer, with big data."""

    digest: str = ""
    names: tuple[str, ...] = ()
    names_history: tuple[str, ...] = ()
    layer: str = ""
    mapped_layers: tuple[str, ...] = ()
    metadata: str = ""
    big_data_names: tuple[str, ...] = ()
    big_data_sizes: dict[str, int] = {}  # noqa: RUF012
    big_data_digests: dict[str, str] = {}  # noqa: RUF012
    created: str = ZERO
    flags: dict[str, Any] = {}  # noqa: RUF012

    @property
    def digests(self) -> tuple[str, ...]:
        """The image's own digest first, then each other one of a manifest item."""
        manifests = (
            self.big_data_digests[key]
            for key in self.big_data_names
            if key.startswith("manifest") and key in self.big_data_digests
        )
        return tuple(dict.fromkeys(d for d in (self.digest, *manifests) if d))


class Container(Record):
    """A writable layer on an image."""

    names: tuple[str, ...] = ()
    image: str = ""
    layer: str = ""
    metadata: str = ""
    big_data_names: tuple[str, ...] = ()
    big_data_sizes: dict[str, int] = {}  # noqa: RUF012
    big_data_digests: dict[str, str] = {}  # noqa: RUF012
    created: str = ZERO
    uidmap: tuple[IdMap, ...] = ()
    gidmap: tuple[IdMap, ...] = ()
    flags: dict[str, Any] = {}  # noqa: RUF012


class MountEntry(Value):
    """One element of mountpoints.json."""

    id: str
    path: str = ""
    count: int = 0


_SHAPES: Final[dict[type[Record], Shape[Any]]] = {
    Layer: LAYERS,
    Image: IMAGES,
    Container: CONTAINERS,
}


def json_key(field: str) -> str:
    """Return a field's name in JSON."""
    return "mountlabel" if field == "mount_label" else field.replace("_", "-")


def field_of(key: str) -> str:
    """Return the field that a JSON key is for."""
    return "mount_label" if key == "mountlabel" else key.replace("-", "_")


# -- reading -----------------------------------------------------------------------------------


class _Settings:
    """How JSON is taken: as by json.loads."""

    strict = True
    object_hook = object_pairs_hook = parse_constant = None
    parse_float, parse_int = float, int
    memo: dict[str, str] = {}  # noqa: RUF012  # the scanner's own


_scan = make_scanner(_Settings)  # type: ignore[arg-type]  # typeshed's own


def decode_sound(raw: bytes, shape: Shape[R]) -> R:
    """Return the record of a JSON object that is known to be one of this kind."""
    found = _scan(raw.decode(), 0)[0]
    values: dict[str, Any] = {}
    for key, kind in shape.keys.items():
        if key in found:
            value = found[key]
            if kind == "x":
                value = tuple(IdMap(**m) for m in value)
            elif kind in "SI":
                value = tuple(value)
            values[field_of(key)] = value
    return shape.record_type(**values)


# -- writing -----------------------------------------------------------------------------------


def to_json(record: Record) -> bytes:
    """Return a new record's JSON, byte for byte as Go's encoder writes it."""
    values = zip(record.fields, record.values(), strict=True)
    return spliced((), _SHAPES[type(record)], {json_key(field): value for field, value in values})


def edited(members: Sequence[tuple[str, bytes]], old: R, new: R) -> bytes:
    """
    Return the JSON of `new`, which was `old` when read from an object with these members.

    Unchanged keys keep their bytes; keys that we don't know follow the known ones.
    """
    changes = {
        json_key(field): value
        for field, before, value in zip(old.fields, old.values(), new.values(), strict=True)
        if value != before
    }
    return spliced(members, _SHAPES[type(new)], changes)


def encode_value(value: object) -> bytes:
    """Return JSON as Go's encoder writes it: map keys sorted; `<`, `>`, `&`, U+2028/9 escaped."""
    return json_value(value)
