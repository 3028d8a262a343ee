"""
Images out to files: an OCI layout of uncompressed layers, on one stream or as a directory.

    oci-layout  index.json  blobs/sha256/<hex>      manifest, config, each layer once
"""

from __future__ import annotations

import os
import secrets
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

from holdfs.core import oci
from holdfs.core.config import absolute
from holdfs.core.formats.digests import digest
from holdfs.core.formats.records import Layer
from holdfs.core.imagelayout import image_layout
from holdfs.core.store import Store

if TYPE_CHECKING:
    from holdfs.native.tarout import OutProgress


class _Layout(Protocol):
    """Where the files of a layout go."""

    def add(self, name: str, data: bytes) -> None:
        """Write a small file."""

    def large(self, name: str, size: int) -> AbstractContextManager[int]:
        """Give a descriptor that exactly `size` bytes are to be written to."""


def export_image(
    store: Store, ref: str, output_fd: int, *, progress: OutProgress | None = None
) -> None:
    """
    Write an image as a tar of an OCI layout.

    Layers that were never given a digest are given one first.

    Args:
        progress: Is filled meanwhile.

    Raises:
        ImageNotKnown.
        OSError: A layer is not what it was, or the output failed; a part is written then.
    """
    _export(store, ref, _Tar(output_fd), progress)
    _write_all(output_fd, bytes(2 * tarfile.BLOCKSIZE))


def export_directory(
    store: Store, ref: str, path: str, *, progress: OutProgress | None = None
) -> None:
    """
    Make the directory `path` of an OCI layout that holds an image; a failure leaves nothing of it.

    Raises:
        As `export_image`.
        OSError: ENOTEMPTY, ENOTDIR: There is something at `path` already.
    """
    path = absolute(path)
    above, name = os.path.split(path)
    being_made = os.path.join(above, f".{name}-{secrets.token_hex(4)}")
    os.mkdir(being_made)
    try:
        _export(store, ref, _Directory(being_made), progress)
        # Over a directory only if that is empty, says rename(2).
        os.rename(being_made, path)
    except BaseException:
        shutil.rmtree(being_made)
        raise


def _export(store: Store, ref: str, layout: _Layout, progress: OutProgress | None) -> None:
    images = store.images.current()
    image_id = store.full_id("images", images, ref)
    # An image that is to leave the store is sealed whole: what its layers hold now.
    if top := images.one(image_id).layer:
        store.seal_chain(top)
    found = image_layout(store, image_id)
    layout.add("oci-layout", oci.LAYOUT)
    layout.add("index.json", found.index)
    layout.add(_blob(digest(found.manifest)), found.manifest)
    layout.add(_blob(digest(found.config)), found.config)
    for layer in {layer.diff_digest: layer for layer in found.layers}.values():
        _write_layer(store, layout, layer, progress)


def _write_layer(store: Store, layout: _Layout, layer: Layer, progress: OutProgress | None) -> None:
    from holdfs.native.untar import Compression

    with layout.large(_blob(layer.diff_digest), layer.diff_size) as fd:
        written = store.write_diff(layer.id, fd, compression=Compression.NONE, progress=progress)
        if written.size != layer.diff_size:
            raise OSError(5, f"layer {layer.id}: {written.size} bytes instead of {layer.diff_size}")


def _blob(of: str) -> str:
    algorithm, _, digits = of.partition(":")
    return f"blobs/{algorithm}/{digits}"


class _Tar:
    """The layout as one tar."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def add(self, name: str, data: bytes) -> None:
        padding = bytes(-len(data) % tarfile.BLOCKSIZE)
        _write_all(self._fd, _header(name, len(data)) + data + padding)

    @contextmanager
    def large(self, name: str, size: int) -> Iterator[int]:
        _write_all(self._fd, _header(name, size))
        yield self._fd
        _write_all(self._fd, bytes(-size % tarfile.BLOCKSIZE))


class _Directory:
    """The layout as a directory that is empty."""

    def __init__(self, path: str) -> None:
        self._path = path

    def add(self, name: str, data: bytes) -> None:
        with self.large(name, len(data)) as fd:
            _write_all(fd, data)

    @contextmanager
    def large(self, name: str, size: int) -> Iterator[int]:
        path = os.path.join(self._path, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            yield fd
        finally:
            os.close(fd)


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.PAX_FORMAT)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
