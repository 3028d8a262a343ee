"""
Where overlay layers are: our own home, that of a separate image store, those of additional stores.

    home                 G/overlay: what is written goes here
    image_home           <image store>/overlay: layers of images, made and removed by us too
    store_homes          <store>/overlay of each additional image store, only ever read

`lower` files hold links alone, which are looked for in each of them.
Source: spec/store-format.md 8.3, 8.12.
"""

from __future__ import annotations

import os

from holdfs.native.values import Value


class Places(Value):
    """The homes, absolute; image_home is "" where there is no such store."""

    home: str
    image_home: str = ""
    store_homes: tuple[str, ...] = ()

    @property
    def own_homes(self) -> tuple[str, ...]:
        """The homes that we write to."""
        return (self.home, self.image_home) if self.image_home else (self.home,)

    @property
    def all_homes(self) -> tuple[str, ...]:
        """All homes, in the order in which layers are looked for."""
        return (*self.own_homes, *self.store_homes)

    def home_of(self, layer_id: str) -> str:
        """Return the home that has a directory for the layer; our own if none has."""
        for home in self.all_homes:
            if os.path.isdir(f"{home}/{layer_id}"):
                return home
        return self.home

    def resolve(self, base: str, entry: str) -> str:
        """
        Return the path of an entry of a `lower` file, "" if it leads nowhere.

        Args:
            base: The home of the layer that names it; the path is relative to it where it can be.
        """
        if os.path.exists(f"{base}/{entry}"):
            return entry
        for home in self.all_homes:
            if home != base and os.path.exists(f"{home}/{entry}"):
                return f"{home}/{entry}"
        return ""

    def split(self, base: str, lower: str) -> tuple[str, str]:
        """Return the home that a lower of a mount is in, and its path below it."""
        if not os.path.isabs(lower):
            return base, lower
        for home in self.all_homes:
            if lower.startswith(f"{home}/"):
                return home, lower[len(home) + 1 :]
        return os.path.split(lower)
