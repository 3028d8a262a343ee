"""
Images in from files, and out to files, without any other tool.

    import   layers that the store lacks, one by one, then the record with config and manifest
    export   an OCI layout of uncompressed layers, as a tar on one stream or as a directory
"""

import hashlib
import io
import os
import tarfile
from collections.abc import Sequence

from holdfs.core import oci
from holdfs.core.errors import DuplicateId, StoreError
from holdfs.core.formats.digests import digest
from holdfs.core.formats.records import Image, Layer
from holdfs.core.imagelayout import image_layout
from holdfs.core.imagesource import Files, ImageSource, LayerSource, find
from holdfs.core.store import Store


def import_image(store: Store, files: Files, names: Sequence[str] = ()) -> Image:
    """
    Make the image that the files hold; one that is there already gets the names.

    Args:
        names: Instead of those in the files.

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
            top = _layer(store, files, layer, top, made)
        return _record(store, source, top, wanted)
    except BaseException:
        for layer_id in reversed(made):
            try:
                store.delete_layer(layer_id)
            except StoreError:
                break  # somebody has come to use it
        raise


def _layer(store: Store, files: Files, layer: LayerSource, parent: str, made: list[str]) -> str:
    """Return the ID of the layer, made if the store lacks it."""
    digits = layer.diff_digest.partition(":")[2]
    # As the image library names them, so that podman finds them again: spec 3.4.
    layer_id = hashlib.sha256(f"{parent}+{digits}".encode()).hexdigest() if parent else digits
    known = store.layers.current().get(layer_id)
    if known is not None and (known.diff_digest, known.parent) == (layer.diff_digest, parent):
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
            )
        except DuplicateId:
            return layer_id  # another program was quicker
    made.append(layer_id)
    return layer_id


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


def export_image(store: Store, ref: str, output_fd: int) -> None:
    """
    Write an image as a tar of an OCI layout.

    Layers that were never given a digest are given one first.

    Raises:
        ImageNotKnown.
        OSError: A layer is not what it was, or the output failed; a part is written then.
    """
    images = store.images.current()
    image_id = store.full_id("images", images, ref)
    # An image that is to leave the store is sealed whole: what its layers hold now.
    if top := images.one(image_id).layer:
        store.seal_chain(top)
    layout = image_layout(store, image_id)
    _write(output_fd, "oci-layout", oci.LAYOUT)
    _write(output_fd, "index.json", layout.index)
    _write(output_fd, _blob(digest(layout.manifest)), layout.manifest)
    _write(output_fd, _blob(digest(layout.config)), layout.config)
    for layer in {layer.diff_digest: layer for layer in layout.layers}.values():
        _write_layer(store, output_fd, layer)
    _write_all(output_fd, bytes(2 * tarfile.BLOCKSIZE))


def _write_layer(store: Store, output_fd: int, layer: Layer) -> None:
    from holdfs.native.untar import Compression

    _write_all(output_fd, _header(_blob(layer.diff_digest), layer.diff_size))
    written = store.write_diff(layer.id, output_fd, compression=Compression.NONE)
    if written.size != layer.diff_size:
        raise OSError(5, f"layer {layer.id}: {written.size} bytes instead of {layer.diff_size}")
    _write_all(output_fd, bytes(-written.size % tarfile.BLOCKSIZE))


def _write(output_fd: int, name: str, data: bytes) -> None:
    padding = bytes(-len(data) % tarfile.BLOCKSIZE)
    _write_all(output_fd, _header(name, len(data)) + data + padding)


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.PAX_FORMAT)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _blob(of: str) -> str:
    algorithm, _, digits = of.partition(":")
    return f"blobs/{algorithm}/{digits}"


def spooled(stream_fd: int, directory: str) -> io.BufferedReader:
    """Return a stream's content as a file without a name in `directory`, to be sought in."""
    fd = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    file = open(fd, "rb")  # noqa: SIM115  # the caller's
    try:
        while chunk := os.read(stream_fd, 1 << 20):
            _write_all(fd, chunk)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file
