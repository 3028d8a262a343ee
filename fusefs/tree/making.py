"""What mkdir makes: an object of a name, or of an ID if 64 hex digits are given."""

from typing import TYPE_CHECKING

from holdfs.core.ids import is_full_id
from holdfs.fusefs.tree.node import Kind

if TYPE_CHECKING:
    from holdfs.fusefs.tree.tree import Tree
    from holdfs.fusefs.tree.view import Subject


def make(tree: "Tree", kind: Kind, name: str) -> str:
    """Make an object that is related to none and return its ID."""
    match kind:
        case "layers":
            return _layer(tree, name, "")
        case "images":
            return _image(tree, name, "")
        case "containers":
            return _container(tree, name, "")


def child_layer(subject: "Subject", name: str) -> str:
    """Make a layer on the subject, a layer, and return its ID."""
    return _layer(subject.view.tree, name, subject.id)


def image_on(subject: "Subject", name: str) -> str:
    """Make an image whose top layer is the subject and return its ID."""
    return _image(subject.view.tree, name, subject.id)


def container_of(subject: "Subject", name: str) -> str:
    """Make a container of the subject, an image, and return its ID."""
    return _container(subject.view.tree, name, subject.id)


def _layer(tree: "Tree", name: str, parent: str) -> str:
    is_id = is_full_id(name)
    layer = tree.store.create_layer(
        parent=parent, names=() if is_id else (name,), layer_id=name if is_id else ""
    )
    return layer.id


def _image(tree: "Tree", name: str, layer: str) -> str:
    is_id = is_full_id(name)
    if layer:
        # From now on its content does not change: nobody may be left writing to it.
        tree.automount.release("layers", layer)
    image = tree.store.create_described_image(
        layer=layer, names=() if is_id else (name,), image_id=name if is_id else ""
    )
    return image.id


def _container(tree: "Tree", name: str, image: str) -> str:
    is_id = is_full_id(name)
    container = tree.store.create_container(
        image=image, names=() if is_id else (name,), container_id=name if is_id else ""
    )
    return container.id
