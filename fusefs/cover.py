"""
Where `rootfs` leads in the mount of an ordinary user: into the daemon's mount namespace.

    MNT/images/ID/rootfs ─► /proc/<daemon>/root/MNT/.files/layers/<layer id>

A tmpfs of the namespace covers MNT there (so the daemon doesn't meet its own tree either), and each
mount is bound below, at the path at which the tree outside serves the same content. So a path that
a program has made of where it is (realpath, getcwd) is right in either place.
"""

import os

from holdfs.native import mount
from holdfs.native.expiring import Expiry, umount_expire


class Cover:
    """
    Args:
        mount_point: Where the tree is to be seen outside; covered, for this namespace, by an empty
            file system.

    Raises:
        OSError: It can't be covered.
    """

    def __init__(self, mount_point: str) -> None:
        mount.mount(
            "holdfs", mount_point, "tmpfs", flags=mount.MS_NOSUID | mount.MS_NODEV, data="mode=0755"
        )
        self._layers = f"{mount_point}/.files/layers"
        os.makedirs(self._layers)

    def bind(self, path: str, layer_id: str) -> str:
        """
        Show the mount `path` of this layer where the tree serves it, and return that place.

        Returns:
            `path` itself if the layer has another mount there: one is enough for whoever looks.
        """
        place = f"{self._layers}/{layer_id}"
        try:
            os.mkdir(place)
        except FileExistsError:
            return path
        try:
            mount.bind(path, place)
        except BaseException:
            os.rmdir(place)
            raise
        return place

    def unbind_if_idle(self, place: str) -> Expiry:
        """Undo `bind` if nobody is there; two calls, as `umount_expire`."""
        outcome = umount_expire(place)
        if outcome is Expiry.UNMOUNTED:
            os.rmdir(place)
        return outcome
