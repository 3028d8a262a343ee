"""
`create-layer`, `create-image`, `create-container`, `create-storage-layer`.

    ID
    TABNAME             each name
"""

from __future__ import annotations

from holdfs.core.cli import output, reading_input

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfs.core.cli.options import Given
    from holdfs.core.formats.records import Container, Image, Layer
    from holdfs.core.store import Store


def create_layer(store: Store, given: Given, arguments: list[str]) -> int:
    """Make a layer, on the argument if there is one."""
    layer = store.create_layer(
        parent=_first(arguments),
        names=given.entries("name"),
        layer_id=given.text("id"),
        label=given.text("label"),
    )
    return _say(layer, given)


def create_storage_layer(store: Store, given: Given, arguments: list[str]) -> int:
    """Make a layer's directory alone, on the argument if there is one."""
    from holdfs.core import unrecorded

    layer_id = unrecorded.create(
        store, given.text("id"), parent=_first(arguments), label=given.text("label")
    )
    if given.flag("json"):
        output.json(layer_id)
    else:
        output.out(f"{layer_id}\n")
    return 0


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
    container = store.create_container(
        image=arguments[0],
        names=given.entries("name"),
        container_id=given.text("id"),
        metadata=_metadata(given),
        volatile=given.flag("volatile"),
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
