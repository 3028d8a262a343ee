"""
Tars put together from a layer's files: written to a descriptor, or as a list of segments that can
be read anywhere.

Rules: spec/store-format.md 4.3.
"""

from __future__ import annotations

import errno
import os

from holdfs.native._tar import ffi, lib
from holdfs.native.untar import Compression

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from holdfs.native.blocks import Blocks


class TarOutError(OSError):
    """A tar could not be made. EBADMSG: a file is not what it was, or the tar-split is damaged."""


class Written:
    """What went out: bytes of the tar, and those that were written, which may be compressed."""

    def __init__(self, size: int, written: int) -> None:
        self.size = size
        self.written = written


class OutProgress:
    """How far running calls have come, one after the other; to be looked at from another thread."""

    def __init__(self) -> None:
        self._result: Any = None
        self._earlier_size = 0

    def follow(self, result: Any) -> None:
        """Look at a call that is about to fill this struct."""
        self._earlier_size = self.size
        self._result = result

    @property
    def size(self) -> int:
        """Bytes of the tars so far, before they are compressed."""
        size: int = self._result.size if self._result else 0
        return self._earlier_size + size


def tar_from_split(
    tar_split_fd: int,
    directory_fds: Sequence[int],
    output_fd: int,
    *,
    compression: Compression = Compression.NONE,
    cancel_fd: int = -1,
    progress: OutProgress | None = None,
) -> Written:
    """
    Write the tar that a tar-split describes, byte for byte as it was applied.

    Args:
        tar_split_fd: Read from where it stands.
        directory_fds: Where files are looked up, in turn: the layer's own directory, then those of
            its lowers from the nearest on.
        output_fd: A pipe, socket or file.
        compression: NONE, GZIP or ZSTD.
        cancel_fd: The call gives up with ECANCELED once it can be read; -1 for never.
        progress: Is filled while the call runs.

    Raises:
        TarOutError: Part of the tar has been written.
    """
    fds = ffi.new("int[]", list(directory_fds))
    options = out_options(output_fd, compression, cancel_fd)
    result = ffi.new("struct hold_tar_out_result *")
    if progress is not None:
        progress.follow(result)
    check(lib.hold_tar_from_split(tar_split_fd, fds, len(directory_fds), options, result), result)
    return Written(result.size, result.written)


class Segments:
    """
    A tar that can be read from any offset, without being stored anywhere.

    Its own bytes are in a temporary file, in memory are some 40 bytes a member. Safe to use from
    several threads. Close it, or use it in `with`.
    """

    def __init__(self, pointer: Any) -> None:
        self._pointer = pointer
        #: Of the whole tar.
        self.size: int = lib.hold_segments_size(pointer)

    @classmethod
    def from_split(cls, tar_split_fd: int, directory_fds: Sequence[int], spill_fd: int) -> Segments:
        """
        List the tar that a tar-split describes.

        Args:
            directory_fds: As for `tar_from_split`; duplicated.
            spill_fd: An empty file without a name, say; duplicated.
        """
        fds = ffi.new("int[]", list(directory_fds))
        result = ffi.new("struct hold_tar_out_result *")
        made = ffi.new("struct hold_segments **")
        count = len(directory_fds)
        failed = lib.hold_segments_from_split(tar_split_fd, fds, count, spill_fd, made, result)
        check(failed, result)
        return cls(made[0])

    def read(self, offset: int, length: int, blocks: Blocks) -> memoryview:
        """
        Return `length` bytes from `offset` on, fewer only at the end.

        Args:
            blocks: To read into; who lets go of the last view of what is returned gives it back.

        Raises:
            OSError: EBADMSG when a file is not what it was; ENOENT when it is gone.
        """
        length = max(0, min(length, self.size - offset))
        block = blocks.take(length)
        read: int = lib.hold_segments_read(self._pointer, offset, block, length)
        if read < 0:
            raise TarOutError(-read, os.strerror(-read))
        return memoryview(ffi.buffer(block, read))

    def close(self) -> None:
        """Free all of it; reading is over."""
        pointer, self._pointer = self._pointer, ffi.NULL
        lib.hold_segments_free(pointer)

    def __enter__(self) -> Segments:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def out_options(output_fd: int, compression: Compression, cancel_fd: int) -> Any:
    """Return the C struct for where a tar goes."""
    if compression not in (Compression.NONE, Compression.GZIP, Compression.ZSTD):
        raise OSError(errno.EINVAL, f"cannot write {compression.name.lower()}")
    return ffi.new(
        "struct hold_tar_out_options *",
        {"fd": output_fd, "cancel_fd": cancel_fd, "compression": compression},
    )


def check(result: int, said: Any) -> None:
    """Raise what a call that fills a `hold_tar_out_result` returned."""
    if result < 0:
        raise TarOutError(-result, os.fsdecode(ffi.string(said.message)))
