"""
The lines of a tar-split: what a layer's tar was, without the content of its files.

    {"type":2,"payload":"…","position":0}                              bytes of the tar
    {"type":1,"name":"etc/motd","size":6,"payload":"…","position":1}   a member, its size and sum

The engine in `native` reads and writes whole files of them; this is for looking at single entries.
Source: vbatts/tar-split, tar/storage/entry.go; spec/store-format.md 4.1.
"""

import base64
import binascii
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from holdfs.core.errors import InvalidValue

_FILE: Final = 1
_SEGMENT: Final = 2


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes of the tar that are in no file: headers, padding, the end."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Member:
    """A member; its content is in the file of that name, unless `size` is 0."""

    #: As in the tar: `./etc/`, `bin/a`. Undecodable bytes as with os.fsdecode.
    name: str
    size: int
    #: CRC-64/GO-ISO of the content, 0 if there is none.
    crc: int


def parse_lines(lines: Iterable[bytes]) -> Iterator[Segment | Member]:
    """
    Give the entries of a decompressed tar-split, in order.

    Raises:
        InvalidValue: A line is none.
    """
    for position, line in enumerate(lines):
        try:
            entry = json.loads(line)
            yield _segment(entry) if entry["type"] == _SEGMENT else _member(entry)
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidValue(f"line {position} of a tar-split is damaged: {error}") from error


def _segment(entry: dict[str, Any]) -> Segment:
    return Segment(_decode(entry.get("payload")))


def _member(entry: dict[str, Any]) -> Member:
    if entry["type"] != _FILE:
        raise ValueError(f"unknown type {entry['type']!r}")
    raw = entry.get("name_raw")
    name = os.fsdecode(_decode(raw)) if raw else str(entry.get("name", ""))
    size = int(entry.get("size", 0))
    crc = _decode(entry.get("payload"))
    if size and len(crc) != 8:
        raise ValueError("the sum has not 8 bytes")
    return Member(name, size, int.from_bytes(crc, "big") if size else 0)


def _decode(text: str | None) -> bytes:
    try:
        return base64.b64decode(text or "", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
