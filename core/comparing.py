"""What became of a store between two snapshots."""

from dataclasses import dataclass
from typing import Any

from holdfs.core.reading import Records
from holdfs.core.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class SetChanges:
    """What became of one kind between two snapshots; full IDs."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    renamed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True)
class Changes:
    """
    What differs between two snapshots.

    `changed` are records whose bytes differ; `renamed` those of them whose names do; `mounts` are
    layers whose mount point or count differs.
    """

    layers: SetChanges
    images: SetChanges
    containers: SetChanges
    mounts: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.layers or self.images or self.containers or self.mounts)


def compare(old: Snapshot, new: Snapshot) -> Changes:
    """Return what became of the store from `old` to `new`."""
    mounts: tuple[str, ...] = ()
    if old.mounts is not new.mounts:
        mounts = tuple(
            layer_id
            for layer_id in dict.fromkeys((*old.mounts, *new.mounts))
            if old.mounts.get(layer_id) != new.mounts.get(layer_id)
        )
    return Changes(
        layers=_compare_set(old.layers, new.layers),
        images=_compare_set(old.images, new.images),
        containers=_compare_set(old.containers, new.containers),
        mounts=mounts,
    )


def _compare_set(old: Records[Any], new: Records[Any]) -> SetChanges:
    if old is new:
        return SetChanges()
    before, after = new.differing(old)
    either = dict.fromkeys((*before, *after))
    changed = tuple(i for i in either if i in old and i in new and new.raw(i) != old.raw(i))
    return SetChanges(
        added=tuple(i for i in either if i not in old),
        removed=tuple(i for i in either if i not in new),
        changed=changed,
        renamed=tuple(i for i in changed if old.names_of(i) != new.names_of(i)),
    )
