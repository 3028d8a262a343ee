"""
The file `health` of an object: `ok`, or `damaged` and the reasons, a line each.

Only what can be told at once: records and directories that are missing. Content is not read.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from holdfs.core.errors import StoreError

if TYPE_CHECKING:
    from holdfs.fusefs.tree.view import Subject, View


#: Keys may hold lone surrogates, from odd JSON.
_AS_IT_IS: Final = ("utf-8", "surrogatepass")


def report(subject: "Subject") -> bytes:
    """Return the text of the file."""
    reasons = list(_reasons(subject))
    return "\n".join(("damaged", *reasons, "")).encode(*_AS_IT_IS) if reasons else b"ok\n"


def broken(damage: StoreError) -> bytes:
    """Return the text for an object whose record can't be read."""
    return f"damaged\n{damage}\n".encode(*_AS_IT_IS)


def _reasons(subject: "Subject") -> Iterator[str]:
    view, record = subject.view, subject.record
    match subject.kind:
        case "layers":
            yield from _layer_reasons(view, record.parent, "parent layer")
            if not view.tree.store.driver.exists(subject.id):
                yield f"the driver has no directory for layer {subject.id}"
        case "images":
            for layer_id in (record.layer, *record.mapped_layers):
                yield from _layer_reasons(view, layer_id, "layer")
        case "containers":
            yield from _layer_reasons(view, record.layer, "layer")
            if record.image and record.image not in view.snapshot.images:
                yield f"image {record.image} is missing"
    yield from _item_reasons(subject)


def _layer_reasons(view: "View", layer_id: str, role: str) -> Iterator[str]:
    if not layer_id:
        return
    layers = view.snapshot.layers
    if layer_id not in layers:
        yield f"{role} {layer_id} is missing"
        return
    base = view.snapshot.chain(layer_id)[0]
    missing = layers.head(base).parent
    if missing and missing not in layers:
        yield f"layer {missing}, the parent of {base}, is missing"


def _item_reasons(subject: "Subject") -> Iterator[str]:
    sizes: dict[str, int] = getattr(subject.record, "big_data_sizes", {})
    for key in subject.record.big_data_names:
        try:
            path = subject.view.tree.store.big_data_path(subject.kind, subject.id, key)
            size = os.stat(path).st_size
        except (FileNotFoundError, StoreError):
            yield f"big-data item {key!r} is missing"
            continue
        if size != sizes.get(key, size):
            yield f"big-data item {key!r} has {size} bytes, {sizes[key]} are recorded"
