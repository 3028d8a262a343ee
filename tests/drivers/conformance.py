"""
What every driver promises, as tests: a subclass per driver names it, and pytest runs them all.

Each runs on the file system of /tmp and on fresh xfs and btrfs images.
"""

import errno
import os
import shutil
import subprocess
import threading

import pytest

from holdfs.drivers.base import Driver, DriverError
from tests.conftest import GraphRun
from tests.drivers.conformance_owners import OwnersConformance
from tests.drivers.manifest import fill, manifest
from tests.drivers.suite import WRITABLE, layer_id, mounted, viewed

__all__ = ["WRITABLE", "DriverConformance", "layer_id", "mounted", "viewed"]


class DriverConformance(OwnersConformance):
    """The promises. `driver` is one with an empty store."""

    # -- creating and removing -----------------------------------------------------------------

    def test_the_driver_says_who_and_where_it_is(self, driver: Driver, any_roots: GraphRun) -> None:
        assert self.driver_name == driver.name
        assert f"{any_roots.graph}/{self.driver_name}" == driver.home
        assert 0o40700 == os.stat(driver.home).st_mode
        assert driver.status() == self.open(any_roots).status()

    def test_a_base_layer_is_an_empty_directory_nobody_may_write(self, driver: Driver) -> None:
        driver.create(layer_id(1), "")

        with mounted(driver, layer_id(1)) as top:
            assert 0o40555 == os.stat(top).st_mode
            assert [] == os.listdir(top)

    def test_layers_are_listed_until_they_are_removed(self, driver: Driver) -> None:
        driver.create(layer_id(2), "")
        driver.create(layer_id(1), layer_id(2))

        assert [layer_id(1), layer_id(2)] == driver.list_layers()
        assert driver.exists(layer_id(1))

        driver.remove(layer_id(1))

        assert [layer_id(2)] == driver.list_layers()
        assert not driver.exists(layer_id(1))

    def test_removing_what_is_not_there_is_no_error(self, driver: Driver) -> None:
        driver.remove(layer_id(1))

    def test_a_directory_left_by_a_crash_is_replaced(self, driver: Driver) -> None:
        driver.create(layer_id(1), "")
        with mounted(driver, layer_id(1)) as top:
            fill(top)

        driver.create(layer_id(1), "")

        with mounted(driver, layer_id(1)) as top:
            assert [] == os.listdir(top)

    def test_a_failed_creation_leaves_nothing(self, driver: Driver) -> None:
        before = manifest(driver.home, with_directory_times=False)

        with pytest.raises((DriverError, OSError)) as raised:
            driver.create(layer_id(1), layer_id(9))

        error = raised.value
        assert isinstance(error, DriverError | OSError) and errno.ENOENT == error.errno
        assert before == manifest(driver.home, with_directory_times=False)

    @pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "../x", ".has-mount-program"])
    def test_what_is_no_layer_id_is_refused(self, driver: Driver, bad: str) -> None:
        for act in (
            driver.check_id,
            driver.exists,
            driver.mount_point,
            lambda name: driver.create(name, ""),
            lambda name: driver.mount(name, WRITABLE),
        ):
            with pytest.raises(DriverError):
                act(bad)

    @pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "../x", ".has-mount-program"])
    def test_what_is_no_layer_id_is_not_there_to_be_removed(
        self, driver: Driver, any_roots: GraphRun, bad: str
    ) -> None:
        driver.create(layer_id(1), "")
        before = manifest(any_roots.graph, with_directory_times=False)

        driver.remove(bad)

        assert before == manifest(any_roots.graph, with_directory_times=False)

    def test_removing_follows_no_link_and_enters_no_mount(
        self, driver: Driver, any_roots: GraphRun
    ) -> None:
        outside = f"{any_roots.graph}/outside"
        os.makedirs(f"{outside}/kept")
        driver.create(layer_id(1), "")
        top = driver.mount(layer_id(1), WRITABLE)
        os.symlink(outside, f"{top}/link")
        os.mkdir(f"{top}/bound")
        subprocess.run(["mount", "--bind", outside, f"{top}/bound"], check=True, timeout=20)

        driver.remove(layer_id(1))

        assert ["kept"] == os.listdir(outside)
        assert not driver.exists(layer_id(1))

    def test_an_immutable_file_does_not_keep_a_layer(self, driver: Driver) -> None:
        driver.create(layer_id(1), "")
        with mounted(driver, layer_id(1)) as top:
            os.makedirs(f"{top}/d")
            with open(f"{top}/d/f", "wb"):
                pass
        content = driver.diff_path(layer_id(1)) or driver.mount_point(layer_id(1))
        subprocess.run(["chattr", "+i", f"{content}/d/f", f"{content}/d"], check=True, timeout=20)

        driver.remove(layer_id(1))

        assert not driver.exists(layer_id(1))

    # -- content -------------------------------------------------------------------------------

    def test_a_child_shows_its_parent_with_everything_kept(self, driver: Driver) -> None:
        driver.create(layer_id(1), "")
        with mounted(driver, layer_id(1)) as top:
            fill(top)
            expected = manifest(top)

        driver.create(layer_id(2), layer_id(1))

        with mounted(driver, layer_id(2)) as top:
            assert expected == manifest(top)
            assert os.stat(f"{top}/sparse").st_blocks * 512 < 1 << 20

    def test_changing_a_child_leaves_its_parents_alone(
        self, driver: Driver, any_roots: GraphRun
    ) -> None:
        driver.create(layer_id(1), "")
        with mounted(driver, layer_id(1)) as top:
            fill(top)
        driver.create(layer_id(2), layer_id(1))
        with viewed(driver, layer_id(1), f"{any_roots.run}/view") as view:
            before = manifest(view)

        with mounted(driver, layer_id(2)) as top:
            with open(f"{top}/etc/plain", "ab") as file:
                file.write(b"more")
            os.chmod(f"{top}/etc/secret", 0o400)
            os.unlink(f"{top}/sparse")
            os.rename(f"{top}/dangling", f"{top}/renamed")
            os.setxattr(f"{top}/etc/deep", "user.note", b"changed")
            os.mkdir(f"{top}/new")

        with viewed(driver, layer_id(1), f"{any_roots.run}/view") as view:
            assert before == manifest(view)

    def test_what_a_child_deleted_stays_deleted_above_it(self, driver: Driver) -> None:
        driver.create(layer_id(1), "")
        with mounted(driver, layer_id(1)) as top:
            fill(top)
        driver.create(layer_id(2), layer_id(1))
        with mounted(driver, layer_id(2)) as top:
            os.unlink(f"{top}/etc/plain")
            shutil.rmtree(f"{top}/etc/deep")
            os.unlink(f"{top}/null")
        driver.create(layer_id(3), layer_id(2))

        with mounted(driver, layer_id(3)) as top:
            shown = manifest(top)

        assert not {"./etc/plain", "./etc/deep", "./etc/deep/er", "./null"} & shown.keys()
        assert "./etc/secret" in shown

    def test_a_directory_made_in_place_of_a_parents_hides_what_was_in_it(
        self, driver: Driver
    ) -> None:
        driver.create(layer_id(1), "")
        with mounted(driver, layer_id(1)) as top:
            fill(top)
        driver.create(layer_id(2), layer_id(1))
        with mounted(driver, layer_id(2)) as top:
            shutil.rmtree(f"{top}/etc")
            os.mkdir(f"{top}/etc")
            with open(f"{top}/etc/only", "wb"):
                pass
        driver.create(layer_id(3), layer_id(2))

        with mounted(driver, layer_id(3)) as top:
            assert ["only"] == os.listdir(f"{top}/etc")

    def test_a_chain_of_130_layers_shows_them_all(self, driver: Driver) -> None:
        self.check_chain(driver, 130)

    def check_chain(self, driver: Driver, depth: int) -> None:
        parent = ""
        for number in range(depth):
            driver.create(layer_id(number + 1), parent)
            parent = layer_id(number + 1)
            content = driver.diff_path(parent) or driver.mount_point(parent)
            with open(f"{content}/f{number}", "wb") as file:
                file.write(b"%d" % number)

        with mounted(driver, parent) as top:
            assert {f"f{number}" for number in range(depth)} == set(os.listdir(top))
            with open(f"{top}/f0", "rb") as file:
                assert b"0" == file.read()

    @pytest.mark.parametrize("number, parent", [(1, 0), (2, 1)])
    def test_a_layer_has_content_once_something_was_put_in_it(
        self, driver: Driver, number: int, parent: int
    ) -> None:
        driver.create(layer_id(1), "")
        driver.create(layer_id(2), layer_id(1))
        parent_id = layer_id(parent) if parent else ""

        assert not driver.has_content(layer_id(number), parent_id)

        with mounted(driver, layer_id(number)) as top, open(f"{top}/f", "wb"):
            pass

        assert driver.has_content(layer_id(number), parent_id)

    def test_a_fresh_child_of_a_full_parent_has_no_content(self, driver: Driver) -> None:
        driver.create(layer_id(1), "")
        with mounted(driver, layer_id(1)) as top:
            fill(top)

        driver.create(layer_id(2), layer_id(1))

        assert driver.has_content(layer_id(1))
        assert not driver.has_content(layer_id(2), layer_id(1))

    # -- mounting ------------------------------------------------------------------------------

    def test_mounting_twice_gives_the_same_path(self, driver: Driver) -> None:
        driver.create(layer_id(1), "")

        with mounted(driver, layer_id(1)) as top:
            assert top == driver.mount(layer_id(1), WRITABLE)
            assert top == driver.mount_point(layer_id(1))
            assert driver.is_mounted(layer_id(1))

    def test_unmounting_twice_is_no_error(self, driver: Driver) -> None:
        driver.create(layer_id(1), "")
        driver.mount(layer_id(1), WRITABLE)

        driver.unmount(layer_id(1))
        driver.unmount(layer_id(1))

    def test_what_was_written_is_there_at_the_next_mount(self, driver: Driver) -> None:
        driver.create(layer_id(1), "")
        with mounted(driver, layer_id(1)) as top, open(f"{top}/f", "wb") as file:
            file.write(b"kept")

        with mounted(driver, layer_id(1)) as top, open(f"{top}/f", "rb") as file:
            assert b"kept" == file.read()

    def test_mounting_an_unknown_layer_says_so(self, driver: Driver) -> None:
        with pytest.raises(DriverError, match=layer_id(7)) as raised:
            driver.mount(layer_id(7), WRITABLE)

        assert errno.ENOENT == raised.value.errno

    def test_a_mounted_layer_can_be_removed(self, driver: Driver) -> None:
        driver.create(layer_id(1), "")
        top = driver.mount(layer_id(1), WRITABLE)
        with open(f"{top}/open", "wb"):
            driver.remove(layer_id(1))

        assert not driver.exists(layer_id(1))

    @pytest.mark.parametrize("number", [1, 2])
    def test_a_view_shows_the_layer_and_can_not_be_written(
        self, driver: Driver, any_roots: GraphRun, number: int
    ) -> None:
        driver.create(layer_id(1), "")
        with mounted(driver, layer_id(1)) as top:
            fill(top)
            expected = manifest(top)
        driver.create(layer_id(2), layer_id(1))

        with viewed(driver, layer_id(number), f"{any_roots.run}/view") as view:
            assert expected == manifest(view)
            with pytest.raises(OSError) as raised, open(f"{view}/f", "wb"):
                pass
            assert errno.EROFS == raised.value.errno
            with pytest.raises(PermissionError), open(f"{view}/null", "rb"):
                pass  # nodev
            assert os.statvfs(view).f_flag & os.ST_NOSUID

    def test_a_view_of_a_layer_without_content_is_empty(
        self, driver: Driver, any_roots: GraphRun
    ) -> None:
        driver.create(layer_id(1), "")

        with viewed(driver, layer_id(1), f"{any_roots.run}/view") as view:
            assert [] == os.listdir(view)

    def test_threads_make_mount_and_remove_layers_at_once(self, driver: Driver) -> None:
        driver.create(layer_id(1), "")
        start = threading.Barrier(4)
        failures: list[BaseException] = []

        def work(first: int) -> None:
            try:
                start.wait(timeout=20)
                for number in range(first, first + 10):
                    driver.create(layer_id(number), layer_id(1))
                    with mounted(driver, layer_id(number)) as top, open(f"{top}/f", "wb"):
                        pass
                    if number % 2:
                        driver.remove(layer_id(number))
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(100 * n,)) for n in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)

        assert [] == failures
        assert 1 + 20 == len(driver.list_layers())

    def test_after_cleanup_the_store_opens_again(self, driver: Driver, any_roots: GraphRun) -> None:
        driver.create(layer_id(1), "")
        driver.cleanup()
        driver.cleanup()

        with mounted(self.open(any_roots), layer_id(1)):
            pass
        with mounted(driver, layer_id(1)) as top:
            assert [] == os.listdir(top)
