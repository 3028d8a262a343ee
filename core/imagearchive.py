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

import msgspec

from holdfs.core import oci
from holdfs.core.errors import DuplicateId, InvalidValue, StoreError
from holdfs.core.formats import times
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
        chain = [""]
        for layer in source.layers:
            chain.append(_layer(store, files, layer, chain[-1], made, progress))
        return _record(store, source, chain[1:], wanted)
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


def _record(store: Store, source: ImageSource, chain: Sequence[str], names: Sequence[str]) -> Image:
    """Make the record as the image tools make it, byte for byte."""
    config_digest = digest(source.config)
    image_id = config_digest.partition(":")[2]
    manifest = source.manifest
    if not manifest:
        layers = store.layers.current()
        sizes = [layers.one(layer_id).diff_size for layer_id in chain]
        diffs = [layer.diff_digest for layer in source.layers]
        manifest = oci.docker_manifest(source.config, list(zip(diffs, sizes, strict=True)))
    manifest_digest = digest(manifest)
    try:
        image = store.create_image(
            image_id=image_id,
            layer=chain[-1] if chain else "",
            metadata=f'{{"signatures-sizes":{{"{manifest_digest}":[]}}}}',
            created=_created(source.config),
            big_data=[
                (config_digest, source.config),
                (f"{oci.MANIFEST}-{manifest_digest}", manifest),
                (oci.MANIFEST, manifest),
                # All signatures one after another: none.
                (f"signature-{manifest_digest.partition(':')[2]}", b""),
            ],
        )
    except DuplicateId:
        image = store.images.current().one(image_id)
    if names:
        # As with every tool that pulls or loads: the name moves to the new image.
        store.add_names("images", image_id, names)
    return store.images.current().get(image_id) or image


def _created(config: bytes) -> str:
    """Return when the image was made, "" where its config does not say."""
    try:
        return times.format_time(times.parse_time(msgspec.json.decode(config)["created"]))
    except (InvalidValue, KeyError, TypeError):
        return ""


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
