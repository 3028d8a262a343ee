"""
Stores to measure on: as large as wanted, made by writing what the Go tools would have written.

`count` images with a layer each or more, in chains of `DEPTH`, as pulls of related images leave
them, and containers on the first of them: records with digests, sizes and dates, the big data that
images have, the overlay driver's directories.
"""

import atexit
import json
import os
import secrets
import string
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any

from tests.mounts import unmount_below
from tests.needs import loop_mounted
from tests.peers import GoStore

DEPTH = 5
_LINK_SIGNS = string.ascii_uppercase + "234567"
#: Of the disk that the shared stores are on: enough inodes for all of them; sparse.
_DISK_SIZE = 16 << 30

_until_the_end = ExitStack()
atexit.register(_until_the_end.close)


@dataclass(frozen=True)
class BenchStore:
    """
    A store with `count` images, `layers_each` layers an image, and some containers.

    `name(i)`, `layer_id(i)` and `container_name(i)` name one; image i is on the last of its layers.
    """

    graph: str
    run: str
    count: int
    layers_each: int = 1
    containers: int = 0

    @property
    def go(self) -> GoStore:
        return GoStore(self.graph, self.run)

    def name(self, number: int) -> str:
        return f"docker.io/library/app-{number:05d}:latest"

    def layer_id(self, number: int) -> str:
        return sha256(f"layer {number}".encode()).hexdigest()

    def container_name(self, number: int) -> str:
        return f"box-{number:05d}"

    def container_id(self, number: int) -> str:
        return sha256(f"container {number}".encode()).hexdigest()


@contextmanager
def made(count: int, *, layers_each: int = 1, containers: int = 0) -> Iterator[BenchStore]:
    """Give a store of this size, gone at the end. A container has a layer of its own too."""
    with tempfile.TemporaryDirectory(prefix="holdfs-bench-") as top:
        try:
            yield _make(top, count, layers_each, containers)
        finally:
            unmount_below(top)


@cache
def shared(count: int, *, layers_each: int = 1, containers: int = 0) -> BenchStore:
    """
    Return the one store of this size that there is until the end of this process.

    For those who only look at it, or add some names, layers and containers that nobody else adds:
    making a large store takes longer than most of what is measured on it.
    """
    return _make(tempfile.mkdtemp(dir=_disk()), count, layers_each, containers)


@cache
def _disk() -> str:
    """Return where the shared stores are: a file system of their own, with which they go."""
    top = _until_the_end.enter_context(tempfile.TemporaryDirectory(prefix="holdfs-bench-stores-"))
    return _until_the_end.enter_context(loop_mounted("ext4", top, size=_DISK_SIZE))


def _make(top: str, count: int, layers_each: int, containers: int) -> BenchStore:
    store = BenchStore(f"{top}/graph", f"{top}/run", count, layers_each, containers)
    _write(store)
    # The tool itself says whether it takes it for its own.
    for kind, expected in (
        ("layers", count * layers_each + containers),
        ("images", count),
        ("containers", containers),
    ):
        seen = len(store.go.json(kind) or ())
        assert expected == seen, f"containers-storage sees {seen} {kind}"
    return store


def _write(store: BenchStore) -> None:
    for directory in ("overlay/l", "overlay-layers", "overlay-images", "overlay-containers"):
        os.makedirs(f"{store.graph}/{directory}", mode=0o700)
    os.makedirs(store.run, mode=0o700)
    layers: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    lower: list[str] = []  # of the chain that is being made, nearest first
    lowers: list[list[str]] = []  # of each image, its own layer first
    for number in range(store.count * store.layers_each):
        if number % DEPTH == 0:
            lower = []
        layer = _layer(number, store.layer_id(number), layers[-1]["id"] if lower else "")
        lower = [_make_directories(store, layer["id"], lower), *lower]
        layers.append(layer)
        if number % store.layers_each == store.layers_each - 1:
            images.append(_make_image(store, len(images), layer["id"]))
            lowers.append(lower)
    containers = [
        _make_container(store, number, images[number], lowers[number], layers)
        for number in range(store.containers)
    ]
    for kind, records in (("layers", layers), ("images", images), ("containers", containers)):
        path = f"{store.graph}/overlay-{kind}/{kind}.json"
        with open(path, "w", encoding="utf-8") as f:
            json.dump(records, f, separators=(",", ":"))
        os.chmod(path, 0o600)


def _make_container(
    store: BenchStore,
    number: int,
    image: dict[str, Any],
    lower: list[str],
    layers: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return the record of a container on this image; its layer goes to the others."""
    layer_id = sha256(f"container layer {number}".encode()).hexdigest()
    _make_directories(store, layer_id, lower)
    layers.append({"id": layer_id, "parent": image["layer"], "created": _created(number)})
    container_id = store.container_id(number)
    os.makedirs(f"{store.graph}/overlay-containers/{container_id}/userdata", mode=0o700)
    return {
        "id": container_id,
        "names": [store.container_name(number)],
        "image": image["id"],
        "layer": layer_id,
        "metadata": json.dumps({"image-name": image["names"][0], "number": number}),
        "created": _created(number),
    }


def _created(number: int) -> str:
    # With no zero at the end: Go leaves those out, and would change the record at its first save.
    fraction = f"{123456780 + number}".rstrip("0")
    return f"2026-01-{1 + number % 28:02d}T{number % 24:02d}:12:33.{fraction}Z"


def _digest(*parts: object) -> str:
    return "sha256:" + sha256(repr(parts).encode()).hexdigest()


def _layer(number: int, layer_id: str, parent: str) -> dict[str, Any]:
    diff = _digest("diff", number)
    return {
        "id": layer_id,
        **({"parent": parent} if parent else {}),
        "created": _created(number),
        "compressed-diff-digest": _digest("compressed", number),
        "compressed-size": 1_000_000 + number,
        "diff-digest": diff,
        "diff-size": 3_000_000 + number,
        "compression": 2,
        "uidset": [0],
        "gidset": [0],
    }


def _make_directories(store: BenchStore, layer_id: str, lower: list[str]) -> str:
    """Make a layer's directories as the overlay driver does, and return its short link."""
    home = f"{store.graph}/overlay"
    link = "".join(secrets.choice(_LINK_SIGNS) for _ in range(26))
    os.mkdir(f"{home}/{layer_id}", 0o700)
    os.mkdir(f"{home}/{layer_id}/diff", 0o555)
    if lower:
        os.mkdir(f"{home}/{layer_id}/work", 0o700)
        _write_text(f"{home}/{layer_id}/lower", ":".join(f"l/{name}" for name in lower))
    else:
        os.mkdir(f"{home}/{layer_id}/empty", 0o700)
    _write_text(f"{home}/{layer_id}/link", link)
    os.symlink(f"../{layer_id}/diff", f"{home}/l/{link}")
    return link


def _make_image(store: BenchStore, number: int, layer_id: str) -> dict[str, Any]:
    config = json.dumps({"architecture": "amd64", "os": "linux", "number": number}).encode()
    config_digest = "sha256:" + sha256(config).hexdigest()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": config_digest,
                "size": len(config),
            },
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                    "digest": _digest("compressed", number),
                    "size": 1_000_000 + number,
                }
            ],
        }
    ).encode()
    manifest_digest = "sha256:" + sha256(manifest).hexdigest()
    image_id = config_digest.removeprefix("sha256:")
    items = {
        config_digest: config,
        f"manifest-{manifest_digest}": manifest,
        "manifest": manifest,
    }
    directory = f"{store.graph}/overlay-images/{image_id}"
    os.mkdir(directory, 0o700)
    for key, data in items.items():
        name = key if key == "manifest" else _encoded(key)
        with open(f"{directory}/{name}", "wb") as f:
            f.write(data)
    name = store.name(number)
    return {
        "id": image_id,
        "digest": manifest_digest,
        "names": [name],
        "names-history": [name],
        "layer": layer_id,
        "metadata": '{"signatures-sizes":{"' + manifest_digest + '":[]}}',
        "big-data-names": list(items),
        "big-data-sizes": {key: len(data) for key, data in sorted(items.items())},
        "big-data-digests": {
            key: "sha256:" + sha256(data).hexdigest() for key, data in sorted(items.items())
        },
        "created": _created(number),
    }


def _encoded(key: str) -> str:
    """The file name of an item whose key has signs that are not plain (spec 3.1)."""
    return "=" + b64encode(key.encode()).decode()


def _write_text(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
