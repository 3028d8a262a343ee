"""
Sealing a layer that was filled through its mount: from then on it has a digest and a tar.

    diff, generated ──► one pass that hashes it and writes the tar-split ──► record

podman lists no image at all while one of the store stands on a layer of unknown size, and none can
be pushed whose layer has no digest. (`buildah commit` does the same in two layers.)
"""

from __future__ import annotations

import os
import threading

from holdfs.core.diffing import Diffing
from holdfs.core.filling import Filling
from holdfs.core.formats.records import Layer


class Sealing(Filling, Diffing):
    """The operation that makes a layer one that images can stand on."""

    def seal(self, ref: str) -> Layer:
        """
        Record digest, size and tar-split of what a layer changes now, if it has none yet.

        Reads all of it; no lock is held meanwhile.

        Raises:
            LayerNotKnown: There is no such layer.
        """
        layers = self.layers.current()
        layer = layers.one(self.full_id("layers", layers, ref))
        if layer.diff_digest or layers.is_read_only(layer.id):
            return layer
        from holdfs.core.archive.apply import noted, read_through
        from holdfs.core.archive.staging import staging
        from holdfs.native.untar import Compression

        with staging(self.graph_root) as place:
            reader, writer = os.pipe2(os.O_CLOEXEC)
            failures: list[BaseException] = []

            def write() -> None:
                try:
                    self.write_diff(layer.id, writer, compression=Compression.NONE)
                except BaseException as failure:
                    failures.append(failure)
                finally:
                    os.close(writer)

            thread = threading.Thread(target=write, name="diff")
            thread.start()
            try:
                unpacked = read_through(reader, place)
            except BaseException as damage:
                # A diff that broke off reads as a damaged tar: the cause is what counts.
                failures.append(damage)
            finally:
                os.close(reader)
                thread.join()
            if failures:
                raise failures[0]
            with self.layers.edit() as edit:
                fresh = edit.records.one(layer.id)
                if not fresh.diff_digest:
                    fresh = noted(fresh, unpacked)
                    os.rename(place.tar_split, self.layers.tar_split_path(layer.id))
                    edit.replace(fresh)
        return fresh
