"""
Big data: files beside the record, one per key, replaced whole.

    G/D-images/<id>/=bWFuaWZlc3Qt…        spec 3.1 for the names, 3.2 for the order of writes

Images and containers record each item's size and digest; layers only its key.
"""

from __future__ import annotations

import os

from holdfs.core.atomic import write_atomic
from holdfs.core.errors import BigDataNotKnown, InvalidBigDataName
from holdfs.core.formats import bigdata
from holdfs.core.formats.records import Container, Image, Layer
from holdfs.core.ids import check_id, names_directory
from holdfs.core.lockfile import make_private_dir
from holdfs.native.light import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final, TypeVar

    R = TypeVar("R", Layer, Image, Container)

#: In an image's flags: its config and manifest are ours.
DESCRIBED: Final = "holdfs.described"


def item_path(set_dir: str, record_id: str, key: str) -> str:
    """
    Return the path of an item's file, there or not.

    Raises:
        InvalidValue: No files can be kept under the record's ID.
        InvalidBigDataName: Nor under this key.
    """
    check_id(record_id)
    return os.path.join(set_dir, record_id, bigdata.file_name(key))


def read_item(set_dir: str, kind: str, record: R, key: str) -> bytes:
    """
    Return an item's content.

    Raises:
        BigDataNotKnown: The record has no such item, or its file is gone.
    """
    path = item_path(set_dir, record.id, key)
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError as error:
        raise BigDataNotKnown(kind, record.id, key) from error


def write_item(set_dir: str, kind: str, record: R, key: str, data: bytes) -> R:
    """
    Replace an item's file and return the record as it is to be saved: the same if nothing differs.

    The caller holds the set's lock for writing, and saves after this.
    """
    path = _place(set_dir, kind, record, key)
    write_atomic(path, data)
    return with_item(record, key, data)


def _place(set_dir: str, kind: str, record: R, key: str) -> str:
    """Return the path of an item that is to be written; its directory is made."""
    if not key:
        raise InvalidBigDataName(
            f"a big-data item of a {kind} needs a name",
            words=f"can't set empty name for {kind} big data item: {InvalidBigDataName.base_words}",
        )
    path = item_path(set_dir, record.id, key)
    make_private_dir(os.path.dirname(path))
    return path


@contextmanager
def writing_item(set_dir: str, kind: str, record: R, key: str, data: bytes) -> Iterator[R]:
    """
    As `write_item`, for a record that is saved within the `with`: if that fails, the item is as it
    was before.
    """
    path = _place(set_dir, kind, record, key)
    # Another name for the old content, which needs no space: putting it back can't fail for that.
    directory, base = os.path.split(path)
    kept = os.path.join(directory, f".tmp-{base}{int.from_bytes(os.urandom(8), 'little') % 10**10}")
    try:
        os.link(path, kept)
    except FileNotFoundError:
        kept = ""
    is_replaced = False
    try:
        # The file before the record: who reads without a lock, and remembers, looks again when the
        # record changes.
        write_atomic(path, data)
        is_replaced = True
        yield with_item(record, key, data)
    except BaseException:
        if not is_replaced:
            if kept:
                os.unlink(kept)
        elif kept:
            os.rename(kept, path)
        else:
            _unlink(path)
        raise
    if kept:
        os.unlink(kept)


def with_item(record: R, key: str, data: bytes) -> R:
    """Return the record with this item noted: key, and where the kind has them size and digest."""
    keys = record.big_data_names if key in record.big_data_names else (*record.big_data_names, key)
    if isinstance(record, Layer):
        return record.replaced(big_data_names=keys)
    # Here, since what digests are made by takes long to import.
    from holdfs.core.formats import digests

    manifest = isinstance(record, Image) and digests.is_manifest(key)
    found = digests.manifest_digest(data) if manifest else digests.digest(data)
    if isinstance(record, Image) and manifest:
        # Set from the first manifest and then kept for good, as the Go tools do; one that was ours
        # is none.
        if not record.digest or DESCRIBED in record.flags:
            record = record.replaced(digest=found)
        flags = {name: value for name, value in record.flags.items() if name != DESCRIBED}
        record = record.replaced(flags=flags)
    return record.replaced(
        big_data_names=keys,
        big_data_sizes={**record.big_data_sizes, key: len(data)},
        big_data_digests={**record.big_data_digests, key: found},
    )


def without_item(record: R, key: str) -> R:
    """Return the record without this item."""
    keys = tuple(k for k in record.big_data_names if k != key)
    if isinstance(record, Layer):
        return record.replaced(big_data_names=keys)
    return record.replaced(
        big_data_names=keys,
        big_data_sizes={k: v for k, v in record.big_data_sizes.items() if k != key},
        big_data_digests={k: v for k, v in record.big_data_digests.items() if k != key},
    )


def remove_items(set_dir: str, record_id: str) -> None:
    """
    Delete all big data of a record that is gone; none there is no error.

    What is mounted in there (a container's /dev/shm, in its `userdata`) is unmounted first.
    """
    # An ID that names no directory never had any: the path would be that of others.
    if names_directory(record_id) and os.path.lexists(os.path.join(set_dir, record_id)):
        from holdfs.drivers.removing import remove_with_mounts

        remove_with_mounts(set_dir, record_id)


def remove_item(set_dir: str, record_id: str, key: str) -> None:
    """Delete one item's file; not there is no error."""
    _unlink(item_path(set_dir, record_id, key))


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
