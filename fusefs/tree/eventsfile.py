"""The file `events` in the root, and the handles that read it."""

from typing import TYPE_CHECKING

from holdfs.fusefs.tree.handles import Reader
from holdfs.fusefs.tree.node import READ_ONLY_MODE, File, Stat

if TYPE_CHECKING:
    from holdfs.fusefs.events import EventLog
    from holdfs.fusefs.tree.view import View


class EventsFile(File):
    """What became of the store since the mount."""

    __slots__ = ()

    def attributes(self, view: "View") -> Stat:
        events = view.tree.events
        return Stat(READ_ONLY_MODE, events.size, events.changed_ns, lasting=False)

    def open_reader(self, view: "View") -> Reader:
        return EventsReader(self, view.tree.events)


class EventsReader:
    """Reads what there is; at the end that is nothing, and no request ever waits."""

    slow_read = False

    def __init__(self, node: File, events: "EventLog") -> None:
        self.node = node
        self._events = events
        self._position = events.start

    @property
    def is_ready(self) -> bool:
        """Whether there is something past the last read, for poll(2)."""
        return self._position < self._events.end

    def read(self, view: "View", off: int, size: int) -> bytes:
        data, self._position = self._events.read(off, size)
        return data

    def close(self) -> None:
        pass
