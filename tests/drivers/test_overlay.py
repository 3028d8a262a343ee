"""Overlay keeps the promises of every driver."""

from holdfs.drivers.base import Driver
from tests.drivers.conformance_stores import StoresConformance
from tests.needs import needs

pytestmark = needs("root", "overlay")


class TestOverlay(StoresConformance):
    driver_name = "overlay"
    has_native_diff = True

    def test_a_chain_of_300_layers_shows_them_all(self, driver: Driver) -> None:
        self.check_chain(driver, 300)
