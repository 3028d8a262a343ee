"""What the tree shows: every entry, its attributes, and where its links lead."""

import errno
import json
import os
import stat
import sys
from pathlib import Path

import pytest

from holdfs.core.formats import times
from tests.mount.daemons import run, serving
from tests.mount.shop import Shop

pytestmark = pytest.mark.needs("root", "fuse", "overlay", "containers-storage")


def read(path: Path) -> str:
    return path.read_text()


def test_the_root_shows_what_the_page_says(shop: Shop) -> None:
    entries = {"layers", "images", "containers", "status", "events", "errors", "README"}

    assert entries == set(os.listdir(shop.root))
    assert 0o040555 == shop.root.stat().st_mode


def test_each_object_is_listed_once_under_its_id(shop: Shop) -> None:
    assert shop.go_ids("layers") == {n for n in os.listdir(shop.layers) if len(n) == 64}
    assert [shop.scene.image, "by-name", "by-digest", "dangling"] == os.listdir(shop.images)
    assert [shop.scene.web.id, "by-name"] == os.listdir(shop.containers)


def test_attributes_say_what_containers_storage_says(shop: Shop) -> None:
    shop.go.run("set-metadata", "-m", "some text", shop.scene.image)
    shop.catch_up()

    said = shop.go_object("images", "shop")

    image = shop.images / "shop"
    assert f"{said['id']}\n" == read(image / "id")
    assert "some text\n" == read(image / "metadata")
    assert "shop\n" == read(image / "names")
    assert times.parse_time(said["created"]) == times.parse_time(read(image / "created").strip())
    assert said["layer"] == Path(os.readlink(image / "top-layer")).name
    assert said["id"] == json.loads(read(image / "info.json"))["id"]


def test_entries_stand_in_the_order_of_the_page(shop: Shop) -> None:
    def group(entry: os.DirEntry[str]) -> int:
        if entry.name == "big-data":
            return 4
        if entry.is_symlink():
            return 2
        return 3 if entry.is_dir(follow_symlinks=False) else int(entry.name != "id")

    for kind in ("layers/top", "images/shop", "containers/web"):
        groups = [group(entry) for entry in os.scandir(shop.root / kind)]
        assert sorted(groups) == groups, kind
        assert groups.count(0) == 1


def test_stat_follows_the_rules(shop: Shop) -> None:
    image = shop.images / shop.scene.image

    for entry in os.scandir(image):
        found = entry.stat(follow_symlinks=False)
        assert 1 == found.st_nlink
        if entry.is_dir(follow_symlinks=False):
            assert 0o040755 == found.st_mode
        elif entry.is_symlink():
            assert stat.S_ISLNK(found.st_mode)
        else:
            writable = entry.name in ("names", "metadata")
            assert (0o100644 if writable else 0o100444) == found.st_mode
            content = Path(entry.path).read_bytes()
            assert (0 if entry.name == "health" else len(content)) == found.st_size
            assert (1 if found.st_size else 0) == found.st_blocks
    created = times.parse_time(read(image / "created").strip())
    assert created == image.stat().st_mtime_ns


def test_every_link_leads_to_its_object_wherever_it_is_read(shop: Shop) -> None:
    top, image, web = shop.scene.top, shop.scene.image, shop.scene.web.id
    ways = {
        "layers/top/parent": f"layers/{shop.scene.base}",
        "layers/base/children/top/parent": f"layers/{shop.scene.base}",
        f"layers/base/children/{top}": f"layers/{top}",
        "layers/base/children/top/images/shop/top-layer": f"layers/{top}",
        f"layers/top/images/{image}": f"images/{image}",
        "images/shop/top-layer": f"layers/{top}",
        "images/shop/layers/00": f"layers/{shop.scene.base}",
        "images/shop/layers/01": f"layers/{top}",
        f"images/shop/containers/{web}": f"containers/{web}",
        "images/shop/containers/web/image": f"images/{image}",
        "images/shop/containers/web/layer": f"layers/{shop.scene.web.layer}",
        f"layers/{shop.scene.web.layer}/containers/{web}": f"containers/{web}",
        "containers/web/image": f"images/{image}",
        "containers/by-name/web": f"containers/{web}",
        "images/by-name/shop": f"images/{image}",
        f"layers/dangling/{shop.scene.loose}": f"layers/{shop.scene.loose}",
    }

    for way, there in ways.items():
        assert (shop.root / way).is_symlink(), way
        assert str(shop.root / there) == os.path.realpath(shop.root / way), way


def test_aliases_are_found_and_not_listed(shop: Shop) -> None:
    image = shop.scene.image

    for name in ("shop", image[:8], image[:20], image):
        assert f"{image}\n" == read(shop.images / name / "id")
    with pytest.raises(FileNotFoundError):
        os.stat(shop.images / image[:7])
    assert "shop" not in os.listdir(shop.images)


def test_by_name_nests_and_encodes(shop: Shop) -> None:
    names = ["a", "a/b", "a/c/d", "q/x:1", "q/./y", "50%", "two\nlines", "", "q//z", "n" * 300]
    shop.scene.store.set_names("images", shop.scene.image, names)
    shop.catch_up()

    by_name = shop.images / "by-name"
    found = {
        os.path.relpath(os.path.join(top, name), by_name)
        for top, directories, files in os.walk(by_name)
        for name in (*directories, *files)
        if os.path.islink(os.path.join(top, name))
    }

    cut = next(name for name in found if name.startswith("nnn"))
    plain = {"a", "a%2Fb", "a%2Fc%2Fd", "q/x:1", "q/%2E/y", "50%25", "two%0Alines", "%", "q/%/z"}
    assert plain == found - {cut}
    assert "n" * 180 + "%~" == cut[:-16]
    for name in found:
        assert str(shop.images / shop.scene.image) == os.path.realpath(by_name / name)
    for name in ("a%2fb", "%61", "q%2Fx:1", "a/b"):
        with pytest.raises((FileNotFoundError, NotADirectoryError)):
            os.readlink(by_name / name)


def test_by_digest_and_dangling_follow_the_records(shop: Shop) -> None:
    store = shop.scene.store
    made = store.create_image(names=["lone"], big_data=[("manifest", b"{}")])
    store.remove_names("images", made.id, ["lone"])
    shop.catch_up()

    assert [f"{made.digest}"] == os.listdir(shop.images / "by-digest")
    assert [made.id] == os.listdir(shop.images / "by-digest" / made.digest)
    assert [made.id] == os.listdir(shop.images / "dangling")
    assert [shop.scene.loose] == os.listdir(shop.layers / "dangling")


def test_manifest_and_config_lead_into_big_data(shop: Shop) -> None:
    store = shop.scene.store
    image_id = "c0" * 32
    items = [(f"sha256:{image_id}", b"config"), ("manifest", b"{}")]
    store.create_image(image_id=image_id, big_data=items)
    shop.catch_up()

    image = shop.images / image_id

    assert ("config", "{}") == (read(image / "config"), read(image / "manifest"))
    assert [f"sha256:{image_id}", "manifest"] == os.listdir(image / "big-data")
    assert not (shop.images / "shop" / "manifest").is_symlink()


def test_extended_attributes_are_read_and_not_listed(shop: Shop) -> None:
    image = shop.images / "shop"

    assert shop.scene.image.encode() == os.getxattr(image, "user.holdfs.id")
    assert shop.scene.image.encode() == os.getxattr(image / "names", "user.holdfs.id")
    for name, number in (("user.other", errno.ENODATA), ("security.x", errno.ENOTSUP)):
        with pytest.raises(OSError) as caught:
            os.getxattr(image, name)
        assert number == caught.value.errno
    with pytest.raises(OSError) as caught:
        os.listxattr(image)
    assert errno.ENOTSUP == caught.value.errno


def test_statfs_speaks_for_the_graph_root(shop: Shop) -> None:
    there, here = os.statvfs(shop.go.graph), os.statvfs(shop.root)

    assert (there.f_bsize, there.f_blocks) == (here.f_bsize, here.f_blocks)
    assert 255 == here.f_namemax


def test_inodes_are_the_same_in_the_next_mount(shop: Shop) -> None:
    paths = ("images/shop", "images/shop/names", "layers/top/parent", "containers/by-name/web")

    first = [os.lstat(shop.root / path).st_ino for path in paths]

    with serving(shop.go.graph, shop.go.run_root, shop.root.with_name("again")) as again:
        assert first == [os.lstat(again.root / path).st_ino for path in paths]


@pytest.mark.parametrize(
    "tool", ["grep -r 'no such text' . || test $? = 1", "find .", "du -s .", "find . -name 'x*'"]
)
def test_recursive_tools_end_and_mount_nothing(shop: Shop, tool: str) -> None:
    shop.sh(tool)

    assert [] == shop.scene.ours()


@pytest.mark.parametrize("tool", ["ls -lR .", "tar c . | tar t", "cp -a . ../copy"])
def test_recursive_tools_stay_out_of_rootfs(shop: Shop, tool: str) -> None:
    # They read the links, which mounts, and do not follow them.
    assert "motd" not in shop.sh(tool)


def test_status_is_that_of_the_store_with_counts(shop: Shop) -> None:
    status = read(shop.root / "status")

    assert f"Root: {shop.go.graph}\n" in status
    assert "Layers: 4\nImages: 1\nContainers: 1\n" in status
    assert len(status) == (shop.root / "status").stat().st_size


def test_readme_names_the_ways_to_change_things(shop: Shop) -> None:
    assert "mkdir images/shop/containers/web" in read(shop.root / "README")


def test_health_names_what_is_missing(shop: Shop) -> None:
    store = shop.scene.store
    store.set_big_data("images", shop.scene.image, "notes", b"text")
    os.unlink(store.big_data_path("images", shop.scene.image, "notes"))
    directory = f"{shop.go.graph}/overlay/{shop.scene.loose}"
    os.rename(directory, f"{directory}-away")
    shop.catch_up()

    image, loose = shop.scene.image, shop.scene.loose
    item = f'image {image}: data item "notes": image data item is missing\n'
    # What is wrong with an image is wrong with its containers, too.
    assert f"damaged\n{item}" == read(shop.images / "shop" / "health")
    assert f"damaged\n{item}" == read(shop.containers / "web" / "health")
    gone = f"layer {loose}: the driver has no directory for it\n"
    assert f"damaged\n{gone}" == read(shop.layers / "loose" / "health")
    assert "ok\n" == read(shop.layers / "top" / "health")
    os.rename(f"{directory}-away", directory)
    assert "ok\n" == read(shop.layers / "loose" / "health")


def test_health_says_what_holdctl_check_says(shop: Shop) -> None:
    store = shop.scene.store
    store.set_big_data("images", shop.scene.image, "notes", b"text")
    Path(store.big_data_path("images", shop.scene.image, "notes")).write_bytes(b"other")
    store.set_big_data("layers", shop.scene.loose, "notes", b"text")
    os.unlink(store.big_data_path("layers", shop.scene.loose, "notes"))
    shop.catch_up()

    holdctl = str(Path(sys.executable).with_name("holdctl"))
    _, *roots = shop.go.command()
    said = run(holdctl, *roots, "check", "--quick").stdout

    for path in ("images/shop", "layers/loose"):
        damaged, *reasons = read(shop.root / path / "health").splitlines()
        assert "damaged" == damaged and reasons
        for reason in reasons:
            assert f" {reason}\n" in said
