"""What rmdir of an object comes to: all checks again, then one call of the store."""

from typing import TYPE_CHECKING

from holdfs.fusefs.tree.node import Kind, Plan
from holdfs.fusefs.tree.view import View

if TYPE_CHECKING:
    from holdfs.fusefs.tree.tree import Tree


def check_delete(tree: "Tree", kind: Kind, object_id: str) -> None:
    """
    Raise what deleting the object would. For a thread.

    Our own idle mount of it is taken down: it is no reason, and will be mounted again on demand.
    """
    # First, so that a refusal leaves the mount alone.
    tree.store.check_delete(kind, object_id)
    tree.automount.release(kind, object_id)
    tree.store.check_delete(kind, object_id, refuse_mounted=True)


def plan_delete(view: View, kind: Kind, object_id: str) -> Plan:
    """
    Return the plan that deletes an object.

    Its step raises what the store refuses with, or LayerMounted while somebody uses its `rootfs`.
    """
    view.check_writable(kind, object_id)
    tree = view.tree
    store, automount = tree.store, tree.automount

    def step() -> None:
        check_delete(tree, kind, object_id)
        match kind:
            case "layers":
                store.delete_layer(object_id, refuse_mounted=True)
            case "images":
                for layer_id in store.delete_image(object_id, commit=False):
                    automount.release("layers", layer_id)
                store.delete_image(object_id)
            case "containers":
                store.delete_container(object_id, refuse_mounted=True)

    return Plan(step)
