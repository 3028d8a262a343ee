"""
A layer as a tar stream, out: bit for bit where the store holds its tar-split, else generated.

    from is the layer's parent, tar-split there ──► headers from it, contents from the layer's files
    else, from is the parent, native overlay    ──► the layer's own directory says what differs
    else                                        ──► both trees are compared

No lock is held while it is read: the directories are opened first, and what is in an image's layer
does not change. A file that did change is found by its checksum. Source: spec 4.3, 8.9, 10.8.
"""

from __future__ import annotations

import os
from contextlib import ExitStack

from holdfs.core.errors import NotKnown
from holdfs.core.formats import idmap
from holdfs.core.formats.records import Layer
from holdfs.core.sets import Sets
from holdfs.drivers.whiteouts import WhiteoutStyle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfs.native.tarout import OutProgress, Segments, Written
    from holdfs.native.treediff import Change, DiffOf
    from holdfs.native.untar import Compression, IdRange

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Diffing(Sets):
    """The operations that read what a layer changes."""

    def write_diff(
        self,
        to: str,
        output_fd: int,
        *,
        from_: str = "",
        compression: Compression | None = None,
        generate: bool = False,
        progress: OutProgress | None = None,
    ) -> Written:
        """
        Write a layer's diff as a tar stream.

        Args:
            output_fd: A pipe, socket or file.
            from_: The layer to compare with; "" or an unknown one for the parent.
            compression: NONE, GZIP or ZSTD; None for that of the stream that filled the layer.
            generate: Pass over the tar-split: what is in the layer now, not what was applied.
            progress: Is filled meanwhile.

        Raises:
            LayerNotKnown: There is no layer `to`.
            OSError: EBADMSG where a file is not what it was; part of the stream is written then.
        """
        # Here: the engine's libraries are a fifth of the time of a command that needs none of them.
        from holdfs.core.archive.interrupt import interrupt_fd
        from holdfs.native.tarout import tar_from_split
        from holdfs.native.treediff import tar_from_diff
        from holdfs.native.untar import Compression

        layer, other = self._pair(to, from_)
        chosen = Compression(layer.compression) if compression is None else compression
        with ExitStack() as stack:
            split_fd = None if generate else self._open_split(stack, layer, other)
            cancel_fd = stack.enter_context(interrupt_fd())
            if split_fd is None:
                return tar_from_diff(
                    self._compared(stack, layer, other),
                    output_fd,
                    compression=chosen,
                    progress=progress,
                    cancel_fd=cancel_fd,
                )
            directory_fds = self._open_all(stack, self.driver.lookup_dirs(layer.id))
            return tar_from_split(
                split_fd,
                directory_fds,
                output_fd,
                compression=chosen,
                progress=progress,
                cancel_fd=cancel_fd,
            )

    def open_diff(self, to: str) -> Segments:
        """
        Return a layer's diff against its parent, uncompressed, to be read at any offset.

        The caller closes it. Raises as `write_diff`.
        """
        from holdfs.native.tarout import Segments
        from holdfs.native.treediff import segments_from_diff

        layer, other = self._pair(to, "")
        with ExitStack() as stack:
            # What headers there are goes to a file without a name: memory stays flat.
            spill_fd = os.open(self.run_root, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, spill_fd)
            split_fd = self._open_split(stack, layer, other)
            if split_fd is None:
                return segments_from_diff(self._compared(stack, layer, other), spill_fd)
            directory_fds = self._open_all(stack, self.driver.lookup_dirs(layer.id))
            return Segments.from_split(split_fd, directory_fds, spill_fd)

    def changes(self, to: str, *, from_: str = "") -> Iterator[Change]:
        """Return what a layer changes, sorted by path; `from_` as for `write_diff`."""
        from holdfs.native.treediff import changes

        layer, other = self._pair(to, from_)
        with ExitStack() as stack:
            return changes(self._compared(stack, layer, other)).entries

    def diff_size(self, to: str, *, from_: str = "") -> int:
        """
        Return how many bytes of content a layer adds; `from_` as for `write_diff`.

        On overlay against the parent: of all that is in the layer's own directory, each inode once.
        """
        from holdfs.native.treediff import changes

        layer, other = self._pair(to, from_)
        with ExitStack() as stack:
            return changes(self._compared(stack, layer, other)).size

    def _pair(self, to: str, from_: str) -> tuple[Layer, str]:
        """Return the layer and the full ID of what to compare it with, "" for nothing."""
        layers = self.layers.current()
        layer = layers.one(self.full_id("layers", layers, to))
        try:
            return layer, self.full_id("layers", layers, from_) if from_ else layer.parent
        except NotKnown:
            return layer, layer.parent

    def _open_split(self, stack: ExitStack, layer: Layer, other: str) -> int | None:
        """Return a descriptor of the tar-split, if there is one and it tells of this comparison."""
        if other != layer.parent:
            return None
        try:
            fd = os.open(self.layers.tar_split_path(layer.id), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        stack.callback(os.close, fd)
        return fd

    def _compared(self, stack: ExitStack, layer: Layer, other: str) -> DiffOf:
        from holdfs.native.treediff import DiffOf

        if self.driver.diff_parent_is_native(layer.id, other):
            new_fd, *lower_fds = self._open_all(stack, self.driver.lookup_dirs(layer.id))
            return DiffOf(
                new_fd=new_fd,
                lower_fds=lower_fds,
                is_overlay=True,
                in_userns=self.driver.whiteout_style is WhiteoutStyle.USER_XATTR,
                new_uid_map=_ranges(layer.uidmap),
                new_gid_map=_ranges(layer.gidmap),
            )
        old = self.layers.current().one(other) if other else None
        return DiffOf(
            new_fd=self._open_tree(stack, layer.id),
            old_fd=self._open_tree(stack, other) if other else -1,
            new_uid_map=_ranges(layer.uidmap),
            new_gid_map=_ranges(layer.gidmap),
            old_uid_map=_ranges(old.uidmap) if old is not None else (),
            old_gid_map=_ranges(old.gidmap) if old is not None else (),
        )

    def _open_tree(self, stack: ExitStack, layer_id: str) -> int:
        """Return a descriptor of the layer's whole tree, there for as long as the stack lives."""
        if self.driver.whiteout_style is WhiteoutStyle.NONE:
            return self._open_all(stack, self.driver.lookup_dirs(layer_id))[0]
        from holdfs.core.viewing import opened_view

        return stack.enter_context(opened_view(self.driver, self.run_root, layer_id))

    def _open_all(self, stack: ExitStack, paths: list[str]) -> list[int]:
        fds = []
        for path in paths:
            fds.append(os.open(path, _DIRECTORY))
            stack.callback(os.close, fds[-1])
        return fds


def _ranges(maps: idmap.Maps) -> list[IdRange]:
    from holdfs.native.untar import IdRange

    return [IdRange(m.container_id, m.host_id, m.size) for m in maps]
