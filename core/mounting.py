"""
The store's own mounts: counted in a table that all tools share. Source: spec 10.7.

    mount     count 0 → the driver mounts; else the same path, count + 1
    unmount   count 1 → the driver unmounts; else count - 1
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from holdfs.core.errors import LayerMounted, LayerNotKnown, NotKnown, StoreReadOnly
from holdfs.core.formats.records import Layer, MountEntry
from holdfs.core.idmapping import maps_of
from holdfs.core.ids import check_id
from holdfs.core.lockfile import make_private_dir
from holdfs.core.sets import Sets
from holdfs.drivers.base import MountOptions
from holdfs.native.expiring import Expiry, umount_expire


class Mounting(Sets):
    """The operations on the mount table and on a container's directories."""

    def mount(self, ref: str, *, label: str = "") -> str:
        """
        Mount a container's layer, or a layer, once more and return the mount point.

        Raises:
            LayerNotKnown: `ref` is neither.
            StoreReadOnly: The layer belongs to an additional store.
        """
        with self._mounting():
            return self._count_mount(*self._mountable(ref, label))

    def mount_image(self, ref: str, *, label: str = "") -> str:
        """
        Mount an image's top layer read-only once more and return the mount point.

        A layer that is mounted already is taken as it is: its mount point is the same one.

        Raises:
            ImageNotKnown: `ref` is no image.
            LayerNotKnown: The image has no layer.
            StoreReadOnly: The layer belongs to an additional store.
        """
        with self._mounting():
            layer_id = self.image_layer(ref)
            layer = self._own_layer(layer_id)
            options = MountOptions(read_only=True, label=label or layer.mount_label)
            return self._count_mount(layer_id, options)

    @contextmanager
    def _mounting(self) -> Iterator[None]:
        # storage.lock is held around mounting so that nobody shuts the driver down meanwhile.
        with self.graph_lock.writing(), self.layers.lock.writing():
            yield

    def _count_mount(self, layer_id: str, options: MountOptions) -> str:
        known: MountEntry | None = None
        path = ""
        try:
            with self.mount_table.edit() as table:
                known = table.get(layer_id)
                if known is not None and self.driver.is_mounted(layer_id):
                    path = known.path
                else:
                    path = self.driver.mount(layer_id, options)
                # The old count goes on even if the kernel has lost the mount: others count on it.
                count = known.count if known is not None else 0
                table[layer_id] = MountEntry(id=layer_id, path=path, count=count + 1)
        except BaseException:
            if path and known is None:
                # Mounted and could not be counted: nobody would ever unmount it.
                self.driver.unmount(layer_id)
            raise
        return path

    def _mountable(self, ref: str, label: str) -> tuple[str, MountOptions]:
        layer_id = self.layer_of(ref)
        layer = self._own_layer(layer_id)
        snapshot = self.snapshot()
        container = None
        for container_id in snapshot.containers_on(layer_id)[:1]:
            container = snapshot.containers.one(container_id)
        flags = container.flags if container is not None else {}
        uidmap, gidmap = maps_of(container).for_driver
        given = flags.get("MountOpts")
        return layer_id, MountOptions(
            options=tuple(given) if isinstance(given, list) else None,
            label=label or layer.mount_label,
            volatile=flags.get("Volatile") is True and not self.options.disable_volatile,
            uidmap=uidmap,
            gidmap=gidmap,
        )

    def _own_layer(self, layer_id: str) -> Layer:
        layers = self.snapshot().layers
        if layers.is_read_only(layer_id):
            raise StoreReadOnly(
                f"layer {layer_id} belongs to an additional store and can't be mounted",
                words=f"mounting read/only store images is not allowed: {StoreReadOnly.base_words}",
            )
        return layers.one(layer_id)

    def image_layer(self, ref: str) -> str:
        """
        Return the full ID of an image's top layer, the copy without ID maps if there are several.

        Raises:
            ImageNotKnown: `ref` is no image.
            LayerNotKnown: It has no layer, or one that is gone.
        """
        snapshot = self.snapshot()
        image = snapshot.images.one(self.full_id("images", snapshot.images, ref))
        layers = [i for i in (image.layer, *image.mapped_layers) if i in snapshot.layers]
        if not layers:
            snapshot.layers.check()
            raise LayerNotKnown(image.layer)
        return next((i for i in layers if not snapshot.layers.one(i).uidmap), layers[0])

    def layer_of(self, ref: str) -> str:
        """
        Return the full ID of the layer to mount: a container's own, or the layer itself.

        Raises:
            LayerNotKnown: `ref` names neither.
        """
        snapshot = self.snapshot()
        try:
            container_id = self.full_id("containers", snapshot.containers, ref)
        except NotKnown:
            return self.full_id("layers", snapshot.layers, ref)
        layer_id = snapshot.containers.one(container_id).layer
        if layer_id not in snapshot.layers:
            snapshot.layers.check()
            raise LayerNotKnown(layer_id)
        return layer_id

    def unmount(self, ref: str, *, force: bool = False) -> bool:
        """
        Undo one `mount`; not mounted is no error.

        Args:
            force: Unmount whatever the count is.

        Returns:
            Whether it is still mounted, for others.
        """
        with self.layers.lock.writing():
            layer_id = self.layer_of(ref)
            with self.mount_table.edit() as table:
                known = table.get(layer_id)
                if known is not None and known.count > 1 and not force:
                    table[layer_id] = MountEntry(
                        id=layer_id, path=known.path, count=known.count - 1
                    )
                    return True
                self.driver.unmount(layer_id)
                table.pop(layer_id, None)
        return False

    def unmount_if_idle(self, ref: str) -> Expiry:
        """
        Undo one `mount` if nobody has a file or directory of it open.

        Two calls, as the kernel's MNT_EXPIRE: the first says MARKED, the second unmounts unless
        the mount was used in between. While others count it too, or if the driver mounts nothing,
        giving the count back disturbs nobody, and is done at once.
        """
        with self.layers.lock.writing():
            layer_id = self.layer_of(ref)
            with self.mount_table.edit() as table:
                known = table.get(layer_id)
                if known is not None and known.count > 1:
                    table[layer_id] = MountEntry(
                        id=layer_id, path=known.path, count=known.count - 1
                    )
                    return Expiry.UNMOUNTED
                if known is not None:
                    outcome = _expire(known.path)
                    if outcome is not Expiry.UNMOUNTED:
                        return outcome
                self.driver.unmount(layer_id)
                table.pop(layer_id, None)
        return Expiry.UNMOUNTED

    def mounted(self, ref: str) -> int:
        """Return how often the layer, or container's layer, is mounted by the store's table."""
        entry = self.mount_table.current().get(self.layer_of(ref))
        return entry.count if entry is not None else 0

    def shutdown(self, *, force: bool = False) -> list[str]:
        """
        Let the driver undo what it set up, if no layer is mounted.

        Args:
            force: Unmount every mounted layer first.

        Returns:
            Full IDs of the layers that were unmounted.

        Raises:
            LayerMounted: A layer is mounted and `force` is not given; nothing was done.
        """
        with self.graph_lock.writing() as held, self.layers.lock.writing():
            with self.mount_table.edit() as table:
                found = list(table)
                if found and not force:
                    raise LayerMounted(
                        f"layer {found[0]} is mounted at {table[found[0]].path}; unmount it first",
                        words=f"a layer is mounted: {LayerMounted.base_words}",
                    )
                for layer_id in found:
                    self.driver.unmount(layer_id)
                    del table[layer_id]
            # The token tells other processes to set their driver up again.
            held.renew_token()
            self.driver.cleanup()
        return found

    def container_dir(self, ref: str) -> str:
        """Return the container's own directory for what tools keep with it, made if missing."""
        return self._user_data(self.graph_root, ref)

    def container_run_dir(self, ref: str) -> str:
        """Return the container's directory for what need not survive a reboot, made if missing."""
        return self._user_data(self.run_root, ref)

    def _user_data(self, root: str, ref: str) -> str:
        container_id = self.full_id("containers", self.containers.current(), ref)
        check_id(container_id)
        directory = os.path.join(self.places.dir(root, "containers"), container_id, "userdata")
        make_private_dir(directory)
        return directory


def _expire(path: str) -> Expiry:
    # Not to look first whether it is mounted: that would be a use, and take the mark off.
    try:
        return umount_expire(path)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise
        return Expiry.UNMOUNTED  # nothing is mounted there
