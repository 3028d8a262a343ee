"""People's own programs in the tree: shells, coreutils, nano, rsync, tar, mc and gio."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.mount.daemons import eventually
from tests.mount.shop import Shop
from tests.mount.terminal import DOWN, F5, F6, F7, F8, F10, Terminal, terminal

pytestmark = pytest.mark.needs("root", "fuse", "overlay", "containers-storage")


def item(shop: Shop, key: str) -> bytes:
    return shop.go.run_bytes("get-image-data", shop.scene.image, key).stdout


def items(shop: Shop) -> list[str]:
    return list(shop.go_object("images", shop.scene.image).get("big-data-names") or ())


def names(shop: Shop) -> list[str]:
    return shop.go_names("images", shop.scene.image)


# -- shells ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shell", ["bash", "dash", pytest.param("busybox sh", marks=pytest.mark.needs("busybox"))]
)
def test_shells_write_attributes(shop: Shop, shell: str) -> None:
    script = (
        "echo one > names; echo two >> names; { echo three; echo four; } >> names\n"
        "printf text > metadata; printf '%s' more >> metadata\n"
        "read -r first < names; test $first = one\n"
        "cat > big-data/x <<END\nhere\nEND\n"
        "while read -r line; do last=$line; done < names; test $last = four\n"
    )
    done = subprocess.run(
        [*shell.split(), "-e", "-c", script], cwd=shop.images / shop.scene.image,
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip

    assert (0, "") == (done.returncode, done.stderr)
    assert ["one", "two", "three", "four"] == names(shop)
    assert f"{shop.scene.image}: text\nmore" == shop.go.out("metadata", shop.scene.image)
    assert b"here\n" == item(shop, "x")


@pytest.mark.parametrize(
    "shell", ["bash", "dash", pytest.param("busybox sh", marks=pytest.mark.needs("busybox"))]
)
@pytest.mark.parametrize(
    "script",
    [
        "echo x > images/shop/id",
        "echo a%zz > images/shop/names",
        "printf 'a\\000b' > images/shop/metadata",
        "echo x > layers/base/diff.tar",
    ],
)
def test_shells_report_a_refusal(shop: Shop, shell: str, script: str) -> None:
    done = subprocess.run(
        [*shell.split(), "-c", script], cwd=shop.root, capture_output=True, timeout=30
    )

    # busybox's printf says so in its status alone.
    assert 0 != done.returncode
    assert 1 == len(shop.errors())
    assert ["shop"] == names(shop)


# -- coreutils -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("truncate -s 3 x", b"old"),
        ("truncate -s 0 x", b""),
        ("truncate -s 10 x", b"old text\0\0"),
        ("touch x && touch -d yesterday x && chmod 600 x && chown 0:0 x", b"old text"),
        ("cp -p x y && mv y x", b"old text"),
        ("mv x y && cp y x && rm y", b"old text"),
        ("install -m 644 y.new x", b"new"),
        ("ln -f y.new x 2>/dev/null || cp y.new x", b"new"),
        ("tee x < y.new > /dev/null", b"new"),
        ("tee -a x < y.new > /dev/null", b"old textnew"),
        ("sort -o x x", b"old text\n"),
        ("split -b 3 -a 1 x part && cat parta partb partc > x && rm part?", b"old text"),
        ("shred -n 1 -s 8 x && cp y.new x", b"new"),
        ("cat y.new y.new > x", b"newnew"),
        ("dd if=y.new of=x bs=1 seek=2 conv=notrunc status=none", b"olnewext"),
        ("cp --sparse=always y.new x", b"new"),
        ("cp --reflink=auto y.new x", b"new"),
        ("cp -b y.new x && rm x~", b"new"),
        ("sed -i s/old/new/ x", b"new text"),
        ("perl -pi -e s/old/new/ x", b"new text"),
    ],
)
def test_coreutils_on_an_item(shop: Shop, script: str, expected: bytes) -> None:
    directory = shop.images / "shop" / "big-data"
    (directory / "x").write_bytes(b"old text")
    (directory / "y.new").write_bytes(b"new")

    done = shop.try_sh(f"cd images/shop/big-data && {script}")

    assert (0, "") == (done.returncode, done.stderr)
    assert expected == item(shop, "x")
    # What was unlinked is hidden here, and stays in the store until it is replaced.
    assert {"x", "y.new"} <= set(os.listdir(directory)) <= {"x", "y.new"}


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("touch images/shop/id && touch images/shop/names", ""),
        ("cp -p images/shop/metadata images/shop/names", ""),
        ("mv images/shop/id images/shop/di", "Operation not permitted"),
        ("ln images/shop/id images/shop/again", "Operation not permitted"),
        ("truncate -s 0 images/shop/id", "Permission denied"),
        ("mkdir images/shop/sub", "Operation not permitted"),
        ("mkfifo images/shop/fifo", "Operation not permitted"),
        ("rmdir images/shop/big-data", "Device or resource busy"),
        ("mv images/shop images/store", "Operation not permitted"),
        ("mv --exchange layers/by-name/base layers/by-name/top", ""),
        ("cp layers/top/id layers/", "Operation not permitted"),
        ("ln -s nowhere layers/loose/parent", "No such file or directory"),
    ],
)
def test_coreutils_on_what_cannot_be(shop: Shop, script: str, words: str) -> None:
    if "--exchange" in script and "exchange" not in shop.sh("mv --help"):
        script = (
            "python3 -c 'import ctypes as c; l = c.CDLL(None, use_errno=True);"
            ' exit(l.renameat2(-100, b"layers/by-name/base", -100, b"layers/by-name/top", 2) and'
            f" c.get_errno() != {errno.EINVAL})'"
        )
    done = shop.try_sh(script)

    assert words in done.stderr and bool(words) == bool(done.stderr)
    assert bool(words) == bool(done.returncode)
    assert {"base", "top", "loose"} == set(os.listdir(shop.layers / "by-name"))


# -- nano, rsync, tar ------------------------------------------------------------------------------


@contextmanager
def nano(shop: Shop, *args: str) -> Iterator[Terminal]:
    home = str(shop.root.parent)
    command = ("nano", "--rcfile=/dev/null", *args)
    with terminal(*command, cwd=shop.images / shop.scene.image, env={"HOME": home}) as shown:
        shown.await_text("Exit")
        yield shown


@pytest.mark.needs("nano")
@pytest.mark.parametrize("options", [[], ["-B"], ["-A"], ["--locking"]])
def test_nano_edits_names_and_items(shop: Shop, options: list[str]) -> None:
    (shop.images / "shop" / "big-data" / "x").write_text("old\n")
    for name in ("names", "big-data/x", "big-data/y"):
        with nano(shop, *options, name) as shown:
            shown.type(b"new" if name == "big-data/y" else b"new\r")
            shown.type(b"\x13")
            shown.await_text("Wrote")
            shown.type(b"\x18")
            assert 0 == shown.await_end()

    assert ["new", "shop"] == names(shop)
    assert (b"new\nold\n", b"new\n") == (item(shop, "x"), item(shop, "y"))
    assert ["x", "y"] == items(shop)


@pytest.mark.needs("rsync")
@pytest.mark.parametrize(
    "options", ["-a", "-a --inplace", "-aX", "-a --delete", "-a --append", "-rc"]
)
def test_rsync_brings_items(shop: Shop, options: str) -> None:
    source = shop.root.parent / "source"
    source.mkdir()
    (source / "x").write_bytes(b"new text" * 1000)
    (source / "y").write_bytes(b"")

    shop.sh(f"rsync {options} ../source/ images/shop/big-data/")
    shop.sh(f"rsync {options} ../source/ images/shop/big-data/")

    assert b"new text" * 1000 == item(shop, "x")
    assert ["x", "y"] == sorted(items(shop))


@pytest.mark.needs("rsync")
def test_rsync_takes_an_object_away_whole(shop: Shop) -> None:
    (shop.images / "shop" / "big-data" / "x").write_bytes(b"text")

    shop.sh(f"rsync -aX --exclude=diff.tar images/{shop.scene.image} ../copy")

    copy = shop.root.parent / "copy" / shop.scene.image
    assert sorted(os.listdir(shop.images / "shop")) == sorted(os.listdir(copy))
    for name in ("id", "names", "info.json", "big-data/x"):
        assert (shop.images / "shop" / name).read_bytes() == (copy / name).read_bytes()
    assert os.readlink(copy / "top-layer") == os.readlink(
        shop.images / shop.scene.image / "top-layer"
    )


def test_tar_takes_an_object_away_and_brings_its_items_back(shop: Shop) -> None:
    image = f"images/{shop.scene.image}"
    (shop.root / image / "big-data" / "x").write_bytes(b"text" * 5000)
    (shop.root / image / "metadata").write_text("meta\n")

    shop.sh(f"tar cf ../a.tar {image}")
    shop.sh(f"tar cSf ../sparse.tar {image}")
    (shop.root / image / "big-data" / "x").write_bytes(b"other")
    (shop.root / image / "metadata").write_text("other\n")
    for archive in ("a.tar", "sparse.tar"):
        shop.sh(f"tar xf ../{archive} {image}/big-data/x {image}/metadata")

        assert b"text" * 5000 == item(shop, "x")
        assert f"{shop.scene.image}: meta" == shop.go.out("metadata", shop.scene.image)


# -- mc --------------------------------------------------------------------------------------------


@contextmanager
def mc(shop: Shop, left: Path, right: Path) -> Iterator[Terminal]:
    home = {"HOME": str(shop.root.parent)}
    with terminal("mc", "-u", "-d", "-b", str(left), str(right), cwd=left, env=home) as shown:
        shown.await_text("10Quit")
        yield shown
        # While it copies, keys are for the dialog that shows how far it is.
        shown.await_rest()
        shown.type(F10)
        assert 0 == shown.await_end()


def down_to(directory: Path, name: str) -> bytes:
    """Return the keys that lead from `..` to an entry among directories."""
    return DOWN * (1 + sorted(os.listdir(directory)).index(name))


@pytest.mark.needs("mc")
def test_mc_makes_a_container(shop: Shop) -> None:
    with mc(shop, shop.images / shop.scene.image / "containers", shop.root.parent) as shown:
        shown.type(F7)
        shown.await_text("Enter directory name")
        shown.type(b"db\r")
        eventually(lambda: 2 == len(shop.go_ids("containers")))

    assert shop.scene.image == shop.go_object("containers", "db")["image"]


@pytest.mark.needs("mc")
def test_mc_renames_a_name(shop: Shop) -> None:
    with mc(shop, shop.images / "by-name", shop.root.parent) as shown:
        shown.type(DOWN + F6)
        shown.await_text("Move file")
        shown.type(b"store\r")
        eventually(lambda: ["store"] == names(shop))


@pytest.mark.needs("mc")
def test_mc_copies_an_item(shop: Shop) -> None:
    outside = shop.root.parent / "outside"
    outside.mkdir()
    (outside / "x").write_bytes(b"text" * 10_000)
    with mc(shop, outside, shop.images / shop.scene.image / "big-data") as shown:
        shown.type(DOWN + F5)
        shown.await_text("Copy file")
        shown.type(b"\r")
        eventually(lambda: ["x"] == items(shop))

    assert b"text" * 10_000 == item(shop, "x")


@pytest.mark.needs("mc")
def test_mc_deletes_a_container_whole(shop: Shop) -> None:
    [container] = shop.go_ids("containers")
    with mc(shop, shop.containers, shop.root.parent) as shown:
        shown.type(down_to(shop.containers, container) + F8)
        shown.await_text("Delete directory")
        shown.type(b"\r")
        shown.await_text("recursively")
        shown.type(b"\r")
        eventually(lambda: not shop.go_ids("containers"))


@pytest.mark.needs("mc")
def test_mc_deletes_nothing_of_what_is_used(shop: Shop) -> None:
    before = {top: sorted(files) for top, _, files in os.walk(shop.images / "shop")}
    with mc(shop, shop.images, shop.root.parent) as shown:
        shown.type(down_to(shop.images, shop.scene.image) + F8)
        shown.await_text("Delete directory")
        shown.type(b"\r")
        shown.await_text("recursively")
        shown.type(b"\r")
        shown.await_text("Device or resource busy")
        shown.type(b"\x1b\x1b")

    assert before == {top: sorted(files) for top, _, files in os.walk(shop.images / "shop")}
    assert (["shop"], {shop.scene.image}) == (names(shop), shop.go_ids("images"))


# -- gio -------------------------------------------------------------------------------------------


@pytest.mark.needs("gio")
def test_gio_lists_and_tells_of_an_object(shop: Shop) -> None:
    listed = shop.sh("gio list images/shop").split()
    said = shop.sh(
        "gio info images/shop/names; gio info images/shop/top-layer; gio cat images/shop/id"
    )

    assert sorted(os.listdir(shop.images / "shop")) == sorted(listed)
    assert "standard::size: 5" in said
    assert "standard::is-symlink: TRUE" in said
    assert shop.scene.image in said


@pytest.mark.needs("gio")
def test_gio_removes_and_trashes_as_it_can(shop: Shop) -> None:
    directory = shop.images / "shop" / "big-data"
    (directory / "x").write_bytes(b"text")
    for path in ("containers/web", "images/shop/big-data/x", "images/by-name/shop"):
        done = shop.try_sh(f"gio trash {path}")
        assert 0 != done.returncode
        assert (shop.root / path).exists()
    assert 0 != shop.try_sh("gio remove images/shop").returncode
    assert {shop.scene.image} == shop.go_ids("images")

    shop.sh("gio remove images/by-name/shop")

    assert [] == names(shop)


@pytest.mark.needs("gio")
def test_gio_saves_over_names_and_renames_a_name(shop: Shop) -> None:
    (shop.root.parent / "new").write_text("one\ntwo\n")

    shop.sh(f"gio save images/{shop.scene.image}/names < ../new")
    assert ["one", "two"] == names(shop)
    shop.sh("gio rename images/by-name/one three && gio mkdir containers/db")

    assert ["three", "two"] == names(shop)
    assert 2 == len(shop.go_ids("containers"))
