"""
Names of objects: unique within a kind, taken away by whoever sets them, refused only at creation.

Source: containers/storage, store.go updateNames; spec 5.
"""

from __future__ import annotations

from holdfs.core.column import entries
from holdfs.core.errors import (
    ContainerNotKnown,
    DuplicateId,
    DuplicateName,
    ImageNotKnown,
    InvalidValue,
    LayerNotKnown,
    NotKnown,
)
from holdfs.core.formats.shapes import IMAGES
from holdfs.core.ids import check_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from holdfs.core.formats.generic import R
    from holdfs.core.reading import Records
    from holdfs.core.recordset import Edit


def distinct(names: Iterable[str]) -> tuple[str, ...]:
    """
    Return the names without doubles, first occurrences kept.

    Raises:
        InvalidValue: One can't be written as JSON text.
    """
    result = tuple(dict.fromkeys(names))
    for name in result:
        if not name.isprintable():
            check_text(name)
    return result


def check_text(text: str) -> str:
    """Return `text` if it is valid Unicode, which JSON needs; else raise InvalidValue."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidValue(f"{text!r} is not valid UTF-8") from error
    return text


def check_free(records: Records[R], kind: str, record_id: str, names: Sequence[str]) -> None:
    """
    Raise unless a new record may have this ID (if not empty) and these names.

    Raises:
        DuplicateId, DuplicateName: In the Go tools' words for the kind.
        InvalidValue: No files can be kept under the ID.
    """
    if record_id:
        check_id(record_id)
        # An additional store may have the same ID: the new record shadows it.
        if record_id in records and not records.is_read_only(record_id):
            wrapped = f'an image with ID "{record_id}" already exists: ' if kind == "image" else ""
            raise DuplicateId(
                f"there is a {kind} {record_id} already",
                words=f"{wrapped}{DuplicateId.base_words}",
            )
    for name in names:
        owner = records.owner(name)
        if owner is not None and not records.is_read_only(owner):
            raise DuplicateName(
                f"{kind} {owner} has the name {name!r}; choose another, or drop it there first",
                words=_NAME_IN_USE.get(kind, "{}").format(
                    DuplicateName.base_words, name=name, owner=owner
                ),
            )


_UNKNOWN: dict[str, type[NotKnown]] = {
    "layer": LayerNotKnown,
    "image": ImageNotKnown,
    "container": ContainerNotKnown,
}
_NAME_IN_USE = {
    "image": 'image name "{name}" is already associated with image "{owner}": {}',
    "container": 'the container name "{name}" is already in use by {owner}. You have to remove '
    "that container to be able to reuse that name: {}",
}


def set_names(edit: Edit[R], record_id: str, names: Iterable[str]) -> tuple[str, ...]:
    """
    Give the record exactly these names, taken from whoever has them, and return them.

    An image's history gets each of them at its front, so the last one is first there.
    """
    wanted = distinct(names)
    for name in wanted:
        owner = edit.records.owner(name)
        if owner is not None and owner != record_id and not edit.records.is_read_only(owner):
            names_left = edit.records.names_of(owner)
            kept = tuple(other for other in names_left if other not in wanted)
            edit.change(owner, {"names": kept})
    if edit.records.shape.name == IMAGES.name:
        before = _history(edit.records, record_id)
        history = tuple(dict.fromkeys((*reversed(wanted), *before)))
        if wanted != edit.records.names_of(record_id) or history != before:
            edit.change(record_id, {"names": wanted, "names-history": history})
    elif wanted != edit.records.names_of(record_id):
        edit.change(record_id, {"names": wanted})
    return wanted


def _history(records: Records[R], record_id: str) -> tuple[str, ...]:
    cells = records.cells(record_id, "names-history")
    if cells is not None:
        return entries(cells[0])
    found: tuple[str, ...] = records.one(record_id).names_history  # type: ignore[attr-defined]
    return found


def add_names(edit: Edit[R], record_id: str, names: Iterable[str]) -> tuple[str, ...]:
    """Give the record these names before its own, and return all of them."""
    return set_names(edit, record_id, (*names, *edit.records.names_of(record_id)))


def append_names(edit: Edit[R], record_id: str, names: Iterable[str]) -> tuple[str, ...]:
    """
    Give the record these names after its own, and return all of them.

    What the mounted tree does: the first name is the one that tools show, and `echo b >> names`
    must not change it.
    """
    return set_names(edit, record_id, (*edit.records.names_of(record_id), *names))


def remove_names(edit: Edit[R], record_id: str, names: Iterable[str]) -> tuple[str, ...]:
    """Take these names from the record, which may not have them, and return what is left."""
    dropped = frozenset(names)
    old = edit.records.names_of(record_id)
    return set_names(edit, record_id, (name for name in old if name not in dropped))


def rename(edit: Edit[R], kind: str, old: str, new: str, *, replace: bool) -> str:
    """Put the name `new` where `old` is in its owner's list, and return the owner's full ID."""
    owner = edit.records.owner(old)
    if owner is None:
        raise _UNKNOWN[kind](old)
    holder = edit.records.owner(new)
    if holder is not None and holder != owner and not replace:
        check_free(edit.records, kind, "", (new,))
    wanted = (new if name == old else name for name in edit.records.names_of(owner))
    set_names(edit, owner, wanted)
    return owner
