"""What drivers promise that work with other stores than their own too."""

import errno
import os

import pytest

from holdfs.drivers.base import Driver, DriverError
from tests.conftest import GraphRun
from tests.drivers.conformance import DriverConformance
from tests.drivers.manifest import manifest
from tests.drivers.suite import (
    GIDMAP,
    UIDMAP,
    WRITABLE,
    layer_id,
    mounted,
    mounted_layers,
    viewed,
)


class StoresConformance(DriverConformance):
    """The promises of drivers that work with other stores than their own too."""

    def test_layers_of_an_additional_store_are_parents_and_viewed_but_never_changed(
        self, driver: Driver, any_roots: GraphRun
    ) -> None:
        with mounted_layers(driver, 2):
            pass
        other = GraphRun(f"{any_roots.graph}/other", f"{any_roots.graph}/other-run")
        for root in other:
            os.mkdir(root)
        reader = self.open(other, f"{self.driver_name}.imagestore={any_roots.graph}")
        before = manifest(driver.home)

        reader.create(layer_id(3), layer_id(2))
        reader.create(layer_id(4), layer_id(3))
        with mounted(reader, layer_id(4)) as top:
            assert {"f1", "f2"} == set(os.listdir(top))
            os.unlink(f"{top}/f1")
        with viewed(reader, layer_id(2), f"{other.run}/view") as view:
            assert {"f1", "f2"} == set(os.listdir(view))
        with viewed(reader, layer_id(4), f"{other.run}/view") as view:
            assert {"f2"} == set(os.listdir(view))

        assert reader.exists(layer_id(2)) and reader.is_read_only(layer_id(2))
        assert not reader.is_read_only(layer_id(4))
        assert [layer_id(3), layer_id(4)] == reader.list_layers()
        for act in (
            lambda: reader.mount(layer_id(2), WRITABLE),
            lambda: reader.change_owner(
                layer_id(2), old_uidmap=(), old_gidmap=(), new_uidmap=UIDMAP, new_gidmap=GIDMAP
            ),
        ):
            with pytest.raises(DriverError) as raised:
                act()
            assert errno.EROFS == raised.value.errno
        assert os.path.exists(f"{reader.lookup_dirs(layer_id(2))[0]}/f2")
        reader.remove(layer_id(2))
        reader.cleanup()
        assert before == manifest(driver.home)

    def test_layers_of_images_go_to_a_separate_store(
        self, driver: Driver, any_roots: GraphRun
    ) -> None:
        store = f"{any_roots.graph}/images"
        os.mkdir(store)
        split = self.open(any_roots, image_store=store)
        split.create(layer_id(1), "", read_only=True)
        split.create(layer_id(2), layer_id(1), read_only=True)
        with mounted(split, layer_id(2)) as top, open(f"{top}/f", "wb"):
            assert top.startswith(f"{store}/{self.driver_name}/")
        split.create(layer_id(3), layer_id(2))
        with mounted(split, layer_id(3)) as top:
            assert top.startswith(f"{driver.home}/")
            assert ["f"] == os.listdir(top)

        assert [layer_id(n) for n in (1, 2, 3)] == split.list_layers()
        assert [layer_id(3)] == driver.list_layers()
        for number in (3, 2, 1):
            assert not split.is_read_only(layer_id(number))
            split.remove(layer_id(number))
        assert [] == split.list_layers()
        split.cleanup()
