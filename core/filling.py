"""
Filling layers from tar streams, which may take long, without keeping others from their work.

    import a layer     no lock: unpack into a staging directory
                       layers.lock: record, directory, one rename, record
    apply a diff       the same, if nothing is in the layer yet; else into the layer, locked

Where the owners of what the parent has must be changed first (ID maps that the driver can't shift),
the stream is unpacked in the layer itself while its record is `incomplete`. What is unpacked with a
lock held has been read to its end before, so that nobody waits for who sends it.
Source: spec 7.1, 7.4, 10.2.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from holdfs.core.creating import Creating
from holdfs.core.errors import DamagedStream, LayerHasChildren, StoreReadOnly
from holdfs.core.formats.records import Layer
from holdfs.core.idmapping import INHERITED, MapRequest, maps_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from holdfs.core.archive.staging import Staging
    from holdfs.native.untar import Progress, Unpacked


class Filling(Creating):
    """The operations that put a tar stream into a layer."""

    def import_layer(
        self,
        source_fd: int,
        *,
        parent: str = "",
        names: Sequence[str] = (),
        layer_id: str = "",
        label: str = "",
        maps: MapRequest = INHERITED,
        read_only: bool = False,
        compressed_digest: str = "",
        uncompressed_digest: str = "",
        progress: Progress | None = None,
    ) -> Layer:
        """
        Make a layer and fill it from a stream, compressed or not; a failure leaves no trace.

        Args:
            source_fd: Read to its end; need not be seekable.
            compressed_digest, uncompressed_digest: What the stream must be; "" for anything.

        Raises:
            As `create_layer`.
            DamagedStream: The stream is no tar, or is cut short.
            InvalidDigest: It is not the one that was promised.
        """
        # Here: the engine's libraries are a fifth of the time of a command that needs none of them.
        from holdfs.core.archive.apply import check_digests, noted
        from holdfs.core.archive.staging import staging

        # Before the long part, so that what must fail does so at once.
        planned = self.new_layer(self.layers.current(), parent, names, layer_id, label, maps)
        root = self.options.image_store if read_only else ""
        with staging(root or self.graph_root) as place:
            staged = None
            if self._can_stage(planned):
                staged = self._unpack_staged(source_fd, place, planned, progress)
                check_digests(staged, compressed_digest, uncompressed_digest)
            else:
                source_fd = place.spooled(source_fd)
            with self.layers.edit() as edit:
                layer = self.new_layer(edit.records, parent, names, layer_id, label, maps)
                content = place.diff if staged is not None else ""
                with self.layers.making(edit, layer, read_only=read_only, staged=content):
                    unpacked = staged or self._unpack_in_place(source_fd, place, layer, progress)
                    check_digests(unpacked, compressed_digest, uncompressed_digest)
                    layer = noted(layer, unpacked)
                    os.rename(place.tar_split, self.layers.tar_split_path(layer.id))
                    edit.replace(layer)
        return layer

    def _can_stage(self, layer: Layer) -> bool:
        parent = self.layers.current().get(layer.parent) if layer.parent else None
        return parent is None or maps_of(parent) == maps_of(layer)

    def apply_diff(
        self,
        ref: str,
        source_fd: int,
        *,
        unused: bool = False,
        whole: bool = False,
        progress: Progress | None = None,
    ) -> Layer:
        """
        Unpack a stream into a layer that is there, on top of what is in it.

        A stream that is damaged leaves the layer as it was: for one that holds something already,
        all of it is read first. Into such a layer a part of it may have been unpacked when the
        disk is full, or this process is killed.

        Args:
            unused: Refuse a layer that others stand on.
            whole: Refuse a stream whose end is not marked.

        Raises:
            LayerNotKnown, StoreReadOnly, DamagedStream.
        """
        from holdfs.core.archive.apply import noted, read_through
        from holdfs.core.archive.staging import staging

        layer_id = self._fillable(ref, unused=unused)
        layers = self.layers.current()
        root = self.options.image_store if layers.source(layer_id).of_images else ""
        with staging(root or self.graph_root) as place:
            staged = None
            if self._is_empty(layer_id):
                layer = layers.one(layer_id)
                staged = self._unpack_staged(source_fd, place, layer, progress)
                if whole:
                    _check_end(staged)
            else:
                source_fd = place.spooled(source_fd)
                # Not 0 where the caller's file was read from before.
                begin = os.lseek(source_fd, 0, os.SEEK_CUR)
                with staging(root or self.graph_root) as trial:
                    tried = read_through(source_fd, trial)
                    if whole:
                        _check_end(tried)
                os.lseek(source_fd, begin, os.SEEK_SET)
            with self.layers.edit() as edit:
                layer_id = self._fillable(layer_id, unused=unused)
                layer = edit.records.one(layer_id)
                if staged is not None:
                    # Somebody may have written to it meanwhile: then this says ENOTEMPTY.
                    self.driver.adopt_staged(layer_id, place.diff)
                    unpacked = staged
                else:
                    unpacked = self._unpack_in_place(source_fd, place, layer, progress)
                layer = noted(layer, unpacked)
                os.rename(place.tar_split, self.layers.tar_split_path(layer_id))
                edit.replace(layer)
        return layer

    def _fillable(self, ref: str, *, unused: bool) -> str:
        snapshot = self.snapshot()
        layer_id = self.full_id("layers", snapshot.layers, ref)
        if snapshot.layers.is_read_only(layer_id):
            raise StoreReadOnly(f"layer {layer_id} belongs to an additional store")
        if unused and (users := (*snapshot.children(layer_id), *snapshot.images_on(layer_id))):
            raise StoreReadOnly(
                f"layer {layer_id} can't be changed: {users[0]} stands on it; "
                "make a child with mkdir in its children/",
                words=LayerHasChildren.base_words,
            )
        return layer_id

    def _is_empty(self, layer_id: str) -> bool:
        """Whether a staged directory can take the place of the layer's own."""
        snapshot = self.snapshot()
        layer = snapshot.layers.one(layer_id)
        return (
            layer_id not in snapshot.mounts
            # (Where nothing is mounted by the kernel, there is no directory of changes alone.)
            and not (self.driver.diff_path(layer_id) and self.driver.is_mounted(layer_id))
            and not layer.uidmap
            and not layer.gidmap
            and not self.driver.has_content(layer_id, layer.parent)
        )

    def _unpack_staged(
        self, source_fd: int, place: Staging, layer: Layer, progress: Progress | None
    ) -> Unpacked:
        from holdfs.core.archive.apply import unpack

        self.driver.make_staged(place.diff, layer.parent)
        with _opened_directory(place.diff) as directory_fd:
            return unpack(
                source_fd, directory_fd, place.tar_split, self.driver, layer, progress=progress
            )

    def _unpack_in_place(
        self, source_fd: int, place: Staging, layer: Layer, progress: Progress | None
    ) -> Unpacked:
        from holdfs.core.archive.apply import unpack

        # vfs and btrfs keep whole trees: there the layer itself is where its changes go.
        path = self.driver.diff_path(layer.id) or self.driver.mount_point(layer.id)
        with _opened_directory(path) as directory_fd:
            return unpack(
                source_fd, directory_fd, place.tar_split, self.driver, layer, progress=progress
            )


def _check_end(unpacked: Unpacked) -> None:
    if not unpacked.has_end:
        raise DamagedStream("the end of the archive is missing", unpacked.size)


@contextmanager
def _opened_directory(path: str) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
