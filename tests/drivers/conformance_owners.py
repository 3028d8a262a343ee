"""What every driver promises of owners and ID maps, and of what unpacking and diffing ask."""

import os

import pytest

from holdfs.drivers.base import Driver, DriverError
from tests.conftest import GraphRun
from tests.drivers.manifest import fill, manifest
from tests.drivers.suite import GIDMAP, UIDMAP, DriverSuite, layer_id, mapped, mounted


class OwnersConformance(DriverSuite):
    """The promises."""

    def test_what_is_made_with_maps_belongs_to_their_root(self, driver: Driver) -> None:
        root = (100_000, 200_000) if self.owns_by_maps else (0, 0)
        driver.create(layer_id(1), "", uidmap=UIDMAP, gidmap=GIDMAP)
        driver.create(layer_id(2), layer_id(1))

        for number in (1, 2):
            with mounted(driver, layer_id(number)) as top:
                shown = os.stat(top)
            assert root == (shown.st_uid, shown.st_gid)

    def test_maps_without_a_root_are_refused(self, driver: Driver) -> None:
        if not self.owns_by_maps:
            driver.create(layer_id(1), "", uidmap=((1, 5, 5),))
            return

        with pytest.raises(DriverError) as raised:
            driver.create(layer_id(1), "", uidmap=((1, 5, 5),))

        assert "container ID 0 cannot be mapped to a host ID" == raised.value.words
        assert not driver.exists(layer_id(1))

    def test_a_tree_can_be_given_the_owners_of_other_maps_and_back(self, driver: Driver) -> None:
        driver.create(layer_id(1), "")
        with mounted(driver, layer_id(1)) as top:
            self.fill_for_owners(top)
            os.utime(f"{top}/sticky", ns=(5, 7_000_000_003))
            before = manifest(top)
        driver.create(layer_id(2), layer_id(1))

        driver.change_owner(
            layer_id(2), old_uidmap=(), old_gidmap=(), new_uidmap=UIDMAP, new_gidmap=GIDMAP
        )
        with mounted(driver, layer_id(2)) as top:
            given = manifest(top)
        driver.create(layer_id(3), layer_id(2))
        driver.change_owner(
            layer_id(3), old_uidmap=UIDMAP, old_gidmap=GIDMAP, new_uidmap=(), new_gidmap=()
        )
        with mounted(driver, layer_id(3)) as top:
            back = manifest(top)
        with mounted(driver, layer_id(1)) as top:
            after = manifest(top)

        for shown in (before, given, back, after):
            shown.pop(".")
        assert self.kept(mapped(before)) == self.kept(given)
        assert self.kept(before) == self.kept(back)
        assert before == after

    def test_what_changed_owners_is_a_parent_and_can_be_written(self, driver: Driver) -> None:
        driver.create(layer_id(1), "")
        with mounted(driver, layer_id(1)) as top:
            self.fill_for_owners(top)
        driver.create(layer_id(2), layer_id(1))
        driver.change_owner(
            layer_id(2), old_uidmap=(), old_gidmap=(), new_uidmap=UIDMAP, new_gidmap=GIDMAP
        )
        with mounted(driver, layer_id(2)) as top:
            os.unlink(f"{top}/etc/plain")
            with open(f"{top}/new", "wb"):
                pass
        driver.create(layer_id(3), layer_id(2))

        with mounted(driver, layer_id(3)) as top:
            assert os.path.exists(f"{top}/new") and not os.path.exists(f"{top}/etc/plain")
            assert 101_000 == os.stat(f"{top}/etc/secret").st_uid
        driver.remove(layer_id(3))
        driver.remove(layer_id(2))
        assert [layer_id(1)] == driver.list_layers()

    def test_an_owner_outside_the_old_maps_is_an_error_and_outside_the_new_overflows(
        self, driver: Driver
    ) -> None:
        driver.create(layer_id(1), "")
        with mounted(driver, layer_id(1)) as top:
            for name, owner in (("root", 0), ("far", 70_000)):
                with open(f"{top}/{name}", "wb"):
                    os.chown(f"{top}/{name}", owner, owner)
        driver.create(layer_id(2), layer_id(1))
        driver.create(layer_id(3), layer_id(1))

        driver.change_owner(
            layer_id(2), old_uidmap=(), old_gidmap=(), new_uidmap=UIDMAP, new_gidmap=GIDMAP
        )
        with mounted(driver, layer_id(2)) as top:
            shown = os.stat(f"{top}/far")
            assert (65534, 65534) == (shown.st_uid, shown.st_gid)
        with pytest.raises(DriverError, match="far") as raised:
            driver.change_owner(
                layer_id(3), old_uidmap=UIDMAP, old_gidmap=GIDMAP, new_uidmap=(), new_gidmap=()
            )
        assert "70000 cannot be mapped to a container ID" in raised.value.words
        driver.remove(layer_id(3))

    def test_files_are_found_in_the_directories_to_look_in(self, driver: Driver) -> None:
        parent = ""
        for number in (1, 2, 3):
            driver.create(layer_id(number), parent)
            parent = layer_id(number)
            with mounted(driver, parent) as top:
                for name in ("all", f"only-{number}"):
                    with open(f"{top}/{name}", "w", encoding="ascii") as file:
                        file.write(str(number))

        found = {}
        for name in ("all", "only-1", "only-2", "only-3"):
            paths = [f"{top}/{name}" for top in driver.lookup_dirs(layer_id(3))]
            with open(next(path for path in paths if os.path.exists(path)), "rb") as file:
                found[name] = file.read()

        assert {"all": b"3", "only-1": b"1", "only-2": b"2", "only-3": b"3"} == found

    def test_a_diff_is_native_for_the_layer_it_was_made_on_alone(self, driver: Driver) -> None:
        driver.create(layer_id(1), "")
        driver.create(layer_id(2), layer_id(1))
        driver.create(layer_id(3), layer_id(2))
        is_native = self.has_native_diff

        assert is_native == driver.diff_parent_is_native(layer_id(1), "")
        assert is_native == driver.diff_parent_is_native(layer_id(3), layer_id(2))
        assert not driver.diff_parent_is_native(layer_id(3), layer_id(1))
        assert not driver.diff_parent_is_native(layer_id(3), "")
        assert not driver.diff_parent_is_native(layer_id(1), layer_id(2))

    def test_a_staged_tree_becomes_a_layers_content(
        self, driver: Driver, any_roots: GraphRun
    ) -> None:
        driver.create(layer_id(1), "")
        with mounted(driver, layer_id(1)):
            pass  # from now on the home may be a mount of its own
        staged = f"{any_roots.graph}/tmp/staged"
        os.makedirs(os.path.dirname(staged), 0o700)
        driver.make_staged(staged, layer_id(1))
        fill(staged)
        expected = manifest(staged)

        driver.create(layer_id(2), layer_id(1), staged=staged)

        with mounted(driver, layer_id(2)) as top:
            shown = manifest(top)
        assert 0o40555 == shown.pop(".")[0] and expected.pop(".")
        assert expected == shown
        assert [] == os.listdir(f"{any_roots.graph}/tmp")

    def test_a_staged_tree_takes_the_place_of_an_empty_layers(
        self, driver: Driver, any_roots: GraphRun
    ) -> None:
        driver.create(layer_id(1), "")
        staged = f"{any_roots.graph}/tmp/staged"
        os.makedirs(os.path.dirname(staged), 0o700)
        driver.make_staged(staged, "")
        fill(staged)
        expected = manifest(staged)

        driver.adopt_staged(layer_id(1), staged)

        with mounted(driver, layer_id(1)) as top:
            shown = manifest(top)
        assert 0o40555 == shown.pop(".")[0] and expected.pop(".")
        assert expected == shown
