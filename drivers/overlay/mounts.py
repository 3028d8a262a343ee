"""
What an overlay mount of a layer consists of.

    lowers   the layer's own diff1, diff2, … (left by a change of ID maps), then for each entry of
             `lower`: the entry, its diff1, diff2, …; if there are none: <id>/empty
    upper    <id>/diff, work <id>/work; a mount that is not written has diff as its first lower

Names are relative to the home that the layer is in; lowers in other homes are named in full.
Source: spec/store-format.md 8.5.
"""

from __future__ import annotations

import errno
import os

from holdfs.drivers.base import DriverError, MountOptions
from holdfs.drivers.overlay import layout, links
from holdfs.drivers.overlay.places import Places
from holdfs.drivers.overlay.words import split_words
from holdfs.native import mount as sys
from holdfs.native.light import logger_of
from holdfs.native.remove import remove_tree
from holdfs.native.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_log: Final = logger_of(__name__)

#: Below a layer: where the kernel marks the work directory of a volatile mount.
_INCOMPAT: Final = ("work", "work", "incompat")


class OverlayMount(Value):
    """One mount, ready to be made: names below the home, the file system's options, flags."""

    lowers: tuple[str, ...]
    upper: str
    work: str
    options: tuple[str, ...]
    flags: int

    def with_lowers(self, lowers: tuple[str, ...]) -> OverlayMount:
        """Return the same mount of other lowers."""
        return self.replaced(lowers=lowers)

    def data(self, home: str) -> str:
        """Return it as the data of mount(2), which the Go tools' messages show."""
        names = [os.path.join(home, name) for name in self.lowers]
        if self.upper:
            names += [os.path.join(home, self.upper), os.path.join(home, self.work)]
        return sys.overlay_data(names, bool(self.upper), self.options)


def plan_mount(
    places: Places, home: str, layer_id: str, words: tuple[str, ...], options: MountOptions
) -> OverlayMount:
    """
    Return the mount of a layer.

    Args:
        home: The home that the layer is in.
        words: Option words, those of the driver included.
        options: `read_only` and `label` count here.

    Raises:
        DriverError: The layer is unknown, too deep, or a lower of it is lost.
    """
    flags, rest = split_words(words)
    if options.label:
        rest = (*rest, f"context={options.label}")
    own = f"{layer_id}/diff"
    lowers = find_lowers(places, home, layer_id)
    if options.read_only or flags & sys.MS_RDONLY:
        # Without an upper nothing is written that could be synced; the kernel wants two lowers.
        rest = tuple(word for word in rest if word != "volatile")
        return OverlayMount(
            lowers=(own, *lowers), upper="", work="", options=rest, flags=flags | sys.MS_RDONLY
        )
    return OverlayMount(
        lowers=lowers, upper=own, work=f"{layer_id}/work", options=rest, flags=flags
    )


def find_lowers(places: Places, home: str, layer_id: str) -> tuple[str, ...]:
    """
    Return the layer's lowers, nearest first; lost links are made anew on the way.

    Raises:
        DriverError: There is no such layer, it is too deep, or a lower can't be found.
    """
    if not os.path.isdir(f"{home}/{layer_id}"):
        raise DriverError(
            f"the overlay driver has no directory for layer {layer_id}",
            words=f"stat {home}/{layer_id}: no such file or directory",
            errno_=errno.ENOENT,
        )
    try:
        entries = layout.parse_lower(links.read_lower(home, layer_id))
    except ValueError as error:
        raise DriverError(f"layer {layer_id}: {error}", errno_=errno.EIO) from error
    if len(entries) > layout.MAX_DEPTH:
        raise DriverError(
            f"layer {layer_id} has {len(entries)} layers below it, {layout.MAX_DEPTH} can be "
            "mounted",
            words="max depth exceeded",
        )
    lowers = _older_diffs(home, layer_id)
    for entry in _resolve(places, home, layer_id, entries):
        lowers += [entry, *_older_diffs(home, f"{entry}/..")]
    if not lowers:
        os.makedirs(f"{home}/{layer_id}/empty", 0o700, exist_ok=True)
        lowers.append(f"{layer_id}/empty")
    return tuple(lowers)


def _resolve(places: Places, home: str, layer_id: str, entries: tuple[str, ...]) -> list[str]:
    found = [places.resolve(home, entry) for entry in entries]
    if all(found):
        return found
    for own_home in places.own_homes:
        links.recover_links(own_home)
    found = [places.resolve(home, entry) for entry in entries]
    if not all(found):
        lost = f"{home}/{entries[found.index('')]}"
        raise DriverError(
            f"layer {layer_id} can't be mounted: its lower layer {lost} is lost",
            words=f'Can\'t stat lower layer "{lost}": no such file or directory',
            errno_=errno.EIO,
        )
    return found


def _older_diffs(home: str, directory: str) -> list[str]:
    found: list[str] = []
    while os.path.exists(os.path.join(home, directory, f"diff{len(found) + 1}")):
        found.append(f"{directory}/diff{len(found) + 1}")
    return found


def make_directories(home: str, layer_id: str, lowers: tuple[str, ...]) -> None:
    """Make what a written mount needs and a crash or another program may have removed."""
    diff = f"{home}/{layer_id}/diff"
    if not os.path.exists(diff):
        mode = os.stat(os.path.join(home, lowers[0])).st_mode & 0o777
        os.mkdir(diff, mode)
    for name in ("merged", "work"):
        try:
            os.mkdir(f"{home}/{layer_id}/{name}", 0o700)
        except FileExistsError:
            pass


def forget_volatile(home: str, layer_id: str) -> None:
    """
    Let the layer be mounted again after a volatile mount.

    The kernel leaves a mark in the work directory, since content may be incomplete after a crash;
    who asks for volatile mounts has accepted that.
    """
    try:
        incompat_fd = os.open(
            os.path.join(home, layer_id, *_INCOMPAT),
            os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC,
        )
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        remove_tree(incompat_fd, "volatile")
    finally:
        os.close(incompat_fd)


def renew_merged(directory: str) -> None:
    """
    Put a new directory in the place of `merged`.

    The old one may still have the mount on it in other mount namespaces, and nothing could be
    mounted there or removed without trouble (containers/storage 1.53 and later do the same).
    """
    fresh = f"{directory}/merged.1"
    try:
        try:
            os.mkdir(fresh, 0o700)
        except FileExistsError:
            pass
        os.rename(fresh, f"{directory}/merged")
    except OSError as error:
        # A full disk, for one: the layer is unmounted all the same, and that is what was asked for.
        _log.info("%s stays as it is: %s", f"{directory}/merged", error)
