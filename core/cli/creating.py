"""
`create-layer`, `import-layer`, `create-image`, `create-container`.

    ID
    TABNAME             each name
"""

from __future__ import annotations

from holdfs.core.cli import idmaps, output, progress, reading_input

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfs.core.cli.options import Given
    from holdfs.core.formats.records import Container, Image, Layer
    from holdfs.core.store import Store


def create_layer(store: Store, given: Given, arguments: list[str]) -> int:
    """Make a layer, on the argument if there is one."""
    from holdfs.core.idmapping import INHERITED

    maps = idmaps.asked(given) or INHERITED
    # Long where the driver copies the parent, or owners have to be changed.
    with progress.shown("creating"):
        layer = store.create_layer(
            parent=_first(arguments),
            names=given.entries("name"),
            layer_id=given.text("id"),
            label=given.text("label"),
            maps=maps,
            read_only=given.flag("readonly"),
        )
    return _say(layer, given)


def import_layer(store: Store, given: Given, arguments: list[str]) -> int:
    """Make a layer of a tar stream, on the argument if there is one."""
    from holdfs.core.idmapping import INHERITED
    from holdfs.native.untar import Progress

    maps, watch = idmaps.asked(given) or INHERITED, Progress()
    with (
        reading_input.opened(given.text("file")) as source_fd,
        progress.shown("importing", lambda: watch.read_bytes, progress.size_of(source_fd)),
    ):
        layer = store.import_layer(
            source_fd,
            parent=_first(arguments),
            names=given.entries("name"),
            layer_id=given.text("id"),
            label=given.text("label"),
            maps=maps,
            read_only=given.flag("readonly"),
            progress=watch,
        )
    return _say(layer, given)


def create_image(store: Store, given: Given, arguments: list[str]) -> int:
    """Make an image, with the argument as its top layer if there is one."""
    image = store.create_image(
        layer=_first(arguments),
        names=given.entries("name"),
        image_id=given.text("id"),
        digest=given.text("digest"),
        metadata=_metadata(given),
    )
    return _say(image, given)


def create_container(store: Store, given: Given, arguments: list[str]) -> int:
    """Make a container of the image that the argument names; "" for none."""
    from holdfs.core.containing import HOST_IDS

    metadata, maps = _metadata(given), idmaps.asked(given) or HOST_IDS
    with progress.shown("creating"):
        container = store.create_container(
            image=arguments[0],
            names=given.entries("name"),
            container_id=given.text("id"),
            metadata=metadata,
            volatile=given.flag("volatile"),
            maps=maps,
        )
    return _say(container, given)


def _first(arguments: list[str]) -> str:
    return arguments[0] if arguments else ""


def _metadata(given: Given) -> str:
    if path := given.text("metadata-file"):
        return reading_input.text_of(path)
    return given.text("metadata")


def _say(record: Layer | Image | Container, given: Given) -> int:
    if given.flag("json"):
        from holdfs.core.formats.records import to_json

        output.out_bytes(to_json(record) + b"\n")
    else:
        output.out("".join((f"{record.id}\n", *(f"\t{name}\n" for name in record.names))))
    return 0
