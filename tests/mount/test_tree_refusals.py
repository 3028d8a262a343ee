"""What is refused: the errno, a line in `errors` before the answer, and a store as it was."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mount.daemons import serving
from tests.mount.scene import Scene
from tests.mount.shop import Shop

pytestmark = pytest.mark.needs("root", "fuse", "overlay", "containers-storage")


@pytest.fixture
def unchanged(shop: Shop) -> Iterator[Shop]:
    """Give the shop, and see at the end that its records are as they were."""

    def records() -> list[bytes]:
        kinds = ("layers", "images", "containers")
        return [Path(shop.go.graph, f"overlay-{k}", f"{k}.json").read_bytes() for k in kinds]

    before = records()
    yield shop
    assert before == records()


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("layers/base", errno.ENOTEMPTY),
        ("layers/top", errno.ENOTEMPTY),
        ("images/shop", errno.EBUSY),
        ("images/by-name", errno.EPERM),
    ],
)
def test_rmdir_of_what_is_used(unchanged: Shop, path: str, number: int) -> None:
    with unchanged.refused(number, "rmdir", path):
        (unchanged.root / path).rmdir()


def test_rmdir_of_a_container_layer_is_refused(unchanged: Shop) -> None:
    path = f"layers/{unchanged.scene.web.layer}"

    with unchanged.refused(errno.EBUSY, "rmdir", path):
        (unchanged.root / path).rmdir()


def test_rmdir_of_a_container_that_another_tool_has_mounted(shop: Shop) -> None:
    shop.go.run("mount", "web")

    with shop.refused(errno.EBUSY, "rmdir", "containers/web"):
        (shop.containers / "web").rmdir()

    shop.go.run("unmount", "web")
    (shop.containers / "web").rmdir()


def test_rmdir_while_somebody_is_in_its_rootfs(shop: Shop) -> None:
    held = os.open(shop.containers / "web" / "rootfs", os.O_RDONLY)
    try:
        with shop.refused(errno.EBUSY, "rmdir", "containers/web"):
            (shop.containers / "web").rmdir()
    finally:
        os.close(held)

    (shop.containers / "web").rmdir()


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("layers/a%2fb", errno.EINVAL),
        ("layers/%41", errno.EINVAL),
        ("layers/half%", errno.EINVAL),
        ("images/.Trash-0", errno.EPERM),
        ("images/dangling/x", errno.EPERM),
        ("layers/by-digest/x", errno.EPERM),
        ("images/shop/made", errno.EPERM),
        ("images/shop/layers/02", errno.EPERM),
        ("layers/base/containers/web2", errno.EPERM),
        ("layers/base/big-data/x", errno.EPERM),
        ("images/by-name/a%2Fb", errno.EINVAL),
        ("made", errno.EPERM),
    ],
)
def test_mkdir_of_what_cannot_be(unchanged: Shop, path: str, number: int) -> None:
    with unchanged.refused(number, "mkdir", path):
        (unchanged.root / path).mkdir()


@pytest.mark.parametrize("path", ["layers/base", "images/shop", "containers/by-name"])
def test_mkdir_of_what_is_there(unchanged: Shop, path: str) -> None:
    with pytest.raises(FileExistsError):
        (unchanged.root / path).mkdir()


@pytest.mark.parametrize(
    "path",
    [
        "layers/base/children/loose",
        "layers/base/children/{loose}",
        "layers/loose/images/shop",
        "images/again/containers/web",
        "images/again/containers/{web}",
    ],
)
def test_mkdir_of_a_name_or_id_that_another_object_has(shop: Shop, path: str) -> None:
    (shop.images / "again").mkdir()
    shown = path.format(loose=shop.scene.loose, web=shop.scene.web.id)
    before = [shop.go_ids(kind) for kind in ("layers", "images", "containers")]

    with shop.refused(errno.EEXIST, "mkdir", shown):
        (shop.root / shown).mkdir()

    assert before == [shop.go_ids(kind) for kind in ("layers", "images", "containers")]


@pytest.mark.parametrize("name", ["names", "metadata", "big-data/x", "diff.tar"])
def test_what_is_damaged_is_refused_before_anything_is_written(shop: Shop, name: str) -> None:
    loose = shop.layers / shop.scene.loose
    (loose / "big-data" / "x").write_bytes(b"text")
    path = Path(shop.go.graph, "overlay-layers", "layers.json")
    damaged = path.read_bytes().replace(b'"names":["loose"]', b'"names":"loose!"')
    path.with_suffix(".new").write_bytes(damaged)
    path.with_suffix(".new").rename(path)
    shop.catch_up()

    with pytest.raises(OSError) as caught:
        os.open(loose / name, os.O_WRONLY | os.O_TRUNC)

    assert errno.EIO == caught.value.errno
    assert f"  layers/{shop.scene.loose}/{name}  EIO  " in shop.errors()[-1]
    assert damaged == path.read_bytes()


def test_mkdir_on_a_containers_layer_is_refused(unchanged: Shop) -> None:
    path = f"layers/{unchanged.scene.web.layer}/children/x"

    with unchanged.refused(errno.EINVAL, "mkdir", path):
        (unchanged.root / path).mkdir()


def test_names_that_are_no_utf8_are_refused(unchanged: Shop) -> None:
    with pytest.raises(OSError) as caught:
        os.mkdir(os.fsencode(unchanged.layers) + b"/\xff\xfe")

    assert errno.EINVAL == caught.value.errno
    assert "mkdir  layers/\\xff\\xfe  EINVAL" in unchanged.errors()[-1]


def test_a_name_of_255_bytes_is_taken_and_one_of_256_is_not(shop: Shop) -> None:
    (shop.layers / ("n" * 255)).mkdir()

    assert "n" * 255 in os.listdir(shop.layers / "by-name")
    with pytest.raises(OSError) as caught:
        (shop.layers / ("n" * 256)).mkdir()
    assert errno.ENAMETOOLONG == caught.value.errno


@pytest.mark.parametrize(
    "path", ["x", "images/x", "images/by-name/x", "images/dangling/x", "layers/base/children/x"]
)
def test_a_file_cannot_be_made_outside_an_object(unchanged: Shop, path: str) -> None:
    with unchanged.refused(errno.EPERM, "create", path):
        (unchanged.root / path).touch()


@pytest.mark.parametrize("name", ["id", "created", "info.json", "health"])
def test_what_nobody_can_write_is_refused_at_open_for_root_too(unchanged: Shop, name: str) -> None:
    path = f"images/shop/{name}"

    with unchanged.refused(errno.EACCES, "open", path):
        os.open(unchanged.root / path, os.O_WRONLY)
    with pytest.raises(PermissionError):
        os.truncate(unchanged.root / path, 0)


def test_a_relation_of_what_is_used_is_refused(unchanged: Shop) -> None:
    top = unchanged.layers / "top" / "parent"

    with unchanged.refused(errno.EBUSY, "rename", "layers/top/CuAbC123"):
        (unchanged.layers / "top" / "CuAbC123").symlink_to("../loose")
        os.rename(unchanged.layers / "top" / "CuAbC123", top)

    assert f"../{unchanged.scene.base}" == os.readlink(top)


@pytest.mark.parametrize(
    ("old", "new", "number"),
    [
        ("images/shop", "images/store", errno.EPERM),
        ("images/shop/names", "images/shop/id", errno.EPERM),
        ("images/shop/names", "containers/web/names2", errno.EPERM),
        ("images/shop/id", "images/shop/id2", errno.EPERM),
        ("images/by-name/shop", "containers/by-name/shop", errno.EPERM),
        ("images/by-name/shop", "images/by-name/a%2Fb", errno.EINVAL),
        ("layers", "kittens", errno.EPERM),
    ],
)
def test_what_cannot_be_renamed(unchanged: Shop, old: str, new: str, number: int) -> None:
    with unchanged.refused(number, "rename", old):
        os.rename(unchanged.root / old, unchanged.root / new)


def test_who_renames_an_object_is_told_where_names_are_moved(unchanged: Shop) -> None:
    with unchanged.refused(errno.EPERM, "rename", "containers/web"):
        os.rename(unchanged.containers / "web", unchanged.containers / "web2")
    assert unchanged.errors()[-1].endswith("names are moved in containers/by-name")
    with unchanged.refused(errno.EPERM, "create", "images/new"):
        (unchanged.images / "new").touch()
    assert unchanged.errors()[-1].endswith("mkdir makes an object")


def test_mv_into_an_object_is_refused(unchanged: Shop) -> None:
    done = unchanged.try_sh("mv layers/by-name/loose layers/by-name/top")

    assert "Operation not permitted" in done.stderr


def test_hard_links_and_special_files_are_refused(unchanged: Shop) -> None:
    with unchanged.refused(errno.EPERM, "mknod", "images/shop/fifo"):
        os.mkfifo(unchanged.images / "shop" / "fifo")
    with unchanged.refused(errno.EPERM, "link", "images/shop/names"):
        os.link(unchanged.images / "shop" / "names", unchanged.images / "shop" / "again")


def test_a_mount_that_is_read_only_refuses_all_changes(scene: Scene, root: Path) -> None:
    with serving(scene.go.graph, scene.go.run_root, root, "ro") as daemon:
        shop = Shop(scene, daemon)
        acts: list[Callable[[], object]] = [
            lambda: (shop.layers / "x").mkdir(),
            lambda: (shop.layers / "loose").rmdir(),
            lambda: (shop.images / "shop" / "names").write_text("x"),
            lambda: (shop.images / "by-name" / "shop").unlink(),
            lambda: (shop.images / "shop" / "big-data" / "x").touch(),
        ]
        for act in acts:
            with pytest.raises(OSError) as caught:
                act()
            assert errno.EROFS == caught.value.errno
        assert "shop\n" == (shop.images / "shop" / "names").read_text()


def test_a_lock_that_is_not_had_in_time_is_a_timeout(scene: Scene, root: Path) -> None:
    with (
        serving(scene.go.graph, scene.go.run_root, root, "lock_timeout=0.2") as daemon,
        scene.store.images.lock.writing(),
    ):
        shop = Shop(scene, daemon)
        fd = os.open(shop.images / "shop" / "metadata", os.O_WRONLY | os.O_TRUNC)
        with shop.refused(errno.ETIMEDOUT, "write", "images/shop/metadata"):
            os.write(fd, b"text\n")
        os.close(fd)
        # Reading goes on meanwhile.
        assert "shop\n" == (shop.images / "shop" / "names").read_text()


def test_errors_keeps_the_last_200_lines(shop: Shop) -> None:
    for number in range(250):
        with pytest.raises(PermissionError):
            (shop.images / f".Trash{number}").mkdir()

    lines = shop.errors()
    assert 200 == len(lines)
    assert ".Trash249" in lines[-1]
    assert (shop.root / "errors").stat().st_size == sum(len(line) + 1 for line in lines)
