"""
The documents by which the image tools know an image: OCI config, manifest and index.

podman lists no image at all while one in the store has no manifest, so an image that somebody makes
with mkdir gets a pair of its own, and a flag that says so. The first manifest that is put in its
place is the image's real one. Source: OCI image specification; spec 3.4.
"""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from holdfs.core.formats.digests import digest
from holdfs.core.formats.records import Layer

MANIFEST: Final = "manifest"
MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"

#: The file `oci-layout` that makes a directory an OCI image layout.
LAYOUT: Final = b'{"imageLayoutVersion":"1.0.0"}'

_MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


@dataclass(frozen=True, slots=True)
class ImageLayout:
    """
    An image as an OCI image layout of uncompressed layers.

    Attributes:
        layers: Base first, each with its diff digest and size.
    """

    config: bytes
    manifest: bytes
    index: bytes
    layers: tuple[Layer, ...]


def layout(config: bytes, layers: Sequence[Layer], names: Sequence[str]) -> ImageLayout:
    """Return the layout of an image whose config fits its layers; its first name is its tag."""
    made = manifest(config, [(layer.diff_digest, layer.diff_size) for layer in layers])
    entry: dict[str, Any] = {
        "mediaType": MANIFEST_TYPE,
        "digest": digest(made),
        "size": len(made),
    }
    if names:
        # One entry: with several skopeo asks which of the images is meant.
        entry["annotations"] = {"org.opencontainers.image.ref.name": names[0]}
    index = _encode({"schemaVersion": 2, "manifests": [entry]})
    return ImageLayout(config, made, index, tuple(layers))


def documents(chain: Sequence[Layer], created: str) -> list[tuple[str, bytes]]:
    """
    Return config and manifest as big-data items.

    Args:
        chain: The image's layers, base first. One whose diff has no digest yet can't be named, and
            with it all above it: such an image can be run and mounted, but not be pushed.
        created: RFC 3339.
    """
    known: list[Layer] = []
    for layer in chain:
        if not layer.diff_digest:
            break
        known.append(layer)
    config = _encode(
        {
            "created": created,
            "architecture": architecture(platform.machine()),
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_digest for layer in known]},
            "history": [{"created": created, "created_by": "holdfs"} for _ in known],
        }
    )
    made = manifest(config, [(layer.diff_digest, layer.diff_size) for layer in known])
    return [(digest(config), config), (MANIFEST, made)]


def manifest(config: bytes, layers: Sequence[tuple[str, int]]) -> bytes:
    """Return the manifest of an image with these uncompressed layers, digest and size each."""
    return _encode(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": digest(config),
                "size": len(config),
            },
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": diff_digest,
                    "size": size,
                }
                for diff_digest, size in layers
            ],
        }
    )


def docker_manifest(config: bytes, layers: Sequence[tuple[str, int]]) -> bytes:
    """
    Return the manifest that the image tools give what `docker save` wrote, which has none itself.

    Byte for byte, so that the image's digest is the same whoever loads it. They call the layers
    compressed, though digest and size are those of the plain tars.

    Source: containers/image, docker/internal/tarfile/src.go and manifest/docker_schema2.go.
    """
    return _encode(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": len(config),
                "digest": digest(config),
            },
            "layers": [
                {
                    "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                    "size": size,
                    "digest": diff_digest,
                }
                for diff_digest, size in layers
            ],
        }
    )


def architecture(machine: str) -> str:
    """Return what image configs call a machine that `uname` calls so."""
    return _MACHINES.get(machine, machine)


def _encode(value: object) -> bytes:
    return msgspec.json.encode(value)
