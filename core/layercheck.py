"""
Checking single layers: the stream that comes out again, and the tree that is mounted.

    tar-split + files ──► stream ──► digest, size             as recorded?
                             └─────► headers (core.contents)
    headers of the chain, mounted tree ──► differences

Each stream is read once, whatever stands on the layer; a layer whose chain has one that was never
filled from a stream, or can't give it again, has nothing to be compared with.
"""

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, Any, Final, cast

from holdfs.core import userns
from holdfs.core.contents import Headers, Ignored, differences, walk
from holdfs.core.errors import StoreError
from holdfs.core.formats.idmap import Maps
from holdfs.core.formats.records import Layer
from holdfs.core.snapshot import Snapshot
from holdfs.core.store import Store
from holdfs.core.viewing import opened_view
from holdfs.drivers.base import DriverError

_CHUNK: Final = 1 << 20


class LayerCheck:
    """Looks at one layer after the other; closed at the end of `with`."""

    def __init__(self, store: Store, snapshot: Snapshot, *, contents: bool) -> None:
        self._store = store
        self._snapshot = snapshot
        self._headers = Headers() if contents else None
        self._ignored = _ignored(store)
        #: What is wrong with streams, by layer.
        self._streams: dict[str, list[str]] = {}

    def __enter__(self) -> "LayerCheck":
        return self

    def __exit__(self, *_: object) -> None:
        if self._headers is not None:
            self._headers.close()

    def problems(self, layer_id: str) -> Iterator[str]:
        """Yield what is wrong with the layer's stream, its mount and its tree, a line each."""
        chain = self._snapshot.chain(layer_id)
        # Those below first, and each once: the tree is compared with the headers of all.
        for each in chain if self._headers is not None else chain[-1:]:
            if each not in self._streams:
                self._streams[each] = list(self._stream_problems(self._snapshot.layers.one(each)))
        yield from self._streams[layer_id]
        yield from self._tree_problems(self._snapshot.layers.one(layer_id), chain)

    # -- the stream --------------------------------------------------------------------------------

    def _stream_problems(self, layer: Layer) -> Iterator[str]:
        """Write the layer's diff anew, and see that it is the stream that filled the layer."""
        if not layer.diff_digest:
            return
        from holdfs.native.untar import Compression

        reader, writer = os.pipe2(os.O_CLOEXEC)
        failures: list[OSError | StoreError | DriverError] = []

        def write() -> None:
            try:
                self._store.write_diff(layer.id, writer, compression=Compression.NONE)
            except (OSError, StoreError, DriverError) as failure:
                failures.append(failure)
            finally:
                os.close(writer)

        algorithm, _, expected = layer.diff_digest.partition(":")
        thread = threading.Thread(target=write, name="diff")
        thread.start()
        with open(reader, "rb", buffering=0) as raw:
            stream = _Summed(raw, hashlib.new(algorithm))
            try:
                if self._headers is not None:
                    # It only reads, which is all that tarfile asks of a stream.
                    self._headers.read(layer.id, cast(IO[bytes], stream))
                while stream.read(_CHUNK):
                    pass
            finally:
                raw.close()  # before the join: a writer that is still at it ends by EPIPE
                thread.join()
        if failures:
            reason = _reason(failures[0])
            # Contract: both lines. The first is what whoever read the stream to its end found.
            yield f"consume any trailer after the EOF marker: {reason}"
            yield reason
            return
        if stream.sum.hexdigest() != expected:
            yield "layer content incorrect digest"
        if stream.size != layer.diff_size:
            yield (
                f"read {stream.size} bytes instead of {layer.diff_size} bytes: "
                "layer content incorrect size"
            )

    # -- the tree ----------------------------------------------------------------------------------

    def _tree_problems(self, layer: Layer, chain: tuple[str, ...]) -> Iterator[str]:
        with ExitStack() as stack:
            try:
                view = opened_view(self._store.driver, self._store.run_root, layer.id)
                top = f"/proc/self/fd/{stack.enter_context(view)}"
            except DriverError as error:
                yield error.words
                return
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                yield f"mounting {error.filename or layer.id}: {reason}"
                return
            try:
                yield from self._differences(layer, chain, top)
            except OSError as error:
                yield _reason(error, top)

    def _differences(self, layer: Layer, chain: tuple[str, ...], target: str) -> Iterator[str]:
        headers = self._headers
        if headers is None or not all(each in headers for each in chain):
            return
        if self._snapshot.layers.one(chain[0]).parent:
            return  # the base is missing, which is told
        for difference in differences(
            headers.expected(chain),
            walk(target),
            uid_map=_ranges(layer.uidmap),
            gid_map=_ranges(layer.gidmap),
            ignored=self._ignored,
        ):
            yield f"{difference}, layer content modified"


class _Summed:
    """A stream to read from that is summed and counted meanwhile."""

    def __init__(self, raw: IO[bytes], sum: Any) -> None:
        self._raw = raw
        self.sum = sum
        self.size = 0

    def read(self, length: int) -> bytes:
        data = self._raw.read(length)
        self.sum.update(data)
        self.size += len(data)
        return data


def _ignored(store: Store) -> Ignored:
    """Return what the store's options explain."""
    driver = store.driver
    masked = driver.force_mask is not None
    # Such layers may share files with others, and then have their times.
    has_links = dict(store.options.pull_options).get("use_hard_links", "").lower() == "true"
    return Ignored(
        owner=driver.ignore_chown_errors or masked,
        mode=masked,
        kind=masked,
        mtime=has_links,
        devices=userns.is_inside(),
    )


def _ranges(maps: Maps) -> list[tuple[int, int, int]]:
    return [(each.container_id, each.host_id, each.size) for each in maps]


def _reason(failure: OSError | StoreError | DriverError, top: str = "") -> str:
    """Return what failed; a file is named as it is called below `top`."""
    if not isinstance(failure, OSError):
        return failure.words
    if failure.filename is None:
        return failure.strerror or str(failure)
    name = os.fsdecode(failure.filename).removeprefix(top)
    return f"open {name}: {(failure.strerror or '').lower()}"
