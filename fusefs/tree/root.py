"""The root of the tree: three collections, and files about the mount itself."""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from holdfs.fusefs.tree import content, ocilayout
from holdfs.fusefs.tree.cheatsheet import TEXT
from holdfs.fusefs.tree.collection import Collection
from holdfs.fusefs.tree.eventsfile import EventsFile
from holdfs.fusefs.tree.handles import FrozenReader, LiveReader, Reader
from holdfs.fusefs.tree.node import (
    KINDS,
    READ_ONLY_MODE,
    ROOT_INO,
    ROOT_MODE,
    Directory,
    File,
    Node,
    Stat,
)
from holdfs.fusefs.tree.view import View


class Root(Directory):
    """The mount point itself."""

    __slots__ = ()

    def __init__(self) -> None:
        # It is its own parent, as in any file system; nothing else of a node fits.
        self.parent = self
        self.name = ""
        self.ino = ROOT_INO

    @property
    def about(self) -> str:
        return ""

    @property
    def depth(self) -> int:
        return 0

    @property
    def path(self) -> str:
        return ""

    @property
    def collection(self) -> None:
        return None

    def xattr(self, view: View, name: str) -> None:
        return None

    def attributes(self, view: View) -> Stat:
        return Stat(ROOT_MODE, 0, view.started_ns)

    def names(self, view: View) -> Sequence[str]:
        return (*KINDS, *_FILES)

    def lookup(self, view: View, name: str) -> Node | None:
        for kind in KINDS:
            if name == kind:
                return Collection(self, kind)
        if name == ocilayout.DIRECTORY:
            return ocilayout.LayoutsDir(self, name)
        if name == content.DIRECTORY and view.tree.settings.files:
            return content.AllContent(self, name)
        make = _FILES.get(name)
        return None if make is None else make(self, name)


class ReadmeFile(File):
    """A cheat-sheet."""

    __slots__ = ()

    def attributes(self, view: View) -> Stat:
        return Stat(READ_ONLY_MODE, len(self.content(view)), view.started_ns)

    def content(self, view: View) -> bytes:
        return TEXT.encode()

    def open_reader(self, view: View) -> Reader:
        return LiveReader(self, view)


class ErrorsFile(File):
    """The last refusals."""

    __slots__ = ()

    def attributes(self, view: View) -> Stat:
        refusals = view.tree.refusals
        return Stat(READ_ONLY_MODE, len(refusals.text()), refusals.changed_ns, lasting=False)

    def open_reader(self, view: View) -> Reader:
        view.tree.expire()
        return FrozenReader(self, view.tree.refusals.text())


class StatusFile(File):
    """What `holdctl status` says, and counts."""

    __slots__ = ()

    slow: ClassVar[bool] = True
    slow_open: ClassVar[bool] = True

    def attributes(self, view: View) -> Stat:
        changed_ns = max(view.listing_ns(kind) for kind in KINDS)
        return Stat(READ_ONLY_MODE, len(_status(view)), changed_ns, lasting=False)

    def open_reader(self, view: View) -> Reader:
        return FrozenReader(self, _status(view))


def _status(view: View) -> bytes:
    lines = [f"{key}: {value}\n" for key, value in view.tree.store.status()]
    for kind in KINDS:
        records = view.records(kind)
        lines.append(f"{kind.capitalize()}: {len(records)}\n")
    lines.append(f"Mounted Layers: {len(view.snapshot.mounts)}\n")
    damages = [view.records(kind).damage for kind in KINDS] + [view.snapshot.mounts_damage]
    lines += [f"Damaged: {damage}\n" for damage in damages if damage is not None]
    return "".join(lines).encode("utf-8", "surrogateescape")


_FILES: Mapping[str, Callable[[Root, str], File]] = {
    "status": StatusFile,
    "events": EventsFile,
    "errors": ErrorsFile,
    "README": ReadmeFile,
}
