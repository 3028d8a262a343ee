"""`import`, `export`: images from files and into files."""

from __future__ import annotations

import os

from holdfs.core.cli import output, progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfs.core.cli.options import Given
    from holdfs.core.store import Store


def import_image(store: Store, given: Given, arguments: list[str]) -> int:
    """Make an image of an archive, a directory, or standard input."""
    from contextlib import ExitStack

    from holdfs.core import imagearchive
    from holdfs.core.formats.records import to_json
    from holdfs.core.imagesource import Files
    from holdfs.native.untar import Progress

    path, watch = arguments[0], Progress()
    with ExitStack() as stack, progress.shown("importing", lambda: watch.read_bytes):
        file = None
        if path == "-":
            file = stack.enter_context(imagearchive.spooled(0, store.graph_root))
        files = stack.enter_context(Files(path, file))
        image = imagearchive.import_image(store, files, given.entries("name"), progress=watch)
    if given.flag("json"):
        output.out_bytes(to_json(image) + b"\n")
    else:
        output.out("".join((f"{image.id}\n", *(f"\t{name}\n" for name in image.names))))
    return 0


def export(store: Store, given: Given, arguments: list[str]) -> int:
    """Write an image as an OCI archive, or as a directory of that layout."""
    from holdfs.core.imageexport import export_directory, export_image
    from holdfs.native.tarout import OutProgress

    path, watch = given.text("file"), OutProgress()
    if directory := given.text("directory"):
        with progress.shown("exporting", lambda: watch.size):
            export_directory(store, arguments[0], directory, progress=watch)
        if given.flag("json"):
            output.json("")
        return 0
    output.flush()
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    fd = os.open(path, flags, 0o666) if path else os.dup(1)
    try:
        with progress.shown("exporting", lambda: watch.size, apart_from=fd):
            export_image(store, arguments[0], fd, progress=watch)
    except OSError as error:
        if error.errno == 32 and not path:
            raise BrokenPipeError from error
        raise
    finally:
        os.close(fd)
    if given.flag("json") and path:
        output.json("")
    return 0
