"""
Names and small files of the overlay home; no I/O.

    G/overlay/l/<LINK>         -> ../<layer-id>/diff
    G/overlay/<layer-id>/link     <LINK>, 26 bytes, no newline
    G/overlay/<layer-id>/lower    l/<LINK>:l/<LINK>:…  nearest parent first; none for a base layer

A mount names its lowers through the short links, so that the data of a deep chain fits in a page.
Source: spec/store-format.md 1.3, 8.3.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

LINKS: Final = "l"
#: Entries of the home that are no layers (spec 7.5).
RESERVED: Final = frozenset({LINKS, "staging", "tempdirs", "backingFsBlockDev"})
#: Lowers a layer may have: OVL_MAX_STACK of the kernel, and the limit of the newest Go tools.
MAX_DEPTH: Final = 500

_LINK_BYTES: Final = 17
_LINK_LENGTH: Final = 26
_LINK_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def format_link(random_bytes: bytes) -> str:
    """Return a link's name made of 17 random bytes."""
    if len(random_bytes) != _LINK_BYTES:
        raise ValueError(f"a link name is made of {_LINK_BYTES} bytes, not {len(random_bytes)}")
    # Five bits a letter, as base64.b32encode has it; that module takes long to import.
    bits, last = int.from_bytes(random_bytes, "big"), 8 * _LINK_BYTES
    places = range(last - 5, last - 5 * _LINK_LENGTH - 1, -5)
    return "".join(_LINK_LETTERS[bits >> place & 31] for place in places)


def parse_link(text: str) -> str:
    """
    Return the link's name that a `link` file holds, "" if it holds none.

    An empty or torn file is what a crash leaves.
    """
    name = text.strip("\n")
    return name if len(name) == _LINK_LENGTH and set(_LINK_LETTERS).issuperset(name) else ""


def link_target(layer_id: str) -> str:
    """Return what the layer's link in `l` points to."""
    return f"../{layer_id}/diff"


def parse_link_target(target: str) -> str:
    """Return the layer ID a link in `l` points to, "" if it has another form."""
    parts = target.split("/")
    well_formed = len(parts) == 3 and parts[0] == ".." and parts[2] == "diff"
    return parts[1] if well_formed else ""


def format_lower(parent_link: str, parent_lower: str) -> str:
    """Return the content of `lower` for a child: the parent's link, then the parent's lowers."""
    own = f"{LINKS}/{parent_link}"
    return f"{own}:{parent_lower}" if parent_lower else own


def parse_lower(text: str) -> tuple[str, ...]:
    """
    Return the entries of a `lower` file, nearest parent first, as names below the home.

    Raises:
        ValueError: An entry is not `l/` and one more name.
    """
    entries = tuple(entry for entry in text.strip("\n").split(":") if entry)
    for entry in entries:
        directory, _, name = entry.partition("/")
        if directory != LINKS or name in ("", ".", "..") or "/" in name:
            raise ValueError(f"{entry!r} is no link of a lower layer")
    return entries


def is_layer_name(name: str) -> bool:
    """Whether a layer may have this name in the home."""
    return bool(name) and "/" not in name and not name.startswith(".") and name not in RESERVED
