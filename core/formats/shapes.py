"""
What a record of each kind may hold, in the order in which it is written.

The types are those of `native.scan`: s text, t time, i number, S list of texts, I list of numbers,
m map of numbers, M map of texts, x list of ID maps, f map of anything. The same is said with types
in records.py, which takes longer to import than a short command; a test holds the two together.

Source: containers/storage, layers.go, images.go, containers.go; spec 2.
"""

from __future__ import annotations

from holdfs.core.formats.generic import Generic, R

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from holdfs.core.formats.records import Container, Image, Layer

#: Stands behind each entry of a list or map in a column.
SEPARATOR: Final = "\x1f"


class Shape(Generic[R]):
    """
    One kind.

    Attributes:
        name: "Layer", "Image", "Container".
        keys: The type of each key's value.
        columns: The keys that are read of every record: what look-ups and relations need.
        always: Keys written even when empty.
    """

    __slots__ = ("_specs", "always", "columns", "keys", "name")

    def __init__(
        self, name: str, keys: str, columns: str, always: tuple[str, ...] = ("id", "created")
    ) -> None:
        self.name = name
        self.keys = {key: kind for kind, _, key in (word.partition(":") for word in keys.split())}
        self.columns = tuple(columns.split())
        self.always = always
        self._specs: dict[tuple[str, ...], bytes] = {}

    def spec(self, columns: tuple[str, ...]) -> bytes:
        """Return the keys as the scanner wants them, these columns among them."""
        spec = self._specs.get(columns)
        if spec is None:
            places = {key: str(place) for place, key in enumerate(columns)}
            words = (f"{kind}{places.get(key, '-')}{key}\0" for key, kind in self.keys.items())
            spec = self._specs[columns] = "".join(words).encode() + b"\0"
        return spec

    @property
    def record_type(self) -> type[R]:
        """The class of its records."""
        from holdfs.core.formats import records

        found: type[R] = getattr(records, self.name)
        return found


LAYERS: Final[Shape[Layer]] = Shape(
    "Layer",
    "s:id S:names s:parent s:metadata s:mountlabel t:created s:compressed-diff-digest"
    " i:compressed-size s:diff-digest s:toc-digest i:diff-size i:compression I:uidset I:gidset"
    " f:flags x:uidmap x:gidmap S:big-data-names",
    "id names created parent",
)
IMAGES: Final[Shape[Image]] = Shape(
    "Image",
    "s:id s:digest S:names S:names-history s:layer S:mapped-layers s:metadata S:big-data-names"
    " m:big-data-sizes M:big-data-digests t:created f:flags",
    "id names created layer mapped-layers",
)
CONTAINERS: Final[Shape[Container]] = Shape(
    "Container",
    "s:id S:names s:image s:layer s:metadata S:big-data-names m:big-data-sizes M:big-data-digests"
    " t:created x:uidmap x:gidmap f:flags",
    "id names created layer image",
    ("id", "created", "image", "layer"),
)
