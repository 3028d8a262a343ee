"""The private mount of a home on itself: keeps layer mounts out of other namespaces."""

from __future__ import annotations

import os

from holdfs.native.mount import MS_BIND, is_mount_point, make_private, mount, umount


def make_private_home(home: str) -> None:
    """Mount the home on itself, privately, so that layer mounts appear in no other namespace."""
    home = os.path.realpath(home)
    if not is_mount_point(home):
        mount(home, home, flags=MS_BIND)
    make_private(home)


def undo_private_home(home: str) -> None:
    """Undo `make_private_home`; a disk of its own that is mounted at the home stays."""
    home = os.path.realpath(home)
    if is_mount_point(home) and os.stat(home).st_dev == os.stat(os.path.dirname(home)).st_dev:
        umount(home)
