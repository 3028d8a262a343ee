"""
A store that is opened without its driver, where opening that would find nothing to do.

Most commands look at records, or change names, or make a layer or a container. What they need is
small and quick to load; the whole store is opened behind this one when something else is asked for.

Nothing is to do where the overlay driver was opened before since the last boot: its answers are in
the run root, its directories are there, and no option asks for anything else. Wherever that is not
certain, the whole store is opened at once: it says what is wrong, or puts it right.
"""

from __future__ import annotations

import os

from holdfs.core.changing import Changing
from holdfs.core.looking import Places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from holdfs.core.config import StoreOptions
    from holdfs.core.containing import Containing
    from holdfs.core.looking import Kind
    from holdfs.core.recordset import RecordSet
    from holdfs.core.store import Store

_DRIVER = "overlay"
#: Its only option that changes nothing but how layers are mounted.
_MOUNT_OPTIONS = "overlay.mountopt="
#: What takes the driver, but none of what else the whole store loads.
_MAKING = frozenset({"create_layer", "create_image", "create_container"})


class QuickStore(Changing):
    """
    Records that are looked at, names and metadata that are changed; all else as in `Store`.

    Args:
        open_whole: Opens the whole store.
    """

    def __init__(
        self, options: StoreOptions, places: Places, open_whole: Callable[[], Store]
    ) -> None:
        super().__init__(options, places)
        self._open_whole = open_whole
        self._whole: Store | None = None
        self._maker: Containing | None = None

    @property
    def whole(self) -> Store:
        """The whole store, opened at the first use."""
        if self._whole is None:
            self._whole = self._open_whole()
        return self._whole

    @property
    def maker(self) -> Containing:
        """What makes layers, images and containers, opened at the first use."""
        if self._maker is None:
            from holdfs.core.containing import Containing
            from holdfs.drivers import open_driver

            driver = open_driver(
                _DRIVER,
                graph_root=self.options.graph_root,
                run_root=self.options.run_root,
                options=self.options.driver_options,
            )
            self._maker = Containing(self.options, driver)
        return self._maker

    def __getattr__(self, name: str) -> Any:
        # Only what is not found here comes this way.
        return getattr(self.maker if name in _MAKING else self.whole, name)

    def set_of(self, kind: Kind) -> RecordSet[Any]:
        """Return the set of a kind, to be changed."""
        if kind == "layers":
            # Layers that a crash left half made are deleted first, and that takes the driver.
            return self.maker.layers
        from holdfs.core.recordset import RecordSet

        reader: Any = self.images if kind == "images" else self.containers
        return RecordSet(reader.shape, reader.lock, reader.sources, reader.known)

    def pull_up(self, ref: str) -> None:
        """Do nothing: there are no additional stores."""


def open_quickly(options: StoreOptions, open_whole: Callable[[], Store]) -> QuickStore | None:
    """
    Return the store, None where it is not certain that nothing is to do.

    Raises:
        DriverError: The graph root holds the state of several drivers.
    """
    if os.geteuid() != 0 or options.image_store or options.additional_image_stores:
        return None
    mount_options = [text for text in options.driver_options if text.startswith(_MOUNT_OPTIONS)]
    if len(mount_options) != len(options.driver_options) or len(mount_options) > 1:
        return None
    driver = options.driver
    if not driver:
        from holdfs.drivers import find_state

        driver = find_state(options.graph_root, options.driver_priority)
    if driver != _DRIVER:
        return None
    words = mount_options[0].removeprefix(_MOUNT_OPTIONS) if mount_options else ""
    places = Places(options, driver)
    if not _is_ready(options, words, places):
        return None
    return QuickStore(options, places, open_whole)


def _is_ready(options: StoreOptions, words: str, places: Places) -> bool:
    home, run_home = f"{options.graph_root}/{_DRIVER}", f"{options.run_root}/{_DRIVER}"
    exists = os.path.exists
    try:
        with open(f"{home}/.has-mount-program", "rb", buffering=0) as file:
            if file.read(16) != b"false":
                return False
    except OSError:
        return False
    return (
        exists(f"{run_home}/overlay-true")
        and _is_known(f"{run_home}/metacopy({words})")
        and _is_known(f"{run_home}/native-diff({words})")
        and exists(f"{home}/l")
        and all(map(os.path.isdir, places.dirs))
        and all(map(exists, places.locks))
    )


def _is_known(feature: str) -> bool:
    return os.path.exists(f"{feature}-true") or os.path.exists(f"{feature}-false")
