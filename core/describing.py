"""
Images that somebody makes by hand, without config and manifest: they get a pair of ours (oci.py).

podman lists no image at all while one of the store has no manifest, or stands on a layer of unknown
size. So the layers are sealed first.
"""

from holdfs.core import bigdata, oci
from holdfs.core.creating import now
from holdfs.core.formats.records import Image
from holdfs.core.sealing import Sealing


class Describing(Sealing):
    """The operation that makes an image which the image tools accept."""

    def create_described_image(
        self, *, layer: str = "", names: tuple[str, ...] = (), image_id: str = ""
    ) -> Image:
        """
        Make an image on a layer, with a config and a manifest of ours until it gets real ones.

        Args:
            layer: What names the top layer, "" for none. What it and those below change is read
                once, unless their digests are known.

        Raises as `create_image`.
        """
        if layer:
            self.seal_chain(layer)
        created = now()
        return self.create_image(
            layer=layer,
            names=names,
            image_id=image_id,
            created=created,
            big_data=self.description(layer, created),
            flags={bigdata.DESCRIBED: True},
        )

    def seal_chain(self, layer: str) -> None:
        """Seal a layer and all below it, base first."""
        snapshot = self.snapshot()
        for layer_id in snapshot.chain(self.full_id("layers", snapshot.layers, layer)):
            self.seal(layer_id)

    def description(self, layer: str, created: str) -> list[tuple[str, bytes]]:
        """Return config and manifest of an image with this top layer, as big-data items."""
        snapshot = self.snapshot()
        layer_id = self.full_id("layers", snapshot.layers, layer) if layer else ""
        chain = [snapshot.layers.one(i) for i in snapshot.chain(layer_id)]
        return oci.documents(chain, created)
