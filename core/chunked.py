"""
A directory as a layer with a table of contents, as one pulled in pieces has it.

    directory ──► tar, in a file without a name ──► table of contents   each file and its digest
                                                └─► layer               unpacked as any stream
    record: diff-digest, diff-size, toc-digest, uidset, gidset
    data:   zstd-chunked-manifest (the table), zstd-chunked-layer-data

Source: containers/storage, pkg/chunked; spec cli 5.1, applydiff-using-staging-dir.
"""

import base64
import hashlib
import os
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from holdfs.core.errors import LayerNotKnown, StoreError
from holdfs.core.formats.digests import digest
from holdfs.core.formats.records import Layer
from holdfs.core.store import Store
from holdfs.native.treediff import DiffOf, tar_from_diff
from holdfs.native.untar import Progress

MANIFEST_KEY: Final = "zstd-chunked-manifest"
LAYER_DATA_KEY: Final = "zstd-chunked-layer-data"
#: Format 0: the layer is a directory of its files by name.
_LAYER_DATA: Final = b'{"format":0}'

_CHUNK: Final = 1 << 20
#: The years 1 and 9999 begin and end.
_FIRST_S: Final = -62135596800
_LAST_S: Final = 253402300799
_TYPES: Final = {
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}
_XATTR: Final = "SCHILY.xattr."


class PartialImagesDisabled(StoreError):
    """The configuration does not ask for layers with tables of contents."""

    base_words = "partial images are disabled"

    def __init__(self) -> None:
        super().__init__(
            'partial images are disabled: set enable_partial_images = "true" '
            "in storage.options.pull_options",
            words=self.base_words,
        )


class NeedsOverlay(StoreError):
    """Only the overlay driver keeps such layers."""

    base_words = "not supported"


def apply_directory(
    store: Store, ref: str, directory: str, *, progress: Progress | None = None
) -> Layer:
    """
    Put what is in a directory into a layer, which is made with this ID if it is not there.

    Raises:
        PartialImagesDisabled, NeedsOverlay.
        OSError: The directory is none, or can't be read.
        As Store.apply_diff and Store.import_layer.
    """
    if dict(store.options.pull_options).get("enable_partial_images", "").lower() != "true":
        raise PartialImagesDisabled
    if store.driver.name != "overlay":
        raise NeedsOverlay(f"the {store.driver.name} driver keeps no tables of contents")
    spool_fd = os.open(store.graph_root, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        _pack(directory, spool_fd)
        table = _table_of_contents(spool_fd)
        os.lseek(spool_fd, 0, os.SEEK_SET)
        layer_id = _unpack(store, ref, spool_fd, progress)
    finally:
        os.close(spool_fd)
    store.set_big_data("layers", layer_id, MANIFEST_KEY, table)
    store.set_big_data("layers", layer_id, LAYER_DATA_KEY, _LAYER_DATA)
    with store.layers.edit() as edit:
        # No blob was there that could have had a digest.
        layer = edit.records.one(layer_id).replaced(
            toc_digest=digest(table),
            compressed_diff_digest="",
            compressed_size=0,
        )
        edit.replace(layer)
    return layer


def _unpack(store: Store, ref: str, source_fd: int, progress: Progress | None) -> str:
    try:
        return store.apply_diff(ref, source_fd, progress=progress).id
    except LayerNotKnown:
        return store.import_layer(source_fd, layer_id=ref, progress=progress).id


def _pack(directory: str, output_fd: int) -> None:
    directory_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        tar_from_diff(DiffOf(new_fd=directory_fd), output_fd)
    finally:
        os.close(directory_fd)


def _table_of_contents(tar_fd: int) -> bytes:
    os.lseek(tar_fd, 0, os.SEEK_SET)
    with (
        open(tar_fd, "rb", closefd=False) as file,
        tarfile.open(fileobj=file, encoding="utf-8", errors="surrogateescape") as archive,
    ):
        entries = list(_entries(archive))
    return msgspec.json.encode({"version": 1, "entries": entries})


def _entries(archive: tarfile.TarFile) -> Iterator[dict[str, Any]]:
    for member in archive:
        # File systems know years that a time in JSON can't have.
        seconds = min(max(int(member.mtime // 1), _FIRST_S), _LAST_S)
        modified = datetime.fromtimestamp(seconds, UTC)
        entry: dict[str, Any] = {
            "type": _TYPES.get(member.type, "reg"),
            "name": _text(member.name),
            "linkName": _text(member.linkname),
            "mode": member.mode,
            "size": member.size,
            "uid": member.uid,
            "gid": member.gid,
            "modtime": modified.isoformat().replace("+00:00", "Z"),
            "devMajor": member.devmajor,
            "devMinor": member.devminor,
            "xattrs": {
                key.removeprefix(_XATTR): _base64(value)
                for key, value in member.pax_headers.items()
                if key.startswith(_XATTR)
            },
        }
        if member.isreg() and member.size:
            entry["digest"] = _sum(archive, member)
        # Source: omitempty, but for the first two.
        yield {key: value for key, value in entry.items() if value or key in ("type", "name")}


def _sum(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    found = hashlib.sha256()
    file = archive.extractfile(member)
    assert file is not None
    while chunk := file.read(_CHUNK):
        found.update(chunk)
    return f"sha256:{found.hexdigest()}"


def _text(name: str) -> str:
    """Return a name as JSON can hold it: what is no UTF-8 becomes U+FFFD, as with Go."""
    return os.fsencode(name).decode("utf-8", "replace")


def _base64(value: str) -> str:
    return base64.b64encode(value.encode("utf-8", "surrogateescape")).decode()
