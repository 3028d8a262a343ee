"""Input that cannot be, or hardly: the errno of the page, a line in `errors`, nothing lost."""

import errno
import os
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from holdfs.fusefs.tree.encoding import encode, encode_line, entry_name
from tests.mount.daemons import eventually
from tests.mount.scene import Scene
from tests.mount.shop import Shop

pytestmark = pytest.mark.needs("root", "fuse", "overlay", "containers-storage")


def records(shop: Shop) -> list[bytes]:
    kinds = ("layers", "images", "containers")
    return [Path(shop.go.graph, f"overlay-{k}", f"{k}.json").read_bytes() for k in kinds]


@pytest.fixture
def unchanged(shop: Shop) -> Iterator[Shop]:
    """Give the shop, and see at the end that its records are as they were."""
    before = records(shop)
    yield shop
    assert before == records(shop)


# -- names -----------------------------------------------------------------------------------------

_TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=80
)
_FEW = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@_FEW
@given(name=_TEXTS)
@example("a\nb")
@example("%")
@example("%41%2f%zz")
@example("..")
@example("-rf")
@example(" leading and trailing ")
@example("\u202eevil\u0085")
@example("é" * 127)
def test_any_name_is_made_shown_read_and_dropped(shop: Shop, name: str) -> None:
    directory = shop.images / encode(name)
    if len(os.fsencode(encode(name))) > 255 or encode(name).startswith(".Trash"):
        return
    directory.mkdir()
    image_id = (directory / "id").read_text().strip()

    assert f"{encode_line(name)}\n" == (directory / "names").read_text()
    assert [name] == shop.go_names("images", image_id)
    assert not any(unicodedata.category(c) == "Cc" for c in "".join(os.listdir(shop.images)))
    assert entry_name(name.split("/")[0]) in os.listdir(shop.images / "by-name")
    directory.rmdir()
    assert {shop.scene.image} == shop.go_ids("images")


@_FEW
@given(names=st.lists(_TEXTS, min_size=1, max_size=5, unique=True))
@example(names=["a\nb", "", "%", "a/b", "a"])
def test_any_names_are_written_and_read_back(shop: Shop, names: list[str]) -> None:
    path = shop.images / shop.scene.image / "names"
    text = "".join(f"{encode_line(name)}\n" for name in names)

    path.write_text(text, newline="")

    assert names == shop.go_names("images", shop.scene.image)
    assert text.encode() == path.read_bytes()


@_FEW
@given(key=_TEXTS)
@example("a/b")
@example("sha256:" + "0" * 64)
@example("x" * 200)
def test_any_key_is_made_shown_read_and_renamed(shop: Shop, key: str) -> None:
    directory = shop.images / shop.scene.image / "big-data"
    if len(os.fsencode(encode(key))) > 255:
        return
    try:
        (directory / encode(key)).write_bytes(b"text")
    except OSError as error:
        # What no store can have as a key, and names of savers that stay scratch.
        assert errno.EINVAL == error.errno
        return
    assert encode(key) in os.listdir(directory)
    assert b"text" == (directory / encode(key)).read_bytes()


def test_other_spellings_are_nobody_s_and_cannot_be_made(unchanged: Shop) -> None:
    for entry in ("%41", "a%2fb", "%%", "a%", "a%4", "%C3", "%FF", "a%~0123456789abcdef"):
        for kind in ("layers", "images", "containers"):
            path = unchanged.root / kind / entry
            with unchanged.refused(errno.EINVAL, "mkdir", path):
                path.mkdir()
            assert not path.exists()
        with unchanged.refused(errno.EINVAL, "symlink", unchanged.images / "by-name" / entry):
            (unchanged.images / "by-name" / entry).symlink_to("../shop")


@pytest.mark.parametrize(
    "make",
    [
        lambda top: os.mkdir(top + b"/images/\xff\xfe"),
        lambda top: os.symlink(b"../shop", top + b"/images/by-name/\xff"),
        lambda top: os.close(
            os.open(top + b"/images/shop/big-data/\xc3", os.O_CREAT | os.O_WRONLY)
        ),
        lambda top: os.rename(top + b"/images/by-name/shop", top + b"/images/by-name/\xed\xa0\x80"),
        lambda top: Path(os.fsdecode(top), "images/shop/names").write_bytes(b"ok\n\xff\n"),
        lambda top: Path(os.fsdecode(top), "images/shop/metadata").write_bytes(b"\xff"),
    ],
)
def test_what_is_no_utf8_is_refused(shop: Shop, make: Callable[[bytes], None]) -> None:
    with pytest.raises(OSError) as caught:
        make(os.fsencode(shop.root))

    assert errno.EINVAL == caught.value.errno
    assert "EINVAL" == shop.errors()[-1].split("  ")[3]
    assert "shop" in shop.go_names("images", shop.scene.image)


def test_what_is_no_utf8_is_nobody_s(unchanged: Shop) -> None:
    directories = ["layers", "images/by-name", "layers/by-digest", "images/shop"]
    for directory in [*directories, "images/shop/big-data", "layers/base/children"]:
        for name in (b"\xff", b"\xc3", b"sh\xedop", b"\xed\xa0\x80"):
            with pytest.raises(FileNotFoundError):
                os.stat(os.fsencode(unchanged.root / directory) + b"/" + name)


def test_of_names_that_look_like_others_each_leads_to_one_object(shop: Shop) -> None:
    """A fixed entry, a full ID, a name, a prefix: in this order."""
    go, scene = shop.go, shop.scene
    prefix = scene.base[:8]
    for name in ("by-name", "dangling", scene.base, prefix, "names"):
        go.run("create-layer", "-n", name)
    shop.catch_up()

    def shown(name: str) -> str:
        return (shop.layers / name / "id").read_text().strip()

    ids = {name: shop.go_object("layers", name)["id"] for name in ("by-name", prefix, "names")}
    assert "top" in os.listdir(shop.layers / "by-name")
    assert scene.loose in os.listdir(shop.layers / "dangling")
    assert (scene.base, scene.base) == (shown(scene.base), shown(scene.base[:9]))
    assert (ids[prefix], ids["names"]) == (shown(prefix), shown("names"))
    # Those that something else hides are found by their IDs, and where names are.
    by_name = shop.layers / "by-name"
    assert f"../{ids['by-name']}" == os.readlink(by_name / "by-name")
    assert scene.base != (by_name / scene.base).resolve().name
    (by_name / scene.base).unlink()
    assert scene.base in shop.go_ids("layers")


@pytest.mark.parametrize("length", [255, 256, 1000])
def test_a_name_of_255_bytes_is_the_longest(shop: Shop, length: int) -> None:
    name = "ä" * (length // 2) + "n" * (length % 2)
    acts: list[Callable[[], object]] = [
        lambda: (shop.layers / name).mkdir(),
        lambda: (shop.layers / "base" / "children" / name[1:]).mkdir(),
        lambda: (shop.images / "by-name" / name).symlink_to("../shop"),
        lambda: (shop.containers / "by-name" / "web").rename(shop.containers / "by-name" / name),
        # A key that is not of letters and digits has a longer file name in the store.
        lambda: (shop.images / "shop" / "big-data" / ("k" * length)).touch(),
        lambda: (shop.images / "shop" / name).touch(),
    ]
    for number, act in enumerate(acts):
        if length == 255 or (length == 256 and number == 1):
            act()
            continue
        with pytest.raises(OSError) as caught:
            act()
        assert errno.ENAMETOOLONG == caught.value.errno
    if length > 256:
        with pytest.raises(OSError) as caught:
            os.stat(shop.images / name)
        assert errno.ENAMETOOLONG == caught.value.errno


def test_a_name_longer_than_an_entry_is_shown_cut_and_can_be_used(shop: Shop) -> None:
    name = "n" * 300
    shop.go.run("add-names", "-n", name, shop.scene.image)
    shop.catch_up()

    entry = next(e for e in os.listdir(shop.images / "by-name") if e != "shop")

    assert entry_name(name) == entry and len(entry) < 256
    assert f"../{shop.scene.image}" == os.readlink(shop.images / "by-name" / entry)
    (shop.images / "by-name" / entry).unlink()
    assert ["shop"] == shop.go_names("images", shop.scene.image)


# -- links -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "target", "number"),
    [
        ("images/by-name/x", "nowhere", errno.ENOENT),
        ("images/by-name/x", "/", errno.ENOENT),
        ("images/by-name/x", "", errno.ENOENT),
        ("images/by-name/x", "x", errno.ENOENT),
        ("images/by-name/x", "../../layers/base", errno.EINVAL),
        ("images/by-name/x", "/etc/passwd", errno.ENOENT),
        ("images/by-name/x", "../" * 50 + "tmp", errno.ENOENT),
        ("images/by-name/x", "a/" * 2000, errno.ENOENT),
        ("images/by-name/x", "\xff\n", errno.ENOENT),
        ("layers/loose/parent", "../loose", errno.EINVAL),
        ("layers/loose/parent", "parent", errno.ENOENT),
        ("layers/loose/parent", "../loose/parent/parent", errno.ENOENT),
        ("layers/loose/children", "../base", errno.EEXIST),
        ("layers/loose/kin", "../base", errno.EPERM),
        ("layers/base/parent", "../top", errno.EBUSY),
        ("images/dangling/x", "../shop", errno.EPERM),
        ("x", "layers", errno.EPERM),
    ],
)
def test_a_target_that_cannot_be(unchanged: Shop, link: str, target: str, number: int) -> None:
    with pytest.raises(OSError) as caught:
        os.symlink(target, unchanged.root / link)

    assert errno.errorcode[number] == errno.errorcode[caught.value.errno or 0]
    if target and number != errno.EEXIST:  # these the kernel answers by itself
        said = unchanged.errors()[-1].split("  ")
        assert ["symlink", link, errno.errorcode[number]] == said[1:4]


def test_a_target_in_another_mount_counts_by_its_id(shop: Shop, tmp_path: Path) -> None:
    there = tmp_path / "elsewhere" / "images"
    with shop.refused(errno.ENOENT, "symlink", "images/by-name/x"):
        (shop.images / "by-name" / "x").symlink_to(there / "shop")

    (shop.images / "by-name" / "x").symlink_to(there / shop.scene.image)

    assert ["shop", "x"] == shop.go_names("images", shop.scene.image)


def test_layers_in_a_circle_are_refused(shop: Shop) -> None:
    (shop.layers / "one").mkdir()
    (shop.layers / "two").mkdir()
    (shop.layers / "two" / "parent").symlink_to("../one")
    with pytest.raises(OSError) as caught:
        (shop.layers / "one" / "parent").symlink_to("../two")

    assert errno.EBUSY == caught.value.errno
    assert not shop.go_object("layers", "one").get("parent")


# -- values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attribute", "off", "data", "number"),
    [
        ("metadata", 5, b"text", errno.EINVAL),
        ("metadata", (1 << 20) + 2, b"text", errno.EFBIG),
        ("metadata", 1 << 62, b"text", errno.EFBIG),
        ("metadata", 0, b"a\0b", errno.EINVAL),
        ("metadata", 0, b"x" * ((1 << 20) + 2), errno.EFBIG),
        ("names", 100, b"text\n", errno.EINVAL),
        ("names", 0, b"a\0b\n", errno.EINVAL),
        ("names", 0, b"half%\n", errno.EINVAL),
        ("names", 0, b"n" * ((1 << 20) + 2), errno.EFBIG),
    ],
)
def test_a_text_that_cannot_be(
    shop: Shop, attribute: str, off: int, data: bytes, number: int
) -> None:
    path = shop.images / "shop" / attribute
    before = records(shop)
    fd = os.open(path, os.O_WRONLY)
    with pytest.raises(OSError) as caught:
        while data:
            data, off = data[(done := os.pwrite(fd, data, off)) :], off + done
    os.close(fd)

    assert errno.errorcode[number] == errno.errorcode[caught.value.errno or 0]
    said = [line.split("  ") for line in shop.errors()]
    # A large write is several requests: the one that did not fit is answered at the next.
    shown = [line[1:4] for line in said]
    assert ["write", f"images/shop/{attribute}", errno.errorcode[number]] == shown[-1]
    if attribute == "metadata" and off:
        before = records(shop)  # each write(2) that fitted was taken
        assert off >= path.stat().st_size - 1
    assert before == records(shop)


def test_an_item_takes_holes_and_a_diff_takes_no_gap(shop: Shop) -> None:
    with open(shop.images / "shop" / "big-data" / "x", "wb", buffering=0) as file:
        file.seek(100_000)
        file.write(b"end")
        file.seek(7)
        file.write(b"middle")
    expected = bytes(7) + b"middle" + bytes(100_000 - 13) + b"end"
    assert expected == shop.go.run_bytes("get-image-data", shop.scene.image, "x").stdout

    fd = os.open(shop.layers / "loose" / "diff.tar", os.O_WRONLY)
    os.pwrite(fd, b"not a tar", 1000)
    with pytest.raises(OSError) as caught:
        os.close(fd)
    assert errno.EINVAL == caught.value.errno
    assert "flush  layers/loose/diff.tar  EINVAL" in shop.errors()[-1]


# -- objects that go while they are used -----------------------------------------------------------


@pytest.mark.parametrize("who", ["this mount", "another tool"])
def test_attributes_opened_and_the_object_deleted(shop: Shop, who: str) -> None:
    web = shop.containers / shop.scene.web.id
    reader = os.open(web / "names", os.O_RDONLY)
    names, metadata = (os.open(web / name, os.O_WRONLY) for name in ("names", "metadata"))
    key = os.open(web / "big-data" / "x", os.O_WRONLY | os.O_CREAT)
    directory = os.open(web, os.O_RDONLY | os.O_DIRECTORY)
    if who == "this mount":
        web.rmdir()
    else:
        shop.go.run("delete-container", "web")
        eventually(lambda: not os.path.exists(f"/proc/self/fd/{reader}"))

    os.write(key, b"text")
    acts: list[Callable[[], object]] = [
        lambda: os.read(reader, 100),
        lambda: os.write(names, b"new\n"),
        lambda: os.write(metadata, b"new"),
        lambda: os.fstat(reader),
        lambda: os.mkdir("x", dir_fd=directory),
        lambda: os.stat("id", dir_fd=directory),
        lambda: os.close(key),
    ]
    for act in acts:
        with pytest.raises(OSError) as caught:
            act()
        assert errno.ENOENT == caught.value.errno
    said = [line.split("  ")[1:4] for line in shop.errors()]
    shown = f"containers/{shop.scene.web.id}"
    assert ["write", f"{shown}/names", "ENOENT"] in said
    assert ["write", f"{shown}/metadata", "ENOENT"] in said
    assert ["flush", f"{shown}/big-data/x", "ENOENT"] in said
    for fd in (reader, names, metadata, directory):
        os.close(fd)
    assert set() == shop.go_ids("containers")


def test_an_item_being_written_survives_its_rename_elsewhere(shop: Shop, scene: Scene) -> None:
    directory = shop.images / "shop" / "big-data"
    (directory / "x").write_bytes(b"old")
    fd = os.open(directory / "x", os.O_WRONLY)
    os.write(fd, b"new")
    scene.store.rename_big_data("images", scene.image, "x", "y")
    os.close(fd)

    assert b"old" == scene.store.read_big_data("images", scene.image, "y")
    assert b"new" == scene.store.read_big_data("images", scene.image, "x")
