"""The bytes in tests/data that Debian's tools wrote (made by tests/data/make.py)."""

from pathlib import Path
from typing import Any

import msgspec

from holdfs.core.formats.records import Container, Image, Layer
from holdfs.core.formats.shapes import CONTAINERS, IMAGES, LAYERS, Shape

DATA = Path(__file__).resolve().parent.parent / "data"
STORES = ("mapped", "usual")
KINDS: dict[str, type[Layer] | type[Image] | type[Container]] = {
    "layers": Layer,
    "images": Image,
    "containers": Container,
}
SHAPES: dict[str, Shape[Any]] = {"layers": LAYERS, "images": IMAGES, "containers": CONTAINERS}


def array(store: str, kind: str) -> bytes:
    """Return a whole JSON file."""
    return (DATA / store / f"{kind}.json").read_bytes()


def raws(store: str, kind: str) -> list[bytes]:
    """Return the bytes of each record in it."""
    return [bytes(raw) for raw in msgspec.json.decode(array(store, kind), type=list[msgspec.Raw])]


#: (kind, one record's bytes) for every record there is.
ALL_RECORDS = [(kind, raw) for store in STORES for kind in KINDS for raw in raws(store, kind)]
