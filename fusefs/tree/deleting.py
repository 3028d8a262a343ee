"""What rmdir of an object comes to: all checks again, then one call of the store."""

from holdfs.fusefs.tree.node import Kind, Plan
from holdfs.fusefs.tree.view import View


def plan_delete(view: View, kind: Kind, object_id: str) -> Plan:
    """
    Return the plan that deletes an object.

    Its step raises what the store refuses with, or LayerMounted while somebody uses its `rootfs`.
    """
    view.check_writable(kind, object_id)
    tree = view.tree
    store, automount = tree.store, tree.automount

    def step() -> None:
        # First, so that a refusal leaves the mounts of ours alone.
        store.check_delete(kind, object_id)
        automount.release(kind, object_id)
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
