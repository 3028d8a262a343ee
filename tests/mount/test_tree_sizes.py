"""size/: what objects take, as containers-storage says it where that does."""

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mount.daemons import serving
from tests.mount.scene import Scene
from tests.mount.shop import Shop

pytestmark = pytest.mark.needs("root", "fuse", "overlay", "containers-storage")

FILES = ["total", "exclusive", "shared", "inodes"]


def sizes(path: Path) -> tuple[int, ...]:
    """Return the four numbers."""
    return tuple(int((path / "size" / name).read_text()) for name in FILES)


def fill(directory: Path, **files: int) -> None:
    for name, size in files.items():
        (directory / name).write_bytes(bytes(size))


@pytest.fixture
def stack(shop: Shop) -> Shop:
    """Give layers a (100 bytes) ← b (20 and 3, a directory) ← image `i`, and a ← image `j`."""
    shop.sh("mkdir layers/a")
    fill(shop.layers / "a" / "rootfs", one=100)
    shop.sh("mkdir layers/a/children/b")
    os.mkdir(shop.layers / "b" / "rootfs" / "d")
    fill(shop.layers / "b" / "rootfs" / "d", two=20, three=3)
    store = shop.scene.store
    store.create_image(layer="b", names=["i"], big_data=[("note", b"12345")])
    store.create_image(layer="a", names=["j"])
    shop.catch_up()
    return shop


def test_of_layers(stack: Shop) -> None:
    assert (100, 100, 0, 1) == sizes(stack.layers / "a")
    assert (123, 23, 100, 4) == sizes(stack.layers / "b")


def test_of_images(stack: Shop) -> None:
    assert (128, 28, 100, 4) == sizes(stack.images / "i")
    assert (100, 0, 100, 1) == sizes(stack.images / "j")


def test_the_total_of_an_image_is_what_the_go_tool_says(stack: Shop) -> None:
    for name in ("i", "j", "shop"):
        said = re.search(r"^Size: (\d+)$", stack.go.out("image", name), re.MULTILINE)
        assert said is not None
        assert int(said[1]) == sizes(stack.images / name)[0]


def test_of_a_container(stack: Shop) -> None:
    store = stack.scene.store
    container = store.create_container(image="i", names=["c"])
    stack.catch_up()
    fill(stack.containers / "c" / "rootfs", four=4000)
    (Path(store.container_dir(container.id)) / "log").write_bytes(b"7777777")

    said = re.search(r"^Size: (\d+)$", stack.go.out("container", "c"), re.MULTILINE)

    assert said is not None
    assert (4130, 4007, 123, 6) == sizes(stack.containers / "c")
    assert 4007 == int(said[1])


def test_a_deleted_image_gives_its_own_part_back(stack: Shop) -> None:
    (stack.images / "j").rmdir()

    assert (128, 128, 0, 4) == sizes(stack.images / "i")


def test_what_may_be_written_is_looked_at_each_time(stack: Shop) -> None:
    fill(stack.layers / "loose" / "rootfs", x=1)
    assert (1, 1, 0, 1) == sizes(stack.layers / "loose")

    fill(stack.layers / "loose" / "rootfs", y=2)

    assert (3, 3, 0, 2) == sizes(stack.layers / "loose")


def test_hard_links_count_once(stack: Shop) -> None:
    rootfs = stack.layers / "loose" / "rootfs"
    fill(rootfs, x=10)
    os.link(rootfs / "x", rootfs / "y")

    assert (10, 10, 0, 1) == sizes(stack.layers / "loose")


def test_stat_and_listing_compute_nothing(stack: Shop) -> None:
    path = stack.images / "i" / "size"

    assert FILES == os.listdir(path)
    assert [0] * 4 == [(path / name).stat().st_size for name in FILES]
    assert {0o444} == {(path / name).stat().st_mode & 0o777 for name in FILES}


def test_looking_makes_no_directory(stack: Shop) -> None:
    before = sorted(os.listdir(f"{stack.go.graph}/overlay-containers"))

    sizes(stack.containers / "web")

    assert before == sorted(os.listdir(f"{stack.go.graph}/overlay-containers"))


def test_a_missing_directory_is_an_error_in_words(stack: Shop) -> None:
    layer = Path(stack.scene.store.driver.diff_path(stack.scene.loose)).parent
    layer.rename(layer.with_name("away"))
    try:
        path = stack.layers / "loose" / "size" / "total"
        with stack.refused(errno.EIO, "open", path):
            path.read_bytes()
    finally:
        layer.with_name("away").rename(layer)


def test_rm_r_of_a_layer_passes_through(stack: Shop) -> None:
    stack.sh("rm -r layers/loose")

    assert stack.scene.loose not in stack.go_ids("layers")


@pytest.fixture
def vfs_shop(vfs_scene: Scene, root: Path) -> Iterator[Shop]:
    """Give the small store on vfs, mounted."""
    go = vfs_scene.go
    with serving(go.graph, go.run_root, root, driver="vfs") as daemon:
        yield Shop(vfs_scene, daemon)


def test_on_vfs_only_what_is_added_counts(vfs_shop: Shop) -> None:
    assert (9, 9, 0, 1) == sizes(vfs_shop.layers / "top")
    assert (9, 0, 9, 1) == sizes(vfs_shop.containers / "web")
