"""
Layer, image and container as the store's JSON files hold them.

    [{"id":"…","names":["…"],"parent":"…","created":"2026-…Z"},{…}]     one line, Go's key order

A record read is a frozen struct. A record written is spliced: keys whose value did not change keep
their bytes, and keys that we don't know stay, so a newer tool's data survives an older one's edit.

Source: containers/storage, layers.go, images.go, containers.go; spec 2.
"""

from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from holdfs.core.formats import times

#: The form is checked by msgspec's own C loop while it decodes.
Created = Annotated[str, Meta(pattern=times.PATTERN)]

#: What decoding raises for bytes that are no JSON, not of the wanted shape, or nested without end.
UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class IdMap(Struct, frozen=True):
    """`size` IDs from `container_id` on, shown to the host from `host_id` on."""

    container_id: int
    host_id: int
    size: int


def _json_key(field: str) -> str:
    return "mountlabel" if field == "mount_label" else field.replace("_", "-")


class Record(Struct, frozen=True, rename=_json_key):
    """What the three kinds share."""

    id: str


class Layer(Record, frozen=True, rename=_json_key):
    """One set of changes on a parent. Mount point and count live in mountpoints.json."""

    names: tuple[str, ...] = ()
    parent: str = ""
    metadata: str = ""
    mount_label: str = ""
    created: Created = times.ZERO
    compressed_diff_digest: str = ""
    compressed_size: int = 0
    diff_digest: str = ""
    toc_digest: str = ""
    diff_size: int = 0
    compression: int = 0
    uidset: tuple[int, ...] = ()
    gidset: tuple[int, ...] = ()
    flags: dict[str, Any] = {}
    uidmap: tuple[IdMap, ...] = ()
    gidmap: tuple[IdMap, ...] = ()
    big_data_names: tuple[str, ...] = ()


class Image(Record, frozen=True, rename=_json_key):
    """A reference to a top layer, with big data."""

    digest: str = ""
    names: tuple[str, ...] = ()
    names_history: tuple[str, ...] = ()
    layer: str = ""
    mapped_layers: tuple[str, ...] = ()
    metadata: str = ""
    big_data_names: tuple[str, ...] = ()
    big_data_sizes: dict[str, int] = {}
    big_data_digests: dict[str, str] = {}
    created: Created = times.ZERO
    flags: dict[str, Any] = {}

    @property
    def digests(self) -> tuple[str, ...]:
        """The image's own digest first, then each other one of a manifest item."""
        manifests = (
            self.big_data_digests[key]
            for key in self.big_data_names
            if key.startswith("manifest") and key in self.big_data_digests
        )
        return tuple(dict.fromkeys(d for d in (self.digest, *manifests) if d))


class Container(Record, frozen=True, rename=_json_key):
    """A writable layer on an image."""

    names: tuple[str, ...] = ()
    image: str = ""
    layer: str = ""
    metadata: str = ""
    big_data_names: tuple[str, ...] = ()
    big_data_sizes: dict[str, int] = {}
    big_data_digests: dict[str, str] = {}
    created: Created = times.ZERO
    uidmap: tuple[IdMap, ...] = ()
    gidmap: tuple[IdMap, ...] = ()
    flags: dict[str, Any] = {}


class MountEntry(Struct, frozen=True):
    """One element of mountpoints.json."""

    id: str
    path: str = ""
    count: int = 0


R = TypeVar("R", bound="Record")
T = TypeVar("T")

#: Written even when empty.
_ALWAYS: Final = frozenset({"id", "created", "image", "layer"})


def decode(raw: bytes | Raw, kind: type[T]) -> T:
    """
    Return what `raw` holds, `null` taken for an absent key, as Go does.

    Raises:
        UNDECODABLE: It is no JSON, or not of this shape.
    """
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


def to_json(record: Record) -> bytes:
    """Return a new record's JSON, byte for byte as Go's encoder writes it."""
    return _splice(record, None, {})


def edited(raw: bytes | Raw, old: R, new: R) -> bytes:
    """
    Return the JSON of `new`, which was `old` when read from `raw`.

    Unchanged keys keep their bytes; keys that we don't know follow the known ones.
    """
    return _splice(new, old, msgspec.json.decode(raw, type=dict[str, Raw]))


def _splice(new: Record, old: Record | None, raws: dict[str, Raw]) -> bytes:
    # An image's top layer is left out when empty, a container's never is.
    always = _ALWAYS if isinstance(new, Container) else _ALWAYS - {"layer", "image"}
    parts = []
    for field, key in zip(new.__struct_fields__, new.__struct_encode_fields__, strict=True):
        value = getattr(new, field)
        kept = raws.pop(key, None)
        if old is not None and kept is not None and value == getattr(old, field):
            parts.append(b'"%s":%s' % (key.encode(), kept))
        elif value or field in always:
            parts.append(b'"%s":%s' % (key.encode(), encode_value(value)))
    parts.extend(encode_value(key) + b":" + bytes(raw) for key, raw in raws.items())
    return b"{" + b",".join(parts) + b"}"


def encode_value(value: object) -> bytes:
    """Return JSON as Go's encoder writes it: map keys sorted; `<`, `>`, `&`, U+2028/9 escaped."""
    data = msgspec.json.encode(value, order="deterministic")
    # These bytes stand for themselves only inside strings, so a plain replace is exact.
    for plain, escaped in _ESCAPES:
        data = data.replace(plain, escaped)
    return data


_ESCAPES: Final = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)
