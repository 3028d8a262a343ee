"""
What a symbolic link made in the tree leads to, found in the tree itself: the kernel is not asked.

    ../base   ../../layers/app   /mnt/images/by-name/docker.io/library/busybox:latest   <full id>
"""

import errno

from holdfs.core.ids import is_full_id
from holdfs.fusefs.tree.node import SINGULAR, Directory, Kind, Node, refusal
from holdfs.fusefs.tree.view import View


def resolve(view: View, directory: Directory, target: str, kind: Kind) -> str:
    """
    Return the ID of the object of this kind that a link in `directory` to `target` means.

    A target that leads nowhere (a `..` too few, another mount's path) but ends in a full ID means
    that object.

    Raises:
        OSError: ENOENT if it leads to no object, EINVAL if to one of another kind.
    """
    found = _follow(view, directory, target)
    if found is None:
        last = target.rstrip("/").rpartition("/")[2]
        if is_full_id(last) and last in view.records(kind):
            return last
        raise refusal(errno.ENOENT, f"{target!r} leads to no {SINGULAR[kind]} in this mount")
    if found[0] != kind:
        raise refusal(
            errno.EINVAL, f"{target!r} leads to a {SINGULAR[found[0]]}, not to a {SINGULAR[kind]}"
        )
    if found[1] not in view.records(kind):
        raise refusal(errno.ENOENT, f"{target!r} leads to a {SINGULAR[kind]} that is gone")
    return found[1]


def _follow(view: View, directory: Directory, target: str) -> tuple[Kind, str] | None:
    root: Directory = directory
    while root.parent is not root:
        root = root.parent
    mount_point = view.tree.settings.mount_point.rstrip("/")
    if target.startswith("/"):
        if target != mount_point and not target.startswith(mount_point + "/"):
            return None
        node, rest = root, target[len(mount_point) :]
    else:
        node, rest = directory, target
    found: Node = node
    for part in rest.split("/"):
        if part in ("", "."):
            continue
        here = _directory(view, root, found)
        if here is None:
            return None
        if part == "..":
            if here is root:
                return None
            found = here.parent
            continue
        entry = here.lookup(view, part)
        if entry is None:
            return None
        found = entry
    return found.object(view)


def _directory(view: View, root: Directory, node: Node) -> Directory | None:
    """Return the directory to go on from: a link to an object leads to that object's own one."""
    if isinstance(node, Directory):
        return node
    found = node.object(view)
    if found is None:
        return None
    collection = root.lookup(view, found[0])
    assert isinstance(collection, Directory)
    own = collection.lookup(view, found[1])
    return own if isinstance(own, Directory) else None
