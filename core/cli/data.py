"""
The data items of layers, images and containers: names, content, size, digest.

A table of functions by command and kind, `get_of_image`, made below from one function a command.
"""

from __future__ import annotations

from holdfs.core.cli import output, reading_input
from holdfs.core.column import entries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from holdfs.core.cli.options import Given
    from holdfs.core.cli.program import Action
    from holdfs.core.sets import Kind
    from holdfs.core.store import Store


def _names(kind: Kind, store: Store, given: Given, arguments: list[str]) -> int:
    records = store.records(kind)
    record_id = store.full_id(kind, records, arguments[0])
    cells = records.cells(record_id, "big-data-names")
    names = records.one(record_id).big_data_names if cells is None else entries(cells[0])
    if given.flag("json"):
        output.out("null\n" if not names else output.json_text(names) + "\n")
    else:
        output.out("".join(f"{name}\n" for name in names))
    return 0


def _get(kind: Kind, store: Store, given: Given, arguments: list[str]) -> int:
    ref, key = arguments[:2]
    path = given.text("file")
    if not path:
        output.out_bytes(_content(kind, store, ref, key))
        return 0
    # Contract: the file is made before the item is looked for.
    with open(path, "wb") as file:
        file.write(_content(kind, store, ref, key))
    return 0


def _content(kind: Kind, store: Store, ref: str, key: str) -> bytes:
    from holdfs.core.errors import BigDataNotKnown

    record = _record(kind, store, ref)
    if kind == "containers":
        _refuse_no_key(key, "retrieve container big data value for")
    try:
        # Contract: no item has an empty name.
        if not key:
            raise BigDataNotKnown(kind.removesuffix("s"), record.id, key)
        return store.read_big_data(kind, record.id, key)
    except BigDataNotKnown as error:
        if kind != "containers":
            raise
        path = store.big_data_path(kind, record.id, key)
        raise FileNotFoundError(2, "No such file or directory", path) from error


def _size(kind: Kind, store: Store, given: Given, arguments: list[str]) -> int:
    from holdfs.core import usage

    ref, key = arguments[:2]
    record = _record(kind, store, ref)
    if kind == "containers":
        _refuse_no_key(key, "retrieve size of container big data with")
    # One number is the same in JSON.
    output.out(f"{usage.item_size(store, record, key)}\n")
    return 0


def _digest(kind: Kind, store: Store, given: Given, arguments: list[str]) -> int:
    from holdfs.core.errors import DigestNotKnown

    ref, key = arguments[:2]
    record = _record(kind, store, ref)
    if kind == "containers":
        _refuse_no_key(key, "retrieve digest of container big data value with")
    digest = record.big_data_digests.get(key)
    if digest is None:
        raise DigestNotKnown(f"{record.id} has no data item {key!r}")
    if given.flag("json"):
        output.json(digest)
    else:
        output.out(f"{digest}\n")
    return 0


def _set(kind: Kind, store: Store, given: Given, arguments: list[str]) -> int:
    from holdfs.core.errors import StoreReadOnly

    ref, key = arguments[:2]
    # Before the input is waited for.
    record_id = _record(kind, store, ref).id
    data = reading_input.bytes_of(given.text("file"))
    try:
        store.set_big_data(kind, record_id, key, data)
    except StoreReadOnly as error:
        # Contract: what only an additional store has is not there to be changed.
        raise _unknown(kind, ref) from error
    if given.flag("json"):
        output.json("")
    return 0


def _record(kind: Kind, store: Store, ref: str) -> Any:
    records = store.records(kind)
    return records.one(store.full_id(kind, records, ref))


def _unknown(kind: Kind, ref: str) -> Exception:
    from holdfs.core import errors

    if kind == "images":
        words = f'locating image with ID "{ref}": {errors.ImageNotKnown.base_words}'
        return errors.ImageNotKnown(ref, words=words)
    return errors.LayerNotKnown(ref) if kind == "layers" else errors.ContainerNotKnown(ref)


def _refuse_no_key(key: str, doing: str) -> None:
    from holdfs.core.errors import InvalidBigDataName

    if not key:
        raise InvalidBigDataName(
            "a data item needs a name",
            words=f"can't {doing} empty name: {InvalidBigDataName.base_words}",
        )


def _for(kind: Kind, action: Callable[[Kind, Store, Given, list[str]], int]) -> Action:
    return lambda store, given, arguments: action(kind, store, given, arguments)


names_of_layer = _for("layers", _names)
get_of_layer = _for("layers", _get)
set_of_layer = _for("layers", _set)
names_of_image = _for("images", _names)
get_of_image = _for("images", _get)
size_of_image = _for("images", _size)
digest_of_image = _for("images", _digest)
set_of_image = _for("images", _set)
names_of_container = _for("containers", _names)
get_of_container = _for("containers", _get)
size_of_container = _for("containers", _size)
digest_of_container = _for("containers", _digest)
set_of_container = _for("containers", _set)
