"""
Looking for what is damaged in a store; nothing is changed. Source: spec 10.11, cli 6.15.

    layer       data items there · gives its stream again · can be mounted · parent there ·
                used by somebody, or young
    driver      no layer without a record
    image       layers there · data items there, of the recorded size · no problem of its layers
    container   image there · data items likewise · no problem of its image

A problem is a line in the words of the Go tools.
"""

import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from holdfs.core import quickcheck, unrecorded
from holdfs.core.errors import StoreError
from holdfs.core.formats.records import Layer
from holdfs.core.snapshot import Snapshot
from holdfs.core.store import Store
from holdfs.drivers.base import DriverError
from holdfs.native import mount as sys

#: Problems by the ID of what has them.
Problems = dict[str, list[str]]

_CHUNK: Final = 1 << 20
DEFAULT_MAX_AGE_NS = 24 * 3600 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Report:
    """
    What is damaged. Read-only layers and images are those of additional stores.

    Attributes:
        unrecorded: Layers of the driver that have no record; they are among `layers`, too.
    """

    layers: Problems = field(default_factory=dict)
    read_only_layers: Problems = field(default_factory=dict)
    images: Problems = field(default_factory=dict)
    read_only_images: Problems = field(default_factory=dict)
    containers: Problems = field(default_factory=dict)
    unrecorded: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any(
            (
                self.layers,
                self.read_only_layers,
                self.images,
                self.read_only_images,
                self.containers,
            )
        )


def check(store: Store, *, max_age_ns: int = DEFAULT_MAX_AGE_NS) -> Report:
    """
    Look at everything in the store and return what is wrong.

    Args:
        max_age_ns: Layers that nobody uses are a problem once they are older.

    Raises:
        StoreDamaged: Records can't be told, so nobody can say what is missing.
    """
    # Under the lock: a layer that is just being made has no record a moment before.
    with store.layers.lock.reading():
        snapshot = store.snapshot()
        for records in (snapshot.layers, snapshot.images, snapshot.containers):
            records.check()
        lost = tuple(unrecorded.found(store, snapshot.layers))
    report = Report(unrecorded=lost)
    _check_layers(store, snapshot, report, max_age_ns)
    for layer_id in lost:
        _note(
            report.layers,
            layer_id,
            f"layer {layer_id}: layer in lower level storage driver not accounted for",
        )
    _check_images(store, snapshot, report)
    _check_containers(store, snapshot, report)
    return report


def _note(problems: Problems, record_id: str, *lines: str) -> None:
    if lines:
        problems.setdefault(record_id, []).extend(lines)


# -- layers ------------------------------------------------------------------------------------


def _check_layers(store: Store, snapshot: Snapshot, report: Report, max_age_ns: int) -> None:
    used = _used_layers(snapshot)
    oldest_ns = time.time_ns() - max_age_ns
    for layer_id in snapshot.layers:
        layer = snapshot.layers.one(layer_id)
        read_only = snapshot.layers.is_read_only(layer_id)
        problems = report.read_only_layers if read_only else report.layers
        prefix = "read-only layer" if read_only else "layer"
        _note(problems, layer_id, *quickcheck.missing_items(snapshot.layers, layer))
        _note(problems, layer_id, *_stream_problems(store, layer, prefix))
        _note(problems, layer_id, *_mount_problem(store, layer_id, prefix))
        _note(problems, layer_id, *quickcheck.missing_parent(snapshot, layer))
        is_old = snapshot.layers.created_ns(layer_id) < oldest_ns
        if layer_id not in used and is_old and not read_only:
            _note(
                problems,
                layer_id,
                f"layer {layer_id}: layer not referenced by any images or containers",
            )


def _used_layers(snapshot: Snapshot) -> set[str]:
    used: set[str] = set()
    tops = [
        *(layer for head in snapshot.images.heads() for layer in (head.layer, *head.mapped_layers)),
        *(head.layer for head in snapshot.containers.heads()),
    ]
    for layer_id in tops:
        while layer_id in snapshot.layers and layer_id not in used:
            used.add(layer_id)
            layer_id = snapshot.layers.head(layer_id).parent
    return used


def _stream_problems(store: Store, layer: Layer, prefix: str) -> Iterator[str]:
    """Write the layer's diff anew, and see that it is the stream that filled the layer."""
    if not layer.diff_digest:
        return
    from holdfs.native.untar import Compression

    reader, writer = os.pipe2(os.O_CLOEXEC)
    failures: list[OSError | StoreError | DriverError] = []

    def write() -> None:
        try:
            store.write_diff(layer.id, writer, compression=Compression.NONE)
        except (OSError, StoreError, DriverError) as failure:
            failures.append(failure)
        finally:
            os.close(writer)

    thread = threading.Thread(target=write, name="diff")
    thread.start()
    algorithm, _, expected = layer.diff_digest.partition(":")
    found = hashlib.new(algorithm)
    size = 0
    with open(reader, "rb", buffering=0) as stream:
        while chunk := stream.read(_CHUNK):
            found.update(chunk)
            size += len(chunk)
    thread.join()
    if failures:
        reason = _reason(failures[0])
        # Contract: both lines. The first is what whoever read the stream to its end found.
        yield f"{prefix} {layer.id}: consume any trailer after the EOF marker: {reason}"
        yield f"{prefix} {layer.id}: {reason}"
        return
    if found.hexdigest() != expected:
        yield f"{prefix} {layer.id}: layer content incorrect digest"
    if size != layer.diff_size:
        yield (
            f"{prefix} {layer.id}: read {size} bytes instead of {layer.diff_size} bytes: "
            "layer content incorrect size"
        )


def _reason(failure: OSError | StoreError | DriverError) -> str:
    if not isinstance(failure, OSError):
        return failure.words
    if failure.filename is None:
        return failure.strerror or str(failure)
    return f"open {failure.filename}: {(failure.strerror or '').lower()}"


def _mount_problem(store: Store, layer_id: str, prefix: str) -> Iterator[str]:
    """Mount a view of our own: no count tells of it, and the layer's own place stays free."""
    target = tempfile.mkdtemp(prefix="check-", dir=store.run_root)
    try:
        try:
            store.driver.mount_view(layer_id, target)
        except DriverError as error:
            yield f"{prefix} {layer_id}: {error.words}"
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            yield f"{prefix} {layer_id}: mounting {error.filename or layer_id}: {reason}"
        else:
            sys.umount(target)
    finally:
        os.rmdir(target)


# -- images and containers ---------------------------------------------------------------------


def _check_images(store: Store, snapshot: Snapshot, report: Report) -> None:
    for image_id in snapshot.images:
        image = snapshot.images.one(image_id)
        read_only = snapshot.images.is_read_only(image_id)
        problems = report.read_only_images if read_only else report.images
        _note(problems, image_id, *quickcheck.missing_layers(snapshot, image))
        for layer_id in filter(None, (image.layer, *image.mapped_layers)):
            for below in reversed(snapshot.chain(layer_id)):
                _note(problems, image_id, *report.layers.get(below, ()))
                _note(problems, image_id, *report.read_only_layers.get(below, ()))
        _note(problems, image_id, *quickcheck.wrong_items(snapshot.images, image))


def _check_containers(store: Store, snapshot: Snapshot, report: Report) -> None:
    for container_id in snapshot.containers:
        container = snapshot.containers.one(container_id)
        _note(report.containers, container_id, *quickcheck.missing_image(snapshot, container))
        if container.image:
            for found in (report.images, report.read_only_images):
                _note(report.containers, container_id, *found.get(container.image, ()))
        wrong = quickcheck.wrong_items(snapshot.containers, container)
        _note(report.containers, container_id, *wrong)
