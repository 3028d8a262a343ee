"""
A new overlay layer on disk: its directories, link and `lower` file.

Source: spec/store-format.md 8.3.
"""

from __future__ import annotations

import errno
import os

from holdfs.drivers.base import DriverError
from holdfs.drivers.overlay import layout, links
from holdfs.drivers.overlay.places import Places
from holdfs.native.about import about

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_BASE_MODE: Final = 0o555


def make_layer(
    places: Places,
    home: str,
    layer_id: str,
    parent_id: str,
    *,
    root: tuple[int, int],
    force_mask: int | None,
    ignore_chown_errors: bool,
) -> None:
    """
    Fill the layer's directory, which is there and empty.

    `link` and `lower` are on disk at return, and with them the directory's entries.

    Args:
        home: The home that the layer is made in.
        root: Who owns a base layer.
        force_mask: The mode of a base layer's top directory; None for the usual one.
    """
    directory = f"{home}/{layer_id}"
    mode, owner, lower = _BASE_MODE if force_mask is None else force_mask, root, ""
    if parent_id:
        parent_home = places.home_of(parent_id)
        shown = os.stat(f"{parent_home}/{parent_id}/diff")
        mode, owner = shown.st_mode & 0o777, (shown.st_uid, shown.st_gid)
        lower = _lower_of_child(places, parent_home, parent_id)

    def make(name: str, mode: int, owner: tuple[int, int] = owner) -> None:
        os.mkdir(f"{directory}/{name}", mode)
        _chown(f"{directory}/{name}", owner, ignore_errors=ignore_chown_errors)

    _chown(directory, root, ignore_errors=ignore_chown_errors)
    make("diff", mode)
    make("work", 0o700)
    make("merged", 0o700)
    if parent_id:
        links.write_small(f"{directory}/lower", lower, 0o666)
    else:
        make("empty", 0o700)
    # Last, since waiting for the disk is cheaper once everything else is there.
    links.make_link(home, layer_id)
    _sync_directory(directory)


def _lower_of_child(places: Places, parent_home: str, parent_id: str) -> str:
    link = links.read_link_name(parent_home, parent_id)
    if not link and parent_home in places.own_homes:
        links.recover_links(parent_home)
        link = links.read_link_name(parent_home, parent_id)
    if not link:
        raise DriverError(
            f"layer {parent_id} can't be a parent: its link is lost", errno_=errno.EIO
        )
    return layout.format_lower(link, links.read_lower(parent_home, parent_id))


def _chown(path: str, owner: tuple[int, int], *, ignore_errors: bool) -> None:
    if owner == (os.geteuid(), os.getegid()):
        return
    try:
        os.chown(path, *owner)
    except PermissionError:
        if not ignore_errors:
            raise


def _sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with about(path):
            os.fsync(fd)
    finally:
        os.close(fd)
