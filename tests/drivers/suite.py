"""What the suites of driver tests are made of: the driver of a class, layers, mounts, ID maps."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest

from holdfs.drivers import open_driver
from holdfs.drivers.base import Driver, MountOptions
from holdfs.native.mount import umount
from tests.conftest import GraphRun
from tests.drivers.manifest import fill

WRITABLE = MountOptions()
UIDMAP = ((0, 100_000, 65_536),)
GIDMAP = ((0, 200_000, 10), (10, 300_000, 65_526))


def layer_id(number: int) -> str:
    """Return the number as a full layer ID."""
    return f"{number:064x}"


@contextmanager
def mounted(driver: Driver, layer: str, options: MountOptions = WRITABLE) -> Iterator[str]:
    """Give the layer's mount, undone at the end."""
    path = driver.mount(layer, options)
    try:
        yield path
    finally:
        driver.unmount(layer)


@contextmanager
def viewed(driver: Driver, layer: str, target: str) -> Iterator[str]:
    """Give a view of the layer at `target`, a directory that is made for it and removed."""
    os.mkdir(target)
    driver.mount_view(layer, target)
    try:
        yield target
    finally:
        umount(target)
        os.rmdir(target)


@contextmanager
def mounted_layers(driver: Driver, count: int) -> Iterator[str]:
    """Make a chain of layers, file f<n> in layer n, and give the mount of the last."""
    parent = ""
    for number in range(1, count + 1):
        driver.create(layer_id(number), parent)
        parent = layer_id(number)
        with mounted(driver, parent) as top, open(f"{top}/f{number}", "wb"):
            pass
    with mounted(driver, parent) as top:
        yield top


def mapped(shown: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
    """Return a manifest with the owners that UIDMAP and GIDMAP give, but for the top directory."""
    return {
        path: entry if path == "." else (entry[0], _mapped_owner(*entry[1]), *entry[2:])
        for path, entry in shown.items()
    }


def _mapped_owner(uid: int, gid: int) -> tuple[int, int]:
    return uid + 100_000, gid + (200_000 if gid < 10 else 300_000 - 10)


class DriverSuite:
    """Tests of one driver. `driver` is one with an empty store."""

    driver_name: ClassVar[str]
    #: Whether what is made belongs to the root of the maps that are given.
    owns_by_maps: ClassVar[bool] = True
    #: Whether a layer's own directory says what was changed in its parent.
    has_native_diff: ClassVar[bool] = False

    def kept(self, shown: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        """Return what of a manifest does not change with the owners."""
        return shown

    def fill_for_owners(self, top: str) -> None:
        """Put one of everything whose owner can be changed below `top`."""
        fill(top)
        os.link(f"{top}/dangling", f"{top}/sticky/dangling")
        os.link(f"{top}/etc/set-id", f"{top}/sticky/set-id")

    @pytest.fixture
    def driver(self, any_roots: GraphRun) -> Iterator[Driver]:
        opened = self.open(any_roots)
        yield opened
        opened.cleanup()

    def open(self, roots: GraphRun, *options: str, image_store: str = "") -> Driver:
        return open_driver(
            self.driver_name,
            graph_root=roots.graph,
            run_root=roots.run,
            options=options,
            image_store=image_store,
        )
