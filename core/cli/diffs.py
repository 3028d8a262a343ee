"""
`diff`, `changes`, `diffsize`: what a layer changes; `applydiff`: changes into a layer.

    Add "/etc/motd"         the path as a Go string literal
    Modify "/etc"
    Delete "/etc/old"
"""

from __future__ import annotations

import os

from holdfs.core.cli import output, progress, reading_input

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfs.core.cli.options import Given
    from holdfs.core.store import Store
    from holdfs.native.treediff import Change
    from holdfs.native.untar import Compression


def changes(store: Store, given: Given, arguments: list[str]) -> int:
    """List what differs between the layer and its parent, or another layer."""
    with progress.shown("comparing"):
        found = store.changes(arguments[0], from_=_reference(arguments))
    if given.flag("json"):
        _write_as_json(found)
        return 0
    from holdfs.core.cli.goquote import quoted

    words = {"C": "Modify", "A": "Add", "D": "Delete"}
    for kind, path in found:
        output.out(f"{words[kind]} {quoted(path)}\n")
    return 0


def _write_as_json(found: Iterator[Change]) -> None:
    numbers = {"C": 0, "A": 1, "D": 2}
    before = "["
    for kind, path in found:
        output.out(before + output.json_object((("Path", path), ("Kind", numbers[kind]))))
        before = ","
    output.out("null\n" if before == "[" else "]\n")


def size(store: Store, given: Given, arguments: list[str]) -> int:
    """Print how many bytes the layer adds to its parent, or to another layer."""
    with progress.shown("comparing"):
        found = store.diff_size(arguments[0], from_=_reference(arguments))
    # One number is the same in JSON.
    output.out(f"{found}\n")
    return 0


def diff(store: Store, given: Given, arguments: list[str]) -> int:
    """Write a tar of what differs between the layer and its parent, or another layer."""
    from holdfs.native.tarout import OutProgress

    path = given.text("file")
    # Contract: the file is made, and emptied, before the layer is looked for.
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    output.flush()
    fd = os.open(path, flags, 0o666) if path else os.dup(1)
    try:
        to, reference = arguments[0], _reference(arguments)
        chosen = _compression(store, given, to)
        watch = OutProgress()
        with progress.shown("writing", lambda: watch.size, apart_from=fd):
            store.write_diff(to, fd, from_=reference, compression=chosen, progress=watch)
    except OSError as error:
        if error.errno == 32 and not path:
            raise BrokenPipeError from error
        raise
    finally:
        # A close that fails is an error: the data may not be there.
        os.close(fd)
    return 0


def _compression(store: Store, given: Given, ref: str) -> Compression:
    from holdfs.core.errors import InvalidValue
    from holdfs.native.untar import Compression

    layers = store.layers.current()
    chosen = Compression(layers.one(store.full_id("layers", layers, ref)).compression)
    for key, value in (
        ("uncompressed", Compression.NONE),
        ("gzip", Compression.GZIP),
        ("bzip2", Compression.BZIP2),
        ("xz", Compression.XZ),
    ):
        if given.flag(key):
            chosen = value
    if chosen in (Compression.BZIP2, Compression.XZ):
        extension = "tar.bz2" if chosen is Compression.BZIP2 else "tar.xz"
        raise InvalidValue(
            f"a diff can't be written as {extension}; -u and -c can",
            words=f"unsupported compression format {extension}",
        )
    return chosen


def apply(store: Store, given: Given, arguments: list[str]) -> int:
    """Unpack a tar stream into the layer."""
    from holdfs.native.untar import Progress

    watch = Progress()
    with (
        reading_input.opened(given.text("file")) as source_fd,
        progress.shown("applying", lambda: watch.read_bytes, progress.size_of(source_fd)),
    ):
        store.apply_diff(arguments[0], source_fd, progress=watch)
    if given.flag("json"):
        output.json("")
    return 0


def apply_directory(store: Store, given: Given, arguments: list[str]) -> int:
    """Put a directory's content into a layer, with a table of contents."""
    from holdfs.core import chunked
    from holdfs.native.untar import Progress

    watch = Progress()
    with progress.shown("applying", lambda: watch.read_bytes):
        chunked.apply_directory(store, arguments[0], arguments[1], progress=watch)
    if given.flag("json"):
        output.json("")
    return 0


def _reference(arguments: list[str]) -> str:
    return arguments[1] if len(arguments) > 1 else ""
