"""
Sealing a layer for an image to stand on: it has a digest and a tar, and these are of what is in it.

    never filled by a stream ──► diff, generated ──► one pass: digests, tar-split ──► record
    filled by one ──► unpacked once more, and compared: the same? done. Else as above

podman lists no image at all while one of the store stands on a layer of unknown size, and none can
be pushed whose layer has no digest. (`buildah commit` does the same in two layers.) What was put in
a layer after its stream is in no tar-split, and would be lost at the first push.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from holdfs.core.diffing import Diffing
from holdfs.core.errors import DamagedStream
from holdfs.core.filling import Filling
from holdfs.core.formats.records import Layer
from holdfs.core.idmapping import maps_of

if TYPE_CHECKING:
    from holdfs.native.treediff import Change

#: What reading a tar back says when the layer's files are not those it was made of.
_CHANGED = (errno.EBADMSG, errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class Sealing(Filling, Diffing):
    """The operation that makes a layer one that images can stand on."""

    def seal(self, ref: str) -> Layer:
        """
        Record digest, size and tar-split of what a layer changes now, unless they are known.

        A layer that others stand on already is left as it is. Reads all of the layer; no lock is
        held meanwhile.

        Raises:
            LayerNotKnown: There is no such layer.
        """
        snapshot = self.snapshot()
        layer = snapshot.layers.one(self.full_id("layers", snapshot.layers, ref))
        is_settled = snapshot.children(layer.id) or snapshot.images_on(layer.id)
        if snapshot.layers.is_read_only(layer.id):
            return layer
        if layer.diff_digest and (is_settled or self._is_as_applied(layer)):
            return layer
        from holdfs.core.archive.apply import noted, read_through
        from holdfs.core.archive.staging import staging

        with staging(self.graph_root) as place:
            with self._streamed(layer, generate=True) as reader:
                unpacked = read_through(reader, place)
            with self.layers.edit() as edit:
                fresh = edit.records.one(layer.id)
                # Another stream may have filled it meanwhile.
                if fresh.diff_digest == layer.diff_digest:
                    fresh = noted(fresh, unpacked)
                    os.rename(place.tar_split, self.layers.tar_split_path(layer.id))
                    edit.replace(fresh)
        return fresh

    def _is_as_applied(self, layer: Layer) -> bool:
        """Whether the layer holds what its stream gave, and nothing else."""
        from holdfs.core.archive.apply import unpack
        from holdfs.core.archive.staging import staging
        from holdfs.native.treediff import DiffOf, changes

        parent = self.layers.current().get(layer.parent) if layer.parent else None
        if parent is not None and maps_of(parent) != maps_of(layer):
            return True  # its owners were changed all over, so a fresh copy tells nothing
        with staging(self.graph_root) as place:
            self.driver.make_staged(place.diff, layer.parent)
            with _opened(place.diff) as staged_fd:
                try:
                    with self._streamed(layer, generate=False) as reader:
                        unpacked = unpack(reader, staged_fd, place.tar_split, self.driver, layer)
                except DamagedStream:
                    return False
                except OSError as error:
                    if error.errno in _CHANGED:
                        return False
                    raise
                # Killed before the record was replaced, a process leaves its tar-split alone.
                if layer.diff_digest != f"sha256:{unpacked.sha256}":
                    return False
                own = self.driver.diff_path(layer.id) or self.driver.mount_point(layer.id)
                with _opened(own) as own_fd:
                    found = changes(DiffOf(new_fd=own_fd, old_fd=staged_fd)).entries
                    return not any(_is_real(each, own_fd, staged_fd) for each in found)

    @contextmanager
    def _streamed(self, layer: Layer, *, generate: bool) -> Iterator[int]:
        """Give a descriptor to read the layer's diff from, plain, while a thread writes it."""
        from holdfs.native.untar import Compression

        reader, writer = os.pipe2(os.O_CLOEXEC)
        failures: list[BaseException] = []

        def write() -> None:
            try:
                self.write_diff(layer.id, writer, compression=Compression.NONE, generate=generate)
            except BaseException as failure:
                failures.append(failure)
            finally:
                os.close(writer)

        thread = threading.Thread(target=write, name="diff")
        thread.start()
        try:
            yield reader
        except DamagedStream:
            # So reads a diff that broke off: its own failure, if there is one, is the cause.
            os.close(reader)
            thread.join()
            if not failures or _is_broken_pipe(failures[0]):
                raise
        except BaseException:
            os.close(reader)
            thread.join()
            raise
        else:
            os.close(reader)
            thread.join()
        if failures:
            raise failures[0]


def _is_broken_pipe(failure: BaseException) -> bool:
    return isinstance(failure, OSError) and failure.errno == errno.EPIPE


def _is_real(change: Change, own_fd: int, staged_fd: int) -> bool:
    """
    Whether a difference of two unpackings of one stream is a difference in what they hold.

    A whiteout has the time at which it was made, and a directory is listed for what is below it.
    """
    if change.kind != "C":
        return True
    path = change.path.lstrip("/")
    own = os.stat(path, dir_fd=own_fd, follow_symlinks=False)
    staged = os.stat(path, dir_fd=staged_fd, follow_symlinks=False)
    same = (own.st_mode, own.st_uid, own.st_gid) == (staged.st_mode, staged.st_uid, staged.st_gid)
    is_whiteout = stat.S_ISCHR(own.st_mode) and own.st_rdev == staged.st_rdev == 0
    return not (same and (is_whiteout or stat.S_ISDIR(own.st_mode)))


@contextmanager
def _opened(path: str) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
