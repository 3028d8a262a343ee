"""
Images in from files, without any other tool; core.imageexport is the way out.

    layers that the store lacks, one by one, then the record with config and manifest
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from holdfs.core import oci
from holdfs.core.errors import DuplicateId, StoreError
from holdfs.core.formats.digests import digest
from holdfs.core.formats.records import Image
from holdfs.core.imagesource import Files, ImageSource, LayerSource, find
from holdfs.core.store import Store

if TYPE_CHECKING:
    from holdfs.native.untar import Progress


def import_image(
    store: Store,
    files: Files,
    names: Sequence[str] = (),
    *,
    progress: Progress | None = None,
) -> Image:
    """
    Make the image that the files hold; one that is there already gets the names.

    Args:
        names: Instead of those in the files.
        progress: Is filled meanwhile.

    Raises:
        NoImage: The files hold none.
        DamagedStream, InvalidDigest: A layer is not what it was to be.
    """
    source = find(files)
    wanted = tuple(names) or source.names
    made: list[str] = []
    try:
        top = ""
        for layer in source.layers:
            top = _layer(store, files, layer, top, made, progress)
        return _record(store, source, top, wanted)
    except BaseException:
        for layer_id in reversed(made):
            try:
                store.delete_layer(layer_id)
            except StoreError:
                break  # somebody has come to use it
        raise


def _layer(
    store: Store,
    files: Files,
    layer: LayerSource,
    parent: str,
    made: list[str],
    progress: Progress | None,
) -> str:
    """Return the ID of the layer, made if the store lacks it."""
    digits = layer.diff_digest.partition(":")[2]
    # As the image library names them, so that podman finds them again: spec 3.4.
    layer_id = hashlib.sha256(f"{parent}+{digits}".encode()).hexdigest() if parent else digits
    if _has(store, layer_id, layer.diff_digest, parent):
        return layer_id
    with files.stream(layer.name) as source_fd:
        try:
            store.import_layer(
                source_fd,
                parent=parent,
                layer_id=layer_id,
                compressed_digest=layer.digest,
                uncompressed_digest=layer.diff_digest,
                read_only=True,
                progress=progress,
            )
        except DuplicateId:
            # Another program was quicker, unless the ID was given to something else.
            if _has(store, layer_id, layer.diff_digest, parent):
                return layer_id
            raise
    made.append(layer_id)
    return layer_id


def _has(store: Store, layer_id: str, diff_digest: str, parent: str) -> bool:
    known = store.layers.current().get(layer_id)
    return known is not None and (known.diff_digest, known.parent) == (diff_digest, parent)


def _record(store: Store, source: ImageSource, top: str, names: Sequence[str]) -> Image:
    config_digest, manifest_digest = digest(source.config), digest(source.manifest)
    image_id = config_digest.partition(":")[2]
    try:
        image = store.create_image(
            image_id=image_id,
            layer=top,
            metadata="{}",
            big_data=[
                (config_digest, source.config),
                (oci.MANIFEST, source.manifest),
                (f"{oci.MANIFEST}-{manifest_digest}", source.manifest),
            ],
        )
    except DuplicateId:
        image = store.images.current().one(image_id)
    if names:
        # As with every tool that pulls or loads: the name moves to the new image.
        store.add_names("images", image_id, names)
    return store.images.current().get(image_id) or image


def spooled(stream_fd: int, directory: str) -> io.BufferedReader:
    """Return a stream's content as a file without a name in `directory`, to be sought in."""
    fd = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    file = open(fd, "rb")  # noqa: SIM115  # the caller's
    try:
        while chunk := os.read(stream_fd, 1 << 20):
            view = memoryview(chunk)
            while view:
                view = view[os.write(fd, view) :]
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file
