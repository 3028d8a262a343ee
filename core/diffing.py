"""
A layer as a tar stream, out: bit for bit where the store holds its tar-split, else generated.

    from is the layer's parent, tar-split there ──► headers from it, contents from the layer's files
    else ──► what differs between the two, as a tar made anew

No lock is held while it is read: the directories are opened first, and what is in an image's layer
does not change. A file that did change is found by its checksum. Source: spec 4.3, 8.9.
"""

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from holdfs.core.errors import NotKnown
from holdfs.core.formats.records import Layer
from holdfs.core.sets import Sets
from holdfs.native.tarout import Written, tar_from_split
from holdfs.native.untar import Compression

if TYPE_CHECKING:
    from holdfs.native.tarout import Written
    from holdfs.native.untar import Compression

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Diffing(Sets):
    """The operations that read what a layer changes."""

    def write_diff(
        self, to: str, output_fd: int, *, from_: str = "", compression: Compression | None = None
    ) -> Written:
        """
        Write a layer's diff as a tar stream.

        Args:
            output_fd: A pipe, socket or file.
            from_: The layer to compare with; "" or an unknown one for the parent.
            compression: NONE, GZIP or ZSTD; None for that of the stream that filled the layer.

        Raises:
            LayerNotKnown: There is no layer `to`.
            OSError: EBADMSG where a file is not what it was; part of the stream is written then.
        """
        from holdfs.native.untar import Compression

        layer, other = self._pair(to, from_)
        chosen = Compression(layer.compression) if compression is None else compression
        with ExitStack() as stack:
            split_fd = self._open_split(stack, layer, other)
            directory_fds = self._open_directories(stack, layer.id)
            return tar_from_split(split_fd, directory_fds, output_fd, compression=chosen)

    def _pair(self, to: str, from_: str) -> tuple[Layer, str]:
        """Return the layer and the full ID of what to compare it with, "" for nothing."""
        layers = self.layers.current()
        layer = layers.one(self.full_id("layers", layers, to))
        try:
            return layer, self.full_id("layers", layers, from_) if from_ else layer.parent
        except NotKnown:
            return layer, layer.parent

    def _open_split(self, stack: ExitStack, layer: Layer, other: str) -> int:
        path = self.layers.tar_split_path(layer.id)
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, fd)
        return fd

    def _open_directories(self, stack: ExitStack, layer_id: str) -> list[int]:
        fds = []
        for path in self.driver.lookup_dirs(layer_id):
            fds.append(os.open(path, _DIRECTORY))
            stack.callback(os.close, fds[-1])
        return fds
