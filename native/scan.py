"""Files of records taken apart in one pass: which are good for certain, and what is in them."""

from __future__ import annotations

import os

from holdfs.native._native import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

_SPAN_BYTES = 8
#: A record is no shorter than `{"id":""}`.
_LEAST_RECORD = 9
_MOST_MEMBERS = 64
_uncleared = ffi.new_allocator(should_clear_after_alloc=False)


def read(fd: int, size: int) -> bytes:
    """Return the first `size` bytes of a file, or as many as there are; raises OSError."""
    # Fresh pages, which nobody has touched; and nobody else has the object before it is filled.
    data = bytes(size)
    count: int = lib.hold_read(fd, ffi.from_buffer("char[]", data), size)
    if count < 0:
        raise OSError(-count, os.strerror(-count))
    return data if count == size else data[:count]


def scan_records(
    data: bytes, keys: bytes, columns: int
) -> tuple[memoryview, tuple[bytes, ...]] | None:
    """
    Return where each record of a JSON array is, and what its records have of the keys wanted.

    Args:
        keys: What a record may hold, as `hold_scan_records` has it.
        columns: How many of the keys are wanted.

    Returns:
        Begin and end of each record in turn, and a text in UTF-8 for each wanted key, a line a
        record. None for data that is damaged or of another shape, or where that can't be told for
        certain.
    """
    scanned = _scan(data, keys, columns)
    if scanned is None:
        return None
    spans, count, found, _texts = scanned
    return (
        memoryview(bytes(ffi.buffer(spans, count * _SPAN_BYTES))).cast("I"),
        tuple(bytes(ffi.buffer(column.text, column.size)) for column in found),
    )


def _scan(data: bytes, keys: bytes, columns: int) -> tuple[Any, int, Any, Sequence[Any]] | None:
    """Return spans, count of records, columns and what these are in, as C has them."""
    room = len(data) // _LEAST_RECORD + 1
    # As much as could be needed, not cleared: only what is filled becomes memory.
    spans = _uncleared("uint32_t[]", 2 * room)
    found = ffi.new("struct hold_column[]", columns)
    texts = [_uncleared("char[]", lib.hold_scan_room(len(data))) for _ in range(columns)]
    for column, text in zip(found, texts, strict=True):
        column.text = text
    count: int = lib.hold_scan_records(
        ffi.from_buffer("char[]", data), len(data), keys, spans, room, found
    )
    return None if count < 0 else (spans, count, found, texts)


def image_lines(data: bytes, keys: bytes) -> memoryview | None:
    """
    Return what `images` shows of a JSON array of images; None as `scan_records`, or for IDs twice.

    Args:
        keys: What an image may hold, these wanted: ID, names, digest, keys and digests of its data.
    """
    images = _scan_once(data, keys, 5)
    if images is None:
        return None
    _, found, _texts = images
    text = _room_for(found)
    return memoryview(ffi.buffer(text, lib.hold_image_lines(found, text)))


def layer_lines(
    layers: tuple[bytes, bytes], images: tuple[bytes, bytes], containers: tuple[bytes, bytes]
) -> memoryview | None:
    """
    Return what `layers` shows of three JSON arrays; None as `image_lines`, or for mapped layers.

    Args:
        layers: The array, and what a layer may hold, these wanted: ID, names.
        images: As well, of images: ID, layer, names, mapped layers.
        containers: As well, of containers: ID, layer, names.
    """
    used, ours, others = _scan_once(*layers, 2), _scan_once(*images, 4), _scan_once(*containers, 3)
    if used is None or ours is None or others is None:
        return None
    (_, found, _texts), (images_count, on, _), (containers_count, run, _) = used, ours, others
    # Each line of a column that has nothing is its end.
    if on[3].size != images_count:
        return None
    text = _room_for([*found, *on, *run])
    users = images_count + containers_count
    size: int = lib.hold_layer_lines(found, on, run, users, text)
    return None if size < 0 else memoryview(ffi.buffer(text, size))


def _scan_once(data: bytes, keys: bytes, columns: int) -> tuple[int, Any, Sequence[Any]] | None:
    """Return the count of records, columns and what these are in; None if an ID is there twice."""
    scanned = _scan(data, keys, columns)
    if scanned is None:
        return None
    _, count, found, texts = scanned
    return None if lib.hold_has_twice(found, count) != 0 else (count, found, texts)


def _room_for(columns: Iterable[Any]) -> Any:
    return _uncleared("char[]", lib.HOLD_LINES_GROWTH * sum(column.size for column in columns))


def scan_members(data: bytes) -> list[tuple[str, bytes]] | None:
    """Return a JSON object's members, the values as they stand there; None as `scan_records`."""
    spans = ffi.new("uint32_t[]", 4 * _MOST_MEMBERS)
    count: int = lib.hold_scan_members(data, len(data), spans, _MOST_MEMBERS)
    if count < 0:
        return None
    s: Sequence[int] = ffi.unpack(spans, 4 * count)
    return [
        (data[s[i] : s[i + 1]].decode(), data[s[i + 2] : s[i + 3]]) for i in range(0, 4 * count, 4)
    ]


def line_at(text: bytes, number: int) -> int:
    """Return where a line of a text begins, the text's length for one that is not there."""
    place: int = lib.hold_line_at(text, len(text), number)
    return place


def common_start(a: bytes | memoryview, b: bytes | memoryview) -> int:
    """Return how many bytes both begin with."""
    return _common(a, b, from_end=False)


def common_end(a: bytes | memoryview, b: bytes | memoryview) -> int:
    """Return how many bytes both end with."""
    return _common(a, b, from_end=True)


def _common(a: bytes | memoryview, b: bytes | memoryview, *, from_end: bool) -> int:
    size: int = lib.hold_common(ffi.from_buffer(a), len(a), ffi.from_buffer(b), len(b), from_end)
    return size


def shifted(spans: memoryview, delta: int) -> bytes:
    """Return the numbers, each with `delta` added, as they lie in memory."""
    moved = bytearray(spans)
    lib.hold_shift(ffi.from_buffer("uint32_t[]", moved), len(spans), delta)
    return bytes(moved)
