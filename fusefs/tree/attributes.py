"""
The entries of an object's directory, as a table: which kinds have them, and what they show.

A row says what; the nodes in `objects` say how. Rows stand in the order of a listing: `id`, other
plain attributes, links, directories, `big-data/` last. (spec/tree.md, Object directories)
"""

import errno
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from holdfs.core.errors import StoreDamaged
from holdfs.core.formats.records import IdMap, Image, Layer
from holdfs.fusefs.tree import health, making
from holdfs.fusefs.tree.diffs import damage_of
from holdfs.fusefs.tree.encoding import encode_line
from holdfs.fusefs.tree.node import KINDS, Kind
from holdfs.fusefs.tree.view import Subject

L: Final = frozenset[Kind]({"layers"})
I: Final = frozenset[Kind]({"images"})  # noqa: E741 - beside L and C it is read as what it is
C: Final = frozenset[Kind]({"containers"})


@dataclass(frozen=True, slots=True)
class Text:
    """
    A plain attribute: text rendered from the record.

    Attributes:
        render: The whole file; None if the object has no such attribute.
        needs_record: False for what can be shown of an object whose record is damaged.
    """

    name: str
    kinds: frozenset[Kind]
    render: Callable[[Subject], str | None]
    is_writable: bool = False
    needs_record: bool = True


@dataclass(frozen=True, slots=True)
class Computed:
    """
    Text that takes a look at the disk: worked out when it is opened, and shown with size 0.

    Attributes:
        is_long: That may take long.
        on_damage: What is shown of an object whose record is damaged; None for its error.
    """

    name: str
    kinds: frozenset[Kind]
    compute: Callable[[Subject], bytes]
    is_long: bool = False
    on_damage: Callable[[StoreDamaged], bytes] | None = None


@dataclass(frozen=True, slots=True)
class Relation:
    """
    A link to another object.

    Attributes:
        target: Its kind and ID, there or not; None if the relation is not set.
        set: Stores the relation, where it can be made: (subject, ID of the target).
    """

    name: str
    kinds: frozenset[Kind]
    to: Kind
    target: Callable[[Subject], str | None]
    set: Callable[[Subject, str], None] | None = None


@dataclass(frozen=True, slots=True)
class Inner:
    """A link to an entry of the object's own `big-data/`, by its key; None if it can't be told."""

    name: str
    kinds: frozenset[Kind]
    key: Callable[[Subject], str | None]


@dataclass(frozen=True, slots=True)
class Outer:
    """
    A link out of the mount.

    Attributes:
        exists: Looks at the record only.
        target: Absolute path; may mount, make or look for something on the disk.
    """

    name: str
    kinds: frozenset[Kind]
    exists: Callable[[Subject], bool]
    target: Callable[[Subject], str]


@dataclass(frozen=True, slots=True)
class Aside:
    """
    A link to the object in a directory that is not listed, and has all of its kind.

    Attributes:
        directory: Its path below the root, `{kind}` for the object's.
        exists: Looks at the mount and the record only.
    """

    name: str
    kinds: frozenset[Kind]
    directory: str
    exists: Callable[[Subject], bool] = lambda _: True


@dataclass(frozen=True, slots=True)
class Members:
    """
    A directory of links to related objects, under their IDs.

    Attributes:
        has: Whether an object of the kind is among them: (subject, its ID).
        make: Makes a related object: (subject, name as typed), returns its ID.
    """

    name: str
    kinds: frozenset[Kind]
    of: Kind
    members: Callable[[Subject], Sequence[str]]
    has: Callable[[Subject, str], bool]
    make: Callable[[Subject, str], str] | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """The directory of an image's layers, numbered, base first."""

    name: str
    kinds: frozenset[Kind]


@dataclass(frozen=True, slots=True)
class DiffTar:
    """The file that is a layer's diff."""

    name: str
    kinds: frozenset[Kind]


@dataclass(frozen=True, slots=True)
class Sizes:
    """The directory of what the object takes."""

    name: str
    kinds: frozenset[Kind]


@dataclass(frozen=True, slots=True)
class BigData:
    """The directory of big-data items."""

    name: str
    kinds: frozenset[Kind]


Row = (
    Text | Computed | DiffTar | Relation | Inner | Outer | Aside | Members | Chain | Sizes | BigData
)


# -- what they show ----------------------------------------------------------------------------


def _value(text: str) -> str:
    """A value has one newline after it, which is taken off what is written."""
    return f"{text}\n"


def _known(text: str) -> str | None:
    return _value(text) if text else None


def _lines(values: Iterable[str]) -> str:
    return "".join(f"{encode_line(value)}\n" for value in values)


def _json(value: object) -> str:
    return _value(msgspec.json.encode(value, order="sorted").decode())


def _id_maps(maps: Sequence[IdMap]) -> str | None:
    return "".join(f"{m.container_id} {m.host_id} {m.size}\n" for m in maps) or None


def _compressed_size(subject: Subject) -> str | None:
    layer: Layer = subject.record
    return _value(str(layer.compressed_size)) if layer.compressed_diff_digest else None


def _diff_size(subject: Subject) -> str | None:
    layer: Layer = subject.record
    return _value(str(layer.diff_size)) if layer.diff_digest else None


_COMPRESSIONS: Final = ("none", "bzip2", "gzip", "xz", "zstd")


def _compression(subject: Subject) -> str | None:
    layer: Layer = subject.record
    if not layer.compressed_diff_digest:
        return None
    known = 0 <= layer.compression < len(_COMPRESSIONS)
    return _value(_COMPRESSIONS[layer.compression] if known else str(layer.compression))


def _layer_id(subject: Subject) -> str:
    return subject.id if subject.kind == "layers" else subject.record.layer


def _mount_count(subject: Subject) -> str:
    mounted = subject.view.snapshot.mounts.get(_layer_id(subject))
    return _value(str(mounted.count if mounted else 0))


def _read_only(subject: Subject) -> str:
    return _value(str(int(subject.view.records(subject.kind).is_read_only(subject.id))))


def _info(subject: Subject) -> str:
    # The record's own bytes: keys that we don't know are shown too.
    raw = subject.view.records(subject.kind).raw(subject.id)
    return _value(msgspec.json.format(bytes(raw), indent=2).decode())


# -- relations ---------------------------------------------------------------------------------


def _set_parent(subject: Subject, target: str) -> None:
    # That somebody looked through our own mount puts nothing in the layer.
    subject.view.tree.automount.release("layers", subject.id)
    subject.view.tree.store.set_parent(subject.id, target)


def _set_top_layer(subject: Subject, target: str) -> None:
    subject.view.tree.store.set_top_layer(subject.id, target)


def _set_image(subject: Subject, target: str) -> None:
    subject.view.tree.automount.release("containers", subject.id)
    subject.view.tree.store.set_image(subject.id, target)


def _config_key(subject: Subject) -> str | None:
    image: Image = subject.record
    # By convention an image's ID is the digest of its config.
    key = f"sha256:{image.id}"
    if key in image.big_data_names:
        return key
    digests = [key for key in image.big_data_names if key.startswith("sha256:")]
    return digests[0] if len(digests) == 1 else None


def _manifest_key(subject: Subject) -> str | None:
    return "manifest" if "manifest" in subject.record.big_data_names else None


def _children(subject: Subject) -> Sequence[str]:
    return subject.view.snapshot.children(subject.id)


def _images_on(subject: Subject) -> Sequence[str]:
    return subject.view.snapshot.images_on(subject.id)


def _containers_on(subject: Subject) -> Sequence[str]:
    return subject.view.snapshot.containers_on(subject.id)


def _containers_of(subject: Subject) -> Sequence[str]:
    return subject.view.snapshot.containers_of(subject.id)


def _has_child(subject: Subject, layer_id: str) -> bool:
    return bool(subject.view.snapshot.layers.head(layer_id).parent == subject.id)


def _has_image(subject: Subject, image_id: str) -> bool:
    head = subject.view.snapshot.images.head(image_id)
    return head.layer == subject.id or subject.id in head.mapped_layers


def _is_layer_of(subject: Subject, container_id: str) -> bool:
    return bool(subject.view.snapshot.containers.head(container_id).layer == subject.id)


def _has_container(subject: Subject, container_id: str) -> bool:
    return bool(subject.view.snapshot.containers.head(container_id).image == subject.id)


def _rootfs(subject: Subject) -> str:
    return subject.view.tree.automount.target(subject.kind, subject.id)


def _container_dir(subject: Subject) -> str:
    store = subject.view.tree.store
    if subject.view.tree.settings.read_only:
        # Not made then.
        return os.path.join(store.new_data_dir("containers"), subject.id, "userdata")
    return store.container_dir(subject.id)


def _container_run_dir(subject: Subject) -> str:
    store = subject.view.tree.store
    if subject.view.tree.settings.read_only:
        directory = os.path.join(store.run_root, f"{store.driver.name}-containers")
        return os.path.join(directory, subject.id, "userdata")
    return store.container_run_dir(subject.id)


def _has_files(subject: Subject) -> bool:
    return subject.view.tree.settings.files and bool(_layer_id(subject))


def _changes(subject: Subject) -> bytes:
    with damage_of(subject.id):
        changes = subject.view.tree.store.changes(subject.id)
    # Bytes that are no UTF-8 are shown as they are in the names of files.
    return b"".join(os.fsencode(f"{c.kind} {encode_line(c.path)}\n") for c in changes)


def _diff(subject: Subject) -> str:
    path = subject.view.tree.store.driver.diff_path(subject.id)
    if not path:
        raise FileNotFoundError(errno.ENOENT, "the driver has no directory of its own for a layer")
    return path


def _has_diff(subject: Subject) -> bool:
    return bool(subject.view.tree.store.driver.diff_path(subject.id))


# -- the table ---------------------------------------------------------------------------------

ROWS: Final[tuple[Row, ...]] = (
    Text("id", L | I | C, lambda s: _value(s.id), needs_record=False),
    Text("names", L | I | C, lambda s: _lines(s.record.names), is_writable=True),
    Text("metadata", L | I | C, lambda s: _value(s.record.metadata), is_writable=True),
    Text("created", L | I | C, lambda s: _value(s.record.created)),
    Text("flags", L | C, lambda s: _json(s.record.flags)),
    Text("read-only", L | I, _read_only, needs_record=False),
    Text("digest", I, lambda s: _value(s.record.digest)),
    Text("digests", I, lambda s: _lines(s.record.digests)),
    Text("names-history", I, lambda s: _lines(s.record.names_history)),
    Text("compressed-diff-digest", L, lambda s: _known(s.record.compressed_diff_digest)),
    Text("compressed-size", L, _compressed_size),
    Text("compression", L, _compression),
    Text("diff-digest", L, lambda s: _known(s.record.diff_digest)),
    Text("diff-size", L, _diff_size),
    Text("toc-digest", L, lambda s: _known(s.record.toc_digest)),
    Text("uidmap", L | C, lambda s: _id_maps(s.record.uidmap)),
    Text("gidmap", L | C, lambda s: _id_maps(s.record.gidmap)),
    Text("mount-count", L | C, _mount_count),
    Text("info.json", L | I | C, _info, needs_record=False),
    Computed("health", L | I | C, health.report, on_damage=health.broken),
    Computed("changes", L, _changes, is_long=True),
    DiffTar("diff.tar", L),
    Relation("parent", L, "layers", lambda s: s.record.parent or None, _set_parent),
    Relation("top-layer", I, "layers", lambda s: s.record.layer or None, _set_top_layer),
    Relation("image", C, "images", lambda s: s.record.image or None, _set_image),
    Relation("layer", C, "layers", lambda s: s.record.layer or None),
    Inner("manifest", I, _manifest_key),
    Inner("config", I, _config_key),
    Aside("oci", I, ".oci"),
    Outer("diff", L, _has_diff, _diff),
    Outer("dir", C, lambda s: True, _container_dir),
    Outer("run-dir", C, lambda s: True, _container_run_dir),
    Outer("rootfs", L | I | C, lambda s: bool(_layer_id(s)), _rootfs),
    Aside("files", L | I | C, ".files/{kind}", _has_files),
    Members("children", L, "layers", _children, _has_child, making.child_layer),
    Members("images", L, "images", _images_on, _has_image, making.image_on),
    Members("containers", L, "containers", _containers_on, _is_layer_of),
    Members("containers", I, "containers", _containers_of, _has_container, making.container_of),
    Chain("layers", I),
    Sizes("size", L | I | C),
    BigData("big-data", L | I | C),
)


def _of_kind(kind: Kind) -> dict[str, Row]:
    return {row.name: row for row in ROWS if kind in row.kinds}


#: The rows of each kind by name, in the order of a listing.
ROWS_OF: Final[dict[Kind, dict[str, Row]]] = {kind: _of_kind(kind) for kind in KINDS}


def is_present(row: Row, subject: Subject) -> bool:
    """Whether the object has this entry."""
    match row:
        case Text():
            return row.render(subject) is not None
        case Relation():
            return row.target(subject) is not None
        case Inner():
            return row.key(subject) is not None
        case Outer() | Aside():
            return row.exists(subject)
        case _:
            return True
