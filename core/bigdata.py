"""
Big data: files beside the record, one per key, replaced whole.

    G/D-images/<id>/=bWFuaWZlc3Qt…        spec 3.1 for the names, 3.2 for the order of writes

Images and containers record each item's size and digest; layers only its key.
"""

import os
from typing import assert_never

import msgspec

from holdfs.core.atomic import write_atomic
from holdfs.core.errors import BigDataNotKnown, InvalidBigDataName
from holdfs.core.formats import bigdata, digests
from holdfs.core.formats.records import Container, Image, Layer
from holdfs.core.lockfile import make_private_dir

AnyRecord = Layer | Image | Container


def item_path(set_dir: str, record_id: str, key: str) -> str:
    """Return the path of an item's file, there or not."""
    return os.path.join(set_dir, record_id, bigdata.file_name(key))


def read_item(set_dir: str, kind: str, record: AnyRecord, key: str) -> bytes:
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


def write_item(set_dir: str, kind: str, record: AnyRecord, key: str, data: bytes) -> AnyRecord:
    """
    Replace an item's file and return the record as it is to be saved: the same if nothing differs.

    The caller holds the set's lock for writing, and saves after this.
    """
    if not key:
        raise InvalidBigDataName(
            f"a big-data item of a {kind} needs a name",
            words=f"can't set empty name for {kind} big data item: "
            f"{InvalidBigDataName.base_words}",
        )
    path = item_path(set_dir, record.id, key)
    make_private_dir(os.path.dirname(path))
    write_atomic(path, data)
    return with_item(record, key, data)


def with_item(record: AnyRecord, key: str, data: bytes) -> AnyRecord:
    """Return the record with this item noted: key, and where the kind has them size and digest."""
    keys = record.big_data_names if key in record.big_data_names else (*record.big_data_names, key)
    match record:
        case Layer():
            return msgspec.structs.replace(record, big_data_names=keys)
        case Image():
            manifest = digests.is_manifest(key)
            found = digests.manifest_digest(data) if manifest else digests.digest(data)
            return msgspec.structs.replace(
                record,
                big_data_names=keys,
                big_data_sizes={**record.big_data_sizes, key: len(data)},
                big_data_digests={**record.big_data_digests, key: found},
                # Set from the first manifest and then kept for good, as the Go tools do.
                digest=record.digest or (found if manifest else ""),
            )
        case Container():
            return msgspec.structs.replace(
                record,
                big_data_names=keys,
                big_data_sizes={**record.big_data_sizes, key: len(data)},
                big_data_digests={**record.big_data_digests, key: digests.digest(data)},
            )
        case _:
            assert_never(record)


def without_item(record: AnyRecord, key: str) -> AnyRecord:
    """Return the record without this item."""
    keys = tuple(k for k in record.big_data_names if k != key)
    if isinstance(record, Layer):
        return msgspec.structs.replace(record, big_data_names=keys)
    return msgspec.structs.replace(
        record,
        big_data_names=keys,
        big_data_sizes={k: v for k, v in record.big_data_sizes.items() if k != key},
        big_data_digests={k: v for k, v in record.big_data_digests.items() if k != key},
    )
