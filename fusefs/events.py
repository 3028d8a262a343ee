"""
The file `events`: one JSON object a line for each change of the store since the mount.

    {"seq":7,"time":"2026-11-24T07:03:11.5Z","kind":"image","action":"rename","id":"5f2…",
     "names":["quay.io/me/shop:1"]}

A line tells of an object that two looks at the store have found different. What was made and gone
between two looks is in no line, and of an object that changed twice there may be one. From 1 MiB on
the file begins anew with the next lines, as a rotated log, if they leave it shorter than it was:
who follows it sees by that alone that he has to read from its start. (spec/tree.md, events)
"""

import threading
import time
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from holdfs.core.comparing import Changes, compare
from holdfs.core.errors import StoreDamaged
from holdfs.core.formats.times import format_time
from holdfs.core.reading import Records
from holdfs.core.snapshot import Snapshot
from holdfs.fusefs.tree.node import KINDS, SINGULAR, Kind

#: From this size on the file begins anew.
LIMIT: Final = 1 << 20


class Event(NamedTuple):
    """
    What became of one object.

    Attributes:
        action: create, change (of the record, its names apart), rename, delete, mount, unmount.
        names: All that it has now; of a deleted object those that it had.
    """

    kind: Kind
    action: str
    object_id: str
    names: tuple[str, ...]


class EventLog:
    """
    The text of the file, and how much of it there has been in all. For any thread.

    Args:
        snapshot: The store as it is at the mount.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._mutex = threading.Lock()
        self._text = bytearray()
        self._seen = snapshot
        self._dropped = 0
        self._count = 0
        self.changed_ns = time.time_ns()

    def note(self, old: Snapshot, new: Snapshot, changes: Changes) -> None:
        """
        Add what became of the store, in one piece, however long: none of it is ever left out, and
        the file does not begin anew within it.

        To be called for each snapshot in turn, in one thread at a time.

        Args:
            changes: From `old` to `new`.
        """
        # A file that can't be read just now has no records, but nobody has deleted them.
        seen, sound = self._seen, _sound(self._seen, new)
        if seen is not old or sound is not new:
            changes = compare(seen, sound)
        self._seen = sound
        now_ns = time.time_ns()
        moment = format_time(now_ns)
        lines = []
        for event in events_of(seen, sound, changes):
            self._count += 1
            lines.append(_line(self._count, moment, event))
        if not lines:
            return
        text = b"".join(lines)
        with self._mutex:
            # Not with more than there was: `tail` would take it for a file that has grown, and go
            # on in the middle of a line. So it takes twice the longest change at most, or LIMIT
            # and one change.
            if LIMIT <= len(self._text) > len(text):
                self._dropped += len(self._text)
                self._text = bytearray()
            self._text += text
            self.changed_ns = now_ns

    def read(self, off: int, size: int) -> tuple[bytes, int]:
        """Return a part of the text, and the position (see `end`) that follows it."""
        with self._mutex:
            data = bytes(self._text[off : off + size])
            # Who reads behind the end has not seen yet that the file began anew: until the next
            # event there is nothing more for him, and he must not be woken again and again.
            return data, self._dropped + min(off + len(data), len(self._text))

    @property
    def size(self) -> int:
        """How long the file is."""
        return len(self._text)

    @property
    def start(self) -> int:
        """The position of the first byte of the file."""
        return self._dropped

    @property
    def end(self) -> int:
        """The position behind the last byte: the length of all that there has been."""
        with self._mutex:
            return self._dropped + len(self._text)


def events_of(old: Snapshot, new: Snapshot, changes: Changes) -> Iterator[Event]:
    """Yield the events of a change: what goes, upper things first, then what comes, lower first."""
    for kind in reversed(KINDS):
        for object_id in getattr(changes, kind).removed:
            yield Event(kind, "delete", object_id, _records(old, kind).names_of(object_id))
    for kind in KINDS:
        for object_id in getattr(changes, kind).added:
            yield Event(kind, "create", object_id, _records(new, kind).names_of(object_id))
    for kind in KINDS:
        before, after = _records(old, kind), _records(new, kind)
        renamed = frozenset(getattr(changes, kind).renamed)
        for object_id in getattr(changes, kind).changed:
            names = after.names_of(object_id)
            if object_id in renamed:
                yield Event(kind, "rename", object_id, names)
            if object_id not in renamed or _differ(before, after, object_id):
                yield Event(kind, "change", object_id, names)
    for layer_id in changes.mounts:
        counts = [s.mounts[layer_id].count if layer_id in s.mounts else 0 for s in (old, new)]
        if layer_id in new.layers and counts[0] != counts[1]:
            action = "mount" if counts[0] < counts[1] else "unmount"
            yield Event("layers", action, layer_id, new.layers.names_of(layer_id))


def _records(snapshot: Snapshot, kind: Kind) -> Records[Any]:
    records: Records[Any] = getattr(snapshot, kind)
    return records


def _differ(before: Records[Any], after: Records[Any], object_id: str) -> bool:
    """Whether a record has changed in something other than its names."""
    try:
        old, new = before.one(object_id), after.one(object_id)
    except StoreDamaged:
        return True
    names = {"names": new.names}
    if hasattr(new, "names_history"):
        names["names_history"] = new.names_history
    return bool(old.replaced(**names) != new)


def _sound(seen: Snapshot, new: Snapshot) -> Snapshot:
    """Return `new`, with the records of `seen` in place of those that can't be read."""
    damaged = {kind for kind in KINDS if _records(new, kind).damage is not None}
    if not damaged and new.mounts_damage is None:
        return new
    return Snapshot(
        seen.layers if "layers" in damaged else new.layers,
        seen.images if "images" in damaged else new.images,
        seen.containers if "containers" in damaged else new.containers,
        new.mounts if new.mounts_damage is None else seen.mounts,
    )


def _line(number: int, moment: str, event: Event) -> bytes:
    fields = {
        "seq": number,
        "time": moment,
        "kind": SINGULAR[event.kind],
        "action": event.action,
        "id": event.object_id,
        "names": event.names,
    }
    return msgspec.json.encode(fields) + b"\n"
