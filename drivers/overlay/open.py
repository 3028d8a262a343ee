"""Opening the overlay driver of a graph root: options, checks, home, in this order."""

from __future__ import annotations

import os

from holdfs.drivers.base import DriverError, DriverNotSupported
from holdfs.drivers.overlay import home as homes
from holdfs.drivers.overlay.driver import OverlayDriver
from holdfs.drivers.overlay.features import Features
from holdfs.drivers.overlay.options import parse_overlay_options
from holdfs.drivers.overlay.places import Places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def open_overlay(
    graph_root: str, run_root: str, options: Sequence[str], image_store: str = ""
) -> OverlayDriver:
    """
    Return the overlay driver of a graph root; its home is made.

    Nothing stays mounted. The home becomes a private mount with the first layer that is mounted,
    when the caller holds the store's locks: two programs at once would put two mounts there, one
    hiding the layers below the other. And only looking at a store should leave no mount.

    Layers are mounted by the program among the options; else by fuse-overlayfs, if there is one,
    where such a program has written before or the kernel's overlay does not work; else by the
    kernel.

    Raises:
        DriverNotSupported: Overlay can't work here; a home made for the attempt is gone again.
        DriverError: An option is wrong.
        OSError: What overlay can do here is not known yet and can't be tried now: a full disk.
    """
    parsed = parse_overlay_options(options)
    home, run_home = f"{graph_root}/overlay", f"{run_root}/overlay"
    if os.geteuid() != 0:
        raise DriverNotSupported(
            "overlay layers are mounted by root only: try `podman unshare` or `buildah unshare`"
        )
    image_home = f"{image_store}/overlay" if image_store else ""
    homes.make_home(home, run_home)
    try:
        user_xattr = homes.needs_user_xattr(home)
        features = Features(home, run_home, parsed.mountopt, user_xattr=user_xattr)
        program, reason = parsed.mount_program, ""
        if not program:
            reason = homes.find_program_reason(home)
            if reason or not features.has_overlay():
                from holdfs.drivers.overlay.program import find_default_program

                program = find_default_program()
        if program:
            homes.note_program(home)
        elif not reason:
            if parsed.force_mask is not None:
                raise DriverError("'force_mask' is supported only with 'mount_program'")
            homes.check_backing(home)
            features.check_overlay()
            features.uses_metacopy()
            features.has_native_diff()
        if parsed.size or parsed.inodes:
            from holdfs.drivers.overlay.quota import check_quota

            check_quota(home, parsed)
    except BaseException:
        homes.unmake_home(home)
        raise
    if image_home:
        homes.make_home(image_home, run_home)
    return OverlayDriver(
        Places(
            home=home,
            image_home=image_home,
            store_homes=tuple(f"{store}/overlay" for store in parsed.image_stores),
        ),
        parsed,
        features,
        user_xattr=user_xattr,
        program=program,
        program_reason="" if program else reason,
    )
