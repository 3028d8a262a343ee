"""
`.oci/<id>/`: each image as an OCI image layout, for tools that read directories.

    .oci/<id>/  oci-layout  index.json  blobs/sha256/<digest>    config, manifest, each layer

`.oci/` is not listed: else `grep -r` would read every layer again for each image on it. The layers
are the same virtual files as their `diff.tar`. (spec/tree.md, oci)
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from holdfs.core import oci
from holdfs.core.formats.digests import digest
from holdfs.core.formats.records import Layer
from holdfs.core.store import Store
from holdfs.fusefs.tree.difftar import LayerTar
from holdfs.fusefs.tree.encoding import BadSpelling, decode, entry_name
from holdfs.fusefs.tree.handles import FrozenReader, Reader
from holdfs.fusefs.tree.node import READ_ONLY_MODE, Directory, File, Node, Stat, gone

if TYPE_CHECKING:
    from holdfs.fusefs.tree.view import View

DIRECTORY: Final = ".oci"

#: How many layouts are kept, each a few KiB.
_KEPT: Final = 64


class Layouts:
    """What was found out about images that somebody looked at as layouts. For any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._mutex = threading.Lock()
        self._found: OrderedDict[str, tuple[bytes, oci.ImageLayout]] = OrderedDict()

    def get(self, view: "View", image_id: str) -> oci.ImageLayout:
        """
        Return the layout of an image; may read its layers whole, once.

        Raises:
            FileNotFoundError: The image is gone.
            StoreError: It can't be shown so: see `image_layout`.
        """
        from holdfs.core.imagelayout import image_layout

        image = view.subject("images", image_id).record
        layers = view.snapshot.layers
        raws = [layers.raw(i) for i in view.snapshot.chain(image.layer)]
        stamp = b"".join((view.snapshot.images.raw(image_id), *raws))
        with self._mutex:
            known = self._found.get(image_id)
            if known is not None and known[0] == stamp:
                self._found.move_to_end(image_id)
                return known[1]
        try:
            found = image_layout(self._store, image_id)
        except KeyError:
            raise gone(f"images/{image_id}") from None
        with self._mutex:
            self._found[image_id] = stamp, found
            while len(self._found) > _KEPT:
                self._found.popitem(last=False)
        return found


class LayoutsDir(Directory):
    """All images, under their full IDs."""

    __slots__ = ()

    listed_kinds = ("images",)

    def attributes(self, view: "View") -> Stat:
        return super().attributes(view)._replace(mtime_ns=view.listing_ns("images"))

    def names(self, view: "View") -> Sequence[str]:
        return [entry_name(i) for i in view.readable("images").ids]

    def lookup(self, view: "View", name: str) -> Node | None:
        try:
            image_id = decode(name)
        except BadSpelling:
            return None
        return LayoutDir(self, name, image_id) if image_id in view.readable("images") else None


class _OfImage(Directory):
    """A directory that belongs to an image."""

    __slots__ = ("image_id",)

    def __init__(self, parent: Directory, name: str, image_id: str) -> None:
        super().__init__(parent, name, image_id)
        self.image_id = image_id

    @property
    def about(self) -> str:
        return self.image_id

    def attributes(self, view: "View") -> Stat:
        if self.image_id not in view.snapshot.images:
            raise gone(self.path)
        changed_ns = view.changed_ns("images", self.image_id)
        return super().attributes(view)._replace(mtime_ns=changed_ns)


class LayoutDir(_OfImage):
    """One image."""

    __slots__ = ()

    def names(self, view: "View") -> Sequence[str]:
        return ("oci-layout", "index.json", "blobs")

    def lookup(self, view: "View", name: str) -> Node | None:
        match name:
            case "oci-layout" | "index.json":
                return DocumentFile(self, name, self.image_id)
            case "blobs":
                return BlobsDir(self, name, self.image_id)
        return None


class BlobsDir(_OfImage):
    """One directory per digest algorithm."""

    __slots__ = ()

    slow_lookup = True

    def names(self, view: "View") -> Sequence[str]:
        return list(dict.fromkeys(d.partition(":")[0] for d in _blobs(view, self.image_id)))

    def lookup(self, view: "View", name: str) -> Node | None:
        return AlgorithmDir(self, name, self.image_id) if name in self.names(view) else None


class AlgorithmDir(_OfImage):
    """All blobs of one digest algorithm."""

    __slots__ = ()

    slow_lookup = True

    def names(self, view: "View") -> Sequence[str]:
        digests = (d.partition(":") for d in _blobs(view, self.image_id))
        return [digits for algorithm, _, digits in digests if algorithm == self.name]

    def lookup(self, view: "View", name: str) -> Node | None:
        match _blobs(view, self.image_id).get(f"{self.name}:{name}"):
            case Layer() as layer:
                return LayerTar(self, name, layer.id)
            case bytes():
                return DocumentFile(self, name, self.image_id)
        return None


class DocumentFile(File):
    """A small JSON document."""

    __slots__ = ("image_id",)

    slow: ClassVar[bool] = True
    slow_open: ClassVar[bool] = True

    def __init__(self, parent: Directory, name: str, image_id: str) -> None:
        super().__init__(parent, name)
        self.image_id = image_id

    def attributes(self, view: "View") -> Stat:
        changed_ns = view.changed_ns("images", self.image_id)
        return Stat(READ_ONLY_MODE, len(self.content(view)), changed_ns)

    def content(self, view: "View") -> bytes:
        if self.name == "oci-layout":
            return oci.LAYOUT
        if self.name == "index.json":
            return view.tree.layouts.get(view, self.image_id).index
        found = _blobs(view, self.image_id).get(f"{self.parent.name}:{self.name}")
        if not isinstance(found, bytes):
            raise gone(self.path)
        return found

    def open_reader(self, view: "View") -> Reader:
        return FrozenReader(self, self.content(view))


def _blobs(view: "View", image_id: str) -> Mapping[str, bytes | Layer]:
    """Return all blobs of an image by digest."""
    layout = view.tree.layouts.get(view, image_id)
    blobs: dict[str, bytes | Layer] = {
        digest(layout.config): layout.config,
        digest(layout.manifest): layout.manifest,
    }
    # Layers may be equal, as empty ones are: the first stands for all.
    for layer in layout.layers:
        blobs.setdefault(layer.diff_digest, layer)
    return blobs
