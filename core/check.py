"""
Looking for what is damaged in a store; nothing is changed. Source: spec 10.11, cli 6.15.

    layer       data items there · gives its stream again · can be mounted · its tree is what
                the streams say (core.layercheck) · parent there · used by somebody, or young
    driver      no layer without a record
    image       layers there · data items there, of the recorded size · no problem of its layers
    container   image there · data items likewise · no problem of its image

A problem is a line in the words of the Go tools.
"""

import time
from dataclasses import dataclass, field

from holdfs.core import quickcheck, unrecorded
from holdfs.core.layercheck import LayerCheck
from holdfs.core.snapshot import Snapshot
from holdfs.core.store import Store

#: Problems by the ID of what has them.
Problems = dict[str, list[str]]

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


@dataclass(slots=True)
class Progress:
    """How far a running check has come, to be looked at from another thread."""

    layers: int = 0
    #: Layers that there are; 0 before that is known.
    total: int = 0


def check(
    store: Store,
    *,
    max_age_ns: int = DEFAULT_MAX_AGE_NS,
    contents: bool = True,
    progress: Progress | None = None,
) -> Report:
    """
    Look at everything in the store and return what is wrong.

    Args:
        max_age_ns: Layers that nobody uses are a problem once they are older.
        contents: See that the trees are what the streams' headers describe: the long part.
        progress: Is filled meanwhile.

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
    with LayerCheck(store, snapshot, contents=contents) as layers:
        _check_layers(layers, snapshot, report, max_age_ns, progress or Progress())
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


def _check_layers(
    layers: LayerCheck,
    snapshot: Snapshot,
    report: Report,
    max_age_ns: int,
    progress: Progress,
) -> None:
    used = _used_layers(snapshot)
    progress.total = len(snapshot.layers)
    oldest_ns = time.time_ns() - max_age_ns
    for layer_id in snapshot.layers:
        layer = snapshot.layers.one(layer_id)
        read_only = snapshot.layers.is_read_only(layer_id)
        problems = report.read_only_layers if read_only else report.layers
        prefix = "read-only layer" if read_only else "layer"
        _note(problems, layer_id, *quickcheck.missing_items(snapshot.layers, layer))
        _note(
            problems,
            layer_id,
            *(f"{prefix} {layer_id}: {said}" for said in layers.problems(layer_id)),
        )
        _note(problems, layer_id, *quickcheck.missing_parent(snapshot, layer))
        is_old = snapshot.layers.created_ns(layer_id) < oldest_ns
        if layer_id not in used and is_old and not read_only:
            _note(
                problems,
                layer_id,
                f"layer {layer_id}: layer not referenced by any images or containers",
            )
        progress.layers += 1


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
