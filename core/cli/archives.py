"""`import`, `export`: images from files and into files."""

from __future__ import annotations

import os

from holdfs.core.cli import output

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

    path = arguments[0]
    with ExitStack() as stack:
        file = None
        if path == "-":
            file = stack.enter_context(imagearchive.spooled(0, store.graph_root))
        files = stack.enter_context(Files(path, file))
        image = imagearchive.import_image(store, files, given.entries("name"))
    if given.flag("json"):
        output.out_bytes(to_json(image) + b"\n")
    else:
        output.out("".join((f"{image.id}\n", *(f"\t{name}\n" for name in image.names))))
    return 0


def export_image(store: Store, given: Given, arguments: list[str]) -> int:
    """Write an image as an OCI archive."""
    from holdfs.core.imagearchive import export_image as export

    path = given.text("file")
    output.flush()
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    fd = os.open(path, flags, 0o666) if path else os.dup(1)
    try:
        export(store, arguments[0], fd)
    except OSError as error:
        if error.errno == 32 and not path:
            raise BrokenPipeError from error
        raise
    finally:
        os.close(fd)
    if given.flag("json") and path:
        output.json("")
    return 0
