"""When a write takes effect: system calls as programs make them, in the orders they make them."""

import errno
import os
import subprocess
from collections.abc import Callable

import pytest

from tests.mount.daemons import eventually
from tests.mount.shop import Shop

pytestmark = pytest.mark.needs("root", "fuse", "overlay", "containers-storage")

WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


@pytest.fixture
def open_(shop: Shop) -> Callable[..., int]:
    """Give a function that opens a path in the mount."""
    return lambda path, flags=WRITE: os.open(shop.root / path, flags, 0o644)


# What the store has, read by this process itself: a child that is started closes its copies of all
# descriptors, and each close is a flush.


def names(shop: Shop) -> list[str]:
    return list(shop.scene.store.snapshot().images.names_of(shop.scene.image))


def metadata(shop: Shop) -> str:
    return shop.scene.store.metadata(shop.scene.image)


def keys(shop: Shop) -> list[str]:
    return list(shop.scene.store.snapshot().images.one(shop.scene.image).big_data_names)


def item(shop: Shop, key: str) -> bytes:
    return shop.scene.store.read_big_data("images", shop.scene.image, key)


# -- metadata ------------------------------------------------------------------------------------


def test_metadata_is_set_by_each_write(shop: Shop, open_: Callable[..., int]) -> None:
    fd = open_("images/shop/metadata")
    os.write(fd, b"one")
    assert "one" == metadata(shop)
    os.write(fd, b" two\n")
    assert "one two" == metadata(shop)
    os.close(fd)
    assert "one two" == metadata(shop)


@pytest.mark.parametrize("value", ["", "x", "x\n", "\n\n", " ", "a\nb", "é€😀", "<&>\u2028"])
def test_cp_of_metadata_is_exact(shop: Shop, value: str) -> None:
    shop.scene.store.set_metadata("containers", "web", value)
    shop.catch_up()

    shop.sh("echo old > images/shop/metadata; cp containers/web/metadata images/shop/metadata")

    assert value == metadata(shop)


def test_a_character_split_between_writes_arrives_whole(
    shop: Shop, open_: Callable[..., int]
) -> None:
    fd = open_("images/shop/metadata")
    for byte in "a€b".encode():
        os.write(fd, bytes([byte]))
    os.close(fd)

    assert "a€b" == metadata(shop)


@pytest.mark.parametrize(
    ("data", "number"),
    [(b"a\0b", errno.EINVAL), (b"a\xffb", errno.EINVAL), (b"x" * (1 << 20) + b"\nx", errno.EFBIG)],
)
def test_text_that_cannot_be_is_refused_and_the_old_stays(
    shop: Shop, open_: Callable[..., int], data: bytes, number: int
) -> None:
    shop.scene.store.set_metadata("images", "shop", "old")
    fd = open_("images/shop/metadata")
    with pytest.raises(OSError) as caught:
        for at in range(0, len(data), 4096):
            os.write(fd, data[at : at + 4096])
    os.close(fd)

    assert number == caught.value.errno
    assert number == errno.EFBIG or "old" == metadata(shop)


def test_a_mebibyte_of_metadata_is_taken(shop: Shop) -> None:
    shop.sh("head -c 1048576 /dev/zero | tr '\\0' x > images/shop/metadata")

    assert "x" * (1 << 20) == metadata(shop)
    assert (1 << 20) + 1 == (shop.images / "shop" / "metadata").stat().st_size


def test_a_gap_is_refused(shop: Shop, open_: Callable[..., int]) -> None:
    fd = open_("images/shop/metadata")
    with pytest.raises(OSError) as caught:
        os.pwrite(fd, b"x", 5)
    os.close(fd)

    assert errno.EINVAL == caught.value.errno


def test_append_to_metadata_comes_after_what_is_there(shop: Shop) -> None:
    shop.sh("echo one > images/shop/metadata; echo two >> images/shop/metadata")

    assert "one\ntwo" == metadata(shop)


def test_a_write_in_the_middle_keeps_the_rest(shop: Shop, open_: Callable[..., int]) -> None:
    shop.scene.store.set_metadata("images", "shop", "abcdef")
    shop.catch_up()
    fd = open_("images/shop/metadata", os.O_RDWR)
    os.pwrite(fd, b"XY", 2)
    assert b"abXYef\n" == os.pread(fd, 100, 0)
    os.close(fd)

    assert "abXYef" == metadata(shop)


def test_cutting_alone_changes_nothing(shop: Shop) -> None:
    shop.scene.store.set_metadata("images", "shop", "old")

    shop.sh("> images/shop/metadata; > images/shop/names; truncate -s 0 images/shop/metadata")
    os.truncate(shop.images / "shop" / "names", 0)

    assert ("old", ["shop"]) == (metadata(shop), names(shop))
    assert "shop\n" == (shop.images / "shop" / "names").read_text()


def test_the_very_next_read_shows_what_was_written(shop: Shop) -> None:
    for number in range(30):
        (shop.images / "shop" / "metadata").write_text(f"{'x' * number}\n")
        for alias in ("shop", shop.scene.image, shop.scene.image[:9]):
            assert "x" * number + "\n" == (shop.images / alias / "metadata").read_text()
            assert number + 1 == (shop.images / alias / "metadata").stat().st_size


# -- names ---------------------------------------------------------------------------------------


def test_names_are_replaced_by_the_text(shop: Shop) -> None:
    shop.sh("printf 'a\\nb\\n' > images/shop/names")

    assert ["a", "b"] == names(shop)


def test_lines_are_added_as_they_are_completed_and_the_rest_goes_at_close(
    shop: Shop, open_: Callable[..., int]
) -> None:
    fd = open_("images/shop/names")
    os.write(fd, b"a\nb")
    assert ["shop", "a"] == names(shop)
    os.write(fd, b"c\nlast")
    assert ["shop", "a", "bc"] == names(shop)
    os.close(fd)
    assert ["a", "bc", "last"] == names(shop)


def test_two_echos_in_one_redirection_leave_both(shop: Shop) -> None:
    shop.sh("{ echo a; echo b; } > images/shop/names")

    assert ["a", "b"] == names(shop)


def test_dd_of_three_bytes_makes_no_half_names(shop: Shop) -> None:
    shop.sh("printf 'first\\nsecond\\n' | dd bs=3 of=images/shop/names status=none")

    assert ["first", "second"] == names(shop)


def test_append_only_adds(shop: Shop) -> None:
    shop.sh("echo a >> images/shop/names; printf b >> images/shop/names")

    assert ["shop", "a", "b"] == names(shop)


def test_an_empty_line_clears(shop: Shop) -> None:
    shop.sh("echo > images/shop/names")

    assert [] == names(shop)


def test_a_reader_and_writer_of_the_same_names_drops_none(shop: Shop) -> None:
    shop.try_sh("grep -v x images/shop/names > images/shop/names")

    assert ["shop"] == names(shop)


def test_a_bad_line_is_refused_and_drops_nothing(shop: Shop, open_: Callable[..., int]) -> None:
    fd = open_("images/shop/names")
    os.write(fd, b"good\n")
    for bad in (b"%2f\n", b"%41\n", b"\xff\n"):
        with pytest.raises(OSError) as caught:
            os.write(fd, bad)
        assert errno.EINVAL == caught.value.errno
    os.close(fd)

    assert ["shop", "good"] == names(shop)


def test_odd_names_are_encoded_by_line(shop: Shop) -> None:
    odd = ["50%", "two\nlines", "tab\there", "a/b", "é", ""]
    shop.scene.store.set_names("images", "shop", odd)
    shop.catch_up()
    image = shop.images / shop.scene.image

    assert "50%25\ntwo%0Alines\ntab%09here\na/b\né\n%\n" == (image / "names").read_text()
    shop.sh(f"cp images/{shop.scene.image}/names containers/web/names")
    assert odd == shop.go_names("containers", shop.scene.web.id)


def test_ten_thousand_names_are_taken(shop: Shop) -> None:
    shop.sh("seq 10000 > images/shop/names")

    assert [str(number) for number in range(1, 10001)] == names(shop)


def test_a_name_of_another_object_is_taken_from_it(shop: Shop) -> None:
    shop.sh("echo base >> layers/loose/names")

    assert ["loose", "base"] == shop.go_names("layers", shop.scene.loose)
    assert [] == shop.go_names("layers", shop.scene.base)


# -- big data ------------------------------------------------------------------------------------


def test_an_item_is_set_at_close(shop: Shop, open_: Callable[..., int]) -> None:
    fd = open_("images/shop/big-data/notes")
    os.write(fd, b"one")
    assert [] == keys(shop)
    assert 3 == os.fstat(fd).st_size
    os.close(fd)
    assert b"one" == item(shop, "notes")
    assert ["notes"] == shop.go_object("images", "shop")["big-data-names"]


def test_each_flush_stores_all_that_was_written_so_far(
    shop: Shop, open_: Callable[..., int]
) -> None:
    fd = open_("images/shop/big-data/notes")
    os.close(os.dup(fd))  # a flush before the first write
    os.write(fd, b"one ")
    os.close(os.dup(fd))
    assert b"one " == item(shop, "notes")
    os.write(fd, b"two")
    os.fsync(fd)
    assert b"one two" == item(shop, "notes")
    os.close(fd)
    assert b"one two" == item(shop, "notes")


def test_two_programs_that_share_a_redirection_end_right(shop: Shop) -> None:
    shop.sh("seq 1000 | { head -c 512; cat; } > images/shop/big-data/notes")

    assert "".join(f"{n}\n" for n in range(1, 1001)).encode() == item(shop, "notes")


def test_an_item_made_and_never_written_is_empty(shop: Shop) -> None:
    shop.sh(": > images/shop/big-data/notes; touch images/shop/big-data/more")

    eventually(lambda: ["notes", "more"] == keys(shop))
    assert b"" == item(shop, "notes")


def test_an_item_cut_and_never_written_is_emptied(shop: Shop) -> None:
    shop.scene.store.set_big_data("images", "shop", "notes", b"old")
    shop.catch_up()

    shop.sh(": > images/shop/big-data/notes")

    eventually(lambda: b"" == item(shop, "notes"))


@pytest.mark.parametrize(
    "script",
    [
        ": > x; echo text > x",
        "touch x; echo text >> x",
        "touch y; mv y x; echo text > x",
        ": > x; : > x; cat x; echo text > x; touch x",
        "touch x; sed -i 's/^/no/' x; truncate -s 0 x; echo text >> x",
    ],
)
def test_a_late_release_takes_nothing_back(shop: Shop, script: str) -> None:
    for _ in range(10):
        shop.sh(f"cd images/shop/big-data && {script}")
        assert b"text\n" == item(shop, "x")
        shop.scene.store.set_big_data("images", "shop", "x", b"")
        shop.catch_up()


def test_an_item_is_cut_and_filled_as_any_file(shop: Shop) -> None:
    shop.sh(
        "cd images/shop/big-data; echo 0123456789 > x; truncate -s 4 x; cat x; truncate -s 6 x;"
        "printf AB | dd of=x bs=1 seek=8 conv=notrunc status=none; echo end >> x"
    )

    eventually(lambda: b"0123\0\0\0\0ABend\n" == item(shop, "x"))


def test_an_error_is_the_close_s_own_and_the_old_value_stays(
    shop: Shop, open_: Callable[..., int]
) -> None:
    shop.scene.store.delete_container("web")
    fd = open_("images/shop/big-data/notes")
    os.write(fd, b"too late")
    shop.scene.store.delete_image("shop")

    with shop.refused(errno.ENOENT, "flush", "images/shop/big-data/notes"):
        os.close(fd)


@pytest.mark.parametrize("kind", ["layers/loose", "images/shop", "containers/web"])
def test_items_of_every_kind_are_written_and_read(shop: Shop, kind: str) -> None:
    directory = shop.root / kind / "big-data"
    for key in ("plain", "With-Dash", "sha256:abc", "a%2Fb", "n" * 100):
        if key == "a%2Fb":
            # Its file name would hold a slash of base64 in a tool's eyes only if it had one.
            key = "per%25cent"
        (directory / key).write_bytes(key.encode() * 1000)
        assert key.encode() * 1000 == (directory / key).read_bytes()
        assert len(key) * 1000 == (directory / key).stat().st_size

    assert ["plain", "With-Dash", "sha256:abc", "per%25cent", "n" * 100] == os.listdir(directory)
    listed = shop.go_object(kind.partition("/")[0], kind.partition("/")[2])["big-data-names"]
    assert ["plain", "With-Dash", "sha256:abc", "per%cent", "n" * 100] == listed


def test_a_megabyte_item_arrives_whole(shop: Shop) -> None:
    data = os.urandom(5_000_000)
    path = shop.images / "shop" / "big-data" / "blob"

    path.write_bytes(data)

    assert data == item(shop, "blob") == path.read_bytes()


def test_an_item_is_renamed(shop: Shop) -> None:
    shop.sh("cd images/shop/big-data; echo text > notes; mv notes remarks; cat remarks; ls")

    assert ["remarks"] == shop.go_object("images", "shop")["big-data-names"]
    assert b"text\n" == item(shop, "remarks")


def test_an_open_item_keeps_what_it_was(shop: Shop) -> None:
    path = shop.images / "shop" / "big-data" / "notes"
    path.write_text("old")
    with path.open() as reader:
        path.write_text("newer")
        assert "old" == reader.read()
    assert "newer" == path.read_text()


# -- what is accepted and changes nothing ----------------------------------------------------------


def test_mode_owner_and_times_are_accepted_and_stay(shop: Shop) -> None:
    path = shop.images / "shop" / "names"
    before = path.stat()

    path.chmod(0o600)
    os.chown(path, 1, 1)
    os.utime(path, (1, 1))
    shop.sh("touch images/shop/names; chmod -R u+w images/shop; chown -h 0 images/shop/top-layer")

    after = path.stat()
    assert (before.st_mode, before.st_uid) == (after.st_mode, after.st_uid)
    assert before.st_mtime_ns == after.st_mtime_ns


def test_a_killed_writer_takes_no_name(shop: Shop) -> None:
    writer = subprocess.Popen(
        ["bash", "-c", "exec > images/shop/names; echo new; printf hal; read -r never"],
        cwd=shop.root,
        stdin=subprocess.PIPE,
    )
    eventually(lambda: "new" in names(shop))
    writer.kill()
    writer.communicate(timeout=30)

    eventually(lambda: not os.path.exists(f"/proc/{writer.pid}"))
    assert "new" in names(shop)
