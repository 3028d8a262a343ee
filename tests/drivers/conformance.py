"""
What every driver promises, as tests: a subclass per driver names it, and pytest runs them all.

Each runs on the file system of /tmp and on fresh xfs and btrfs images.
"""

import errno
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest

from holdfs.drivers import open_driver
from holdfs.drivers.base import Driver, DriverError, MountOptions
from holdfs.native.mount import umount
from tests.conftest import GraphRun
from tests.drivers.manifest import fill, manifest

WRITABLE = MountOptions()
UIDMAP = ((0, 100_000, 65_536),)
GIDMAP = ((0, 200_000, 10), (10, 300_000, 65_526))


def layer_id(number: int) -> str:
    """Return the number as a full layer ID."""
    return f"{number:064x}"


@contextmanager
def mounted(driver: Driver, layer: str, options: MountOptions = WRITABLE) -> Iterator[str]:
    """Give the layer's mount, undone at the end."""
    path = driver.mount(layer, options)
    try:
        yield path
    finally:
        driver.unmount(layer)


@contextmanager
def viewed(driver: Driver, layer: str, target: str) -> Iterator[str]:
    """Give a view of the layer at `target`, a directory that is made for it and removed."""
    os.mkdir(target)
    driver.mount_view(layer, target)
    try:
        yield target
    finally:
        umount(target)
        os.rmdir(target)


@contextmanager
def mounted_layers(driver: Driver, count: int) -> Iterator[str]:
    """Make a chain of layers, file f<n> in layer n, and give the mount of the last."""
    parent = ""
    for number in range(1, count + 1):
        driver.create(layer_id(number), parent)
        parent = layer_id(number)
        with mounted(driver, parent) as top, open(f"{top}/f{number}", "wb"):
            pass
    with mounted(driver, parent) as top:
        yield top


def mapped(shown: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
    """Return a manifest with the owners that UIDMAP and GIDMAP give, but for the top directory."""
    return {
        path: entry if path == "." else (entry[0], _mapped_owner(*entry[1]), *entry[2:])
        for path, entry in shown.items()
    }


def _mapped_owner(uid: int, gid: int) -> tuple[int, int]:
    return uid + 100_000, gid + (200_000 if gid < 10 else 300_000 - 10)


class DriverConformance:
    """The promises. `driver` is one with an empty store."""

    driver_name: ClassVar[str]
    #: Whether what is made belongs to the root of the maps that are given.
    owns_by_maps: ClassVar[bool] = True
    #: Whether a layer's own directory says what was changed in its parent.
    has_native_diff: ClassVar[bool] = False

    def kept(self, shown: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        """Return what of a manifest does not change with the owners."""
        return shown

    def fill_for_owners(self, top: str) -> None:
        """Put one of everything whose owner can be changed below `top`."""
        fill(top)
        os.link(f"{top}/dangling", f"{top}/sticky/dangling")
        os.link(f"{top}/etc/set-id", f"{top}/sticky/set-id")

    @pytest.fixture
    def driver(self, any_roots: GraphRun) -> Iterator[Driver]:
        opened = self.open(any_roots)
        yield opened
        opened.cleanup()

    def open(self, roots: GraphRun, *options: str, image_store: str = "") -> Driver:
        return open_driver(
            self.driver_name,
            graph_root=roots.graph,
            run_root=roots.run,
            options=options,
            image_store=image_store,
        )

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
            driver.remove,
            driver.exists,
            driver.mount_point,
            lambda name: driver.create(name, ""),
            lambda name: driver.mount(name, WRITABLE),
        ):
            with pytest.raises(DriverError):
                act(bad)

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

    # -- ID maps -------------------------------------------------------------------------------

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
