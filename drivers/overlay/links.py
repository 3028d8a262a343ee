"""
The short links of the overlay home on disk: made, read, and made anew after a crash lost some.

A link and the `link` file that names it are written without waiting for the disk by the Go tools,
so either may be missing, or the file empty, after a power failure.
Source: spec/store-format.md 8.3, 8.4; containers/storage, drivers/overlay/overlay.go.
"""

from __future__ import annotations

import os

from holdfs.drivers.overlay import layout
from holdfs.native.about import about
from holdfs.native.light import logger_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_log: Final = logger_of(__name__)


def read_link_name(home: str, layer_id: str) -> str:
    """Return the name in the layer's `link` file, "" if it is missing or torn."""
    try:
        with open(f"{home}/{layer_id}/link", encoding="utf-8", errors="replace") as file:
            return layout.parse_link(file.read())
    except FileNotFoundError:
        return ""


def read_lower(home: str, layer_id: str) -> str:
    """Return the content of the layer's `lower` file, "" for a base layer."""
    try:
        with open(f"{home}/{layer_id}/lower", encoding="utf-8", errors="surrogateescape") as file:
            return file.read().strip("\n")
    except FileNotFoundError:
        return ""


def make_link(home: str, layer_id: str) -> str:
    """
    Give the layer a new link and a `link` file that names it, and return the name.

    The file comes first: whoever removes a layer that was killed half-made learns from it what
    else to remove. A link that leads nowhere makes the Go tools' recovery fail for good.
    """
    name = layout.format_link(os.urandom(17))
    write_small(f"{home}/{layer_id}/link", name, 0o644)
    os.symlink(layout.link_target(layer_id), f"{home}/{layout.LINKS}/{name}")
    return name


def remove_link(home: str, name: str) -> None:
    """Delete a link. Not there: no error."""
    try:
        os.unlink(f"{home}/{layout.LINKS}/{name}")
    except FileNotFoundError:
        pass


def recover_links(home: str) -> None:
    """
    Make missing links from the layers' `link` files, and missing `link` files from the links.

    A layer that has neither can't be helped; directories that are no layers are passed over, unlike
    in the Go tools, which report them.
    """
    links_dir = f"{home}/{layout.LINKS}"
    os.makedirs(links_dir, 0o755, exist_ok=True)
    _log.warning("links of overlay layers are missing in %s, making them anew", links_dir)
    _rewrite_link_files(home)
    for layer_id in layer_names(home):
        name = read_link_name(home, layer_id)
        if not name:
            continue
        try:
            os.symlink(layout.link_target(layer_id), f"{links_dir}/{name}")
        except FileExistsError:
            pass


def _rewrite_link_files(home: str) -> None:
    """Drop links that lead to no layer; a layer that names no link gets to name its own."""
    links_dir = f"{home}/{layout.LINKS}"
    for name in os.listdir(links_dir):
        try:
            target = os.readlink(f"{links_dir}/{name}")
        except OSError:
            continue  # no link: somebody else's file
        layer_id = layout.parse_link_target(target)
        if not layer_id or not os.path.isdir(f"{home}/{layer_id}"):
            _log.warning("removing link %s/%s, which points to %r", links_dir, name, target)
            remove_link(home, name)
        elif not read_link_name(home, layer_id):
            # A layer with two links keeps the one it names: children may use either.
            write_small(f"{home}/{layer_id}/link", name, 0o644)


def layer_names(home: str) -> list[str]:
    """Return the names of the directories in the home that may be layers, sorted."""
    with os.scandir(home) as entries:
        return sorted(
            entry.name
            for entry in entries
            if layout.is_layer_name(entry.name) and entry.is_dir(follow_symlinks=False)
        )


def write_small(path: str, text: str, mode: int) -> None:
    """
    Write a small file, whatever it held before, and wait until its content is on disk.

    It is never seen empty: the Go tools, deleting a layer whose `link` file is, delete the links of
    all layers with it.
    """
    directory, name = os.path.split(path)
    temporary = f"{directory}/.tmp-{name}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, mode)
    with about(path):
        try:
            os.write(fd, os.fsencode(text))
            # Without it a power failure leaves an empty file under a finished record (ext4, xfs).
            os.fdatasync(fd)
        finally:
            os.close(fd)
    os.rename(temporary, path)
