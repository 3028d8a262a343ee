"""What is shown of an image, from the cells of its record: nothing that takes long is loaded."""

from __future__ import annotations

from holdfs.core.column import entries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfs.core.column import Cell
    from holdfs.core.snapshot import Snapshot


def digests_of(digest: Cell, keys: Sequence[str], digests: Cell) -> tuple[str, ...]:
    """Return the image's own digest first, then each other one of a manifest item."""
    of_key = pairs(digests)
    manifests = (of_key[key] for key in keys if key.startswith("manifest") and key in of_key)
    return tuple(dict.fromkeys(d for d in (str(digest), *manifests) if d))


def pairs(cell: Cell) -> Mapping[str, str]:
    """Return the map that a cell holds."""
    found = entries(cell)
    return dict(zip(found[::2], found[1::2], strict=True))


def lines(snapshot: Snapshot, image_id: str) -> list[str] | None:
    """Return the lines of `image`, None if something in them takes more than records to tell."""
    cells = snapshot.images.cells(
        image_id, "digest", "big-data-names", "big-data-sizes", "big-data-digests"
    )
    if cells is None:
        return None
    digest, names, sizes, digests = cells
    keys = entries(names)
    head = snapshot.images.head(image_id)
    size = _size(snapshot, (head.layer, *head.mapped_layers), keys, pairs(sizes))
    if size is None:
        return None
    return [
        f"ID: {image_id}",
        *(f"Name: {name}" for name in head.names),
        f"Top Layer: {head.layer}",
        *(f"Top Layer: {layer_id}" for layer_id in head.mapped_layers),
        *(f"Digest: {found}" for found in digests_of(digest, keys, digests)),
        *(f"Data: {key}" for key in keys),
        f"Size: {size}",
        *(["Read Only: true"] if snapshot.images.is_read_only(image_id) else ()),
    ]


def _size(
    snapshot: Snapshot, tops: Sequence[str], keys: Sequence[str], sizes: Mapping[str, str]
) -> int | None:
    """Return the size as core.usage has it, None unless every part of it is recorded."""
    waiting = [layer_id for layer_id in tops if layer_id]
    counted: set[str] = set()
    size = 0
    while waiting:
        layer_id = waiting.pop()
        if layer_id in counted:
            continue
        counted.add(layer_id)
        if layer_id not in snapshot.layers:
            return None
        cells = snapshot.layers.cells(layer_id, "parent", "diff-digest", "diff-size")
        if cells is None or not cells[1]:
            return None
        size += int(str(cells[2]) or "0")
        if cells[0]:
            waiting.append(str(cells[0]))
    if any(key not in sizes for key in keys):
        return None
    return size + sum(int(sizes[key]) for key in keys)
