"""Opening the overlay driver of a graph root: options, checks, home, in this order."""

import os
from collections.abc import Sequence

from holdfs.drivers.base import DriverNotSupported
from holdfs.drivers.overlay import home as homes
from holdfs.drivers.overlay.driver import OverlayDriver
from holdfs.drivers.overlay.features import Features
from holdfs.drivers.overlay.options import parse_overlay_options


def open_overlay(graph_root: str, run_root: str, options: Sequence[str]) -> OverlayDriver:
    """
    Return the overlay driver of a graph root; its home is made.

    Nothing stays mounted. The home becomes a private mount with the first layer that is mounted,
    when the caller holds the store's locks: two programs at once would put two mounts there, one
    hiding the layers below the other. And only looking at a store should leave no mount.

    Raises:
        DriverNotSupported: Overlay can't work here; a home made for the attempt is gone again.
        DriverError: An option is wrong.
    """
    parsed = parse_overlay_options(options)
    home, run_home = f"{graph_root}/overlay", f"{run_root}/overlay"
    if os.geteuid() != 0:
        raise DriverNotSupported(
            "overlay layers are mounted by root only: try `podman unshare` or `buildah unshare`"
        )
    homes.make_home(home, run_home)
    try:
        reason = homes.find_program_reason(home, parsed)
        homes.check_backing(home, parsed)
        user_xattr = homes.needs_user_xattr(home)
        features = Features(home, run_home, parsed.mountopt, user_xattr=user_xattr)
        if not reason:
            features.check_overlay()
            features.uses_metacopy()
            features.has_native_diff()
    except BaseException:
        homes.unmake_home(home)
        raise
    return OverlayDriver(home, parsed, features, user_xattr=user_xattr, program_reason=reason)
