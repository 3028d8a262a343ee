"""
A layer gets a directory: overlay, vfs, btrfs behind one protocol.

Importing this is cheap; a driver's modules are loaded when it is opened.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfs.drivers.base import Driver

#: The order in which an empty graph root gets a driver (spec 11.4). aufs is long gone.
DEFAULT_PRIORITY = ("overlay", "btrfs", "zfs", "vfs")
#: Directories of a graph root that tell of a driver.
_STATES = ("aufs", "btrfs", "overlay", "overlay2", "vfs", "zfs")


def open_driver(
    name: str,
    *,
    graph_root: str,
    run_root: str,
    options: Sequence[str],
    priority: Sequence[str] = (),
    image_store: str = "",
) -> Driver:
    """
    Return the driver of a graph root, with its home made.

    Args:
        name: The driver asked for, "" to choose: the one whose state the graph root holds, else the
            first of the priority list that works here.
        options: "overlay.mountopt=nodev"; those of other drivers are passed over.
        priority: The configured list, () for the default one.
        image_store: Another graph root, where layers made read-only go; "" for none. btrfs makes
            no use of it.

    Raises:
        DriverNotSupported: The driver asked for, or the one whose state is there, can't work here.
        DriverError: The options are wrong, or the graph root holds the state of several drivers.
    """
    from holdfs.drivers.base import DriverNotSupported

    graph_root, run_root = os.path.abspath(graph_root), os.path.abspath(run_root)
    image_store = os.path.abspath(image_store) if image_store else ""
    name = name or find_state(graph_root, priority)
    if name:
        return _open(name, graph_root, run_root, options, image_store)
    reasons = []
    for candidate in (*(priority or DEFAULT_PRIORITY), *DEFAULT_PRIORITY):
        try:
            return _open(candidate, graph_root, run_root, options, image_store)
        except DriverNotSupported as error:
            reasons.append(f"{candidate}: {error}")
    raise DriverNotSupported(
        f"no driver works for {graph_root}: {'; '.join(reasons)}",
        words="no supported storage backend found",
    )


def find_state(graph_root: str, priority: Sequence[str] = ()) -> str:
    """
    Return the driver whose state the graph root holds, "" if there is none.

    The state of vfs counts only if the configured list names vfs.

    Raises:
        DriverError: There is the state of several.
    """
    found = [state for state in _STATES if os.path.lexists(f"{graph_root}/{state}")]
    for candidate in priority or DEFAULT_PRIORITY:
        if candidate not in found or (candidate == "vfs" and not priority):
            continue
        if len(found) > 1:
            from holdfs.drivers.base import DriverError

            names = ", ".join(found)
            raise DriverError(
                f"{graph_root} holds the state of several drivers ({names}); "
                "choose one with --storage-driver, or clear away the others",
                words=f"{graph_root} contains several valid graphdrivers: {names}; "
                "Please cleanup or explicitly choose storage driver (-s <DRIVER>)",
            )
        return candidate
    return ""


def _open(
    name: str, graph_root: str, run_root: str, options: Sequence[str], image_store: str
) -> Driver:
    if name in ("overlay", "overlay2"):
        from holdfs.drivers.overlay.open import open_overlay

        return open_overlay(graph_root, run_root, options, image_store)
    if name == "btrfs":
        from holdfs.drivers.btrfs import open_btrfs

        return open_btrfs(graph_root, options)
    if name == "vfs":
        from holdfs.drivers.vfs import open_vfs

        return open_vfs(graph_root, options, image_store)

    from holdfs.drivers.base import DriverNotSupported

    words = f"failed to GetDriver graph {name} {graph_root}: driver not supported"
    if name in _STATES:
        raise DriverNotSupported(
            f"the {name} driver of {graph_root} is not supported: overlay, btrfs and vfs are",
            words=words,
        )
    raise DriverNotSupported(words)
