"""Programs that save by unlinking, renaming and scratch files; and those that remove everything."""

import errno
import os
import tempfile
from pathlib import Path

import pytest

from tests.mount.daemons import eventually
from tests.mount.shop import Shop

pytestmark = pytest.mark.needs("root", "fuse", "overlay", "containers-storage")


def names(shop: Shop) -> list[str]:
    return shop.go_names("images", shop.scene.image)


def item(shop: Shop, key: str) -> bytes:
    return shop.scene.store.read_big_data("images", shop.scene.image, key)


# -- editors and savers ----------------------------------------------------------------------------


def test_sed_i_edits_names_and_items(shop: Shop) -> None:
    shop.sh(
        "cd images/shop && sed -i s/shop/store/ names && echo old > big-data/x &&"
        "sed -i s/old/new/ big-data/x && ls && ls big-data"
    )

    assert (["store"], b"new\n") == (names(shop), item(shop, "x"))
    assert ["x"] == shop.go_object("images", shop.scene.image)["big-data-names"]


def test_sed_i_with_a_backup_leaves_it_as_scratch(shop: Shop) -> None:
    said = shop.sh("cd images/shop && sed -i.bak s/shop/store/ names && cat names.bak && ls")

    assert said.startswith("shop\n")
    assert "names.bak" in said.splitlines()
    assert ["store"] == names(shop)


@pytest.mark.needs("vim")
@pytest.mark.parametrize("backup", ["", "set nobackup nowritebackup", "set backupcopy=no backup"])
def test_vim_edits_names_and_items(shop: Shop, backup: str) -> None:
    edit = f"vim -es -u NONE -c 'set nocompatible' -c '{backup}' -c '%s/old\\|shop/new/' -c wq"
    shop.sh(
        f"cd images/{shop.scene.image} && echo old > big-data/x &&"
        f"for file in names big-data/x; do {edit} $file; done"
    )

    assert (["new"], b"new\n") == (names(shop), item(shop, "x"))


@pytest.mark.parametrize(
    "save",
    [
        "cp ../new big-data/x",
        "cp --remove-destination ../new big-data/x",
        "install -m 600 ../new big-data/x",
        "mv ../new big-data/x",
        "dd if=../new of=big-data/x conv=fsync status=none",
        "tar c -C .. new | tar x --transform s/new/x/ -C big-data",
        "tar c -C .. new | tar x --unlink-first --transform s/new/x/ -C big-data",
        "cat ../new > big-data/.x.tmp && mv big-data/.x.tmp big-data/x",
        pytest.param("busybox cp ../new big-data/x", marks=pytest.mark.needs("busybox")),
        pytest.param("gio copy ../new big-data/x", marks=pytest.mark.needs("gio")),
    ],
)
def test_an_item_is_replaced(shop: Shop, save: str) -> None:
    (shop.images / "shop" / "big-data" / "x").write_text("old")
    (shop.root.parent / "new").write_text("new text")
    script = save.replace("../new", "../../../new").replace("-C .. ", "-C ../../.. ")

    shop.sh(f"cd images/shop && {script}")

    assert b"new text" == item(shop, "x")
    assert ["x"] == os.listdir(shop.images / "shop" / "big-data")


@pytest.mark.parametrize(
    "save",
    [
        "cp ../new names",
        "cp --remove-destination ../new names",
        "install -m 600 ../new names",
        "mv ../new names",
        "tar c -C .. new | tar x --transform s/new/names/",
        "tar c -C .. new | tar x --unlink-first --transform s/new/names/",
        "cat ../new > names.tmp && mv names.tmp names",
        "rm names && cat ../new > names",
        pytest.param("gio copy ../new names", marks=pytest.mark.needs("gio")),
    ],
)
def test_names_are_replaced(shop: Shop, save: str) -> None:
    (shop.root.parent / "new").write_text("one\ntwo\n")
    script = save.replace("../new", "../../../new").replace("-C .. ", "-C ../../.. ")

    shop.sh(f"cd images/{shop.scene.image} && {script}")

    assert ["one", "two"] == names(shop)
    assert "one\ntwo\n" == (shop.images / shop.scene.image / "names").read_text()


def test_python_saves_by_a_temporary_file(shop: Shop) -> None:
    directory = shop.images / "shop" / "big-data"
    with tempfile.NamedTemporaryFile("w", dir=directory, delete=False) as file:
        file.write("text")
        assert os.path.basename(file.name) in os.listdir(directory)
    os.replace(file.name, directory / "x")

    assert b"text" == item(shop, "x")
    assert ["x"] == os.listdir(directory)


def test_a_handle_open_on_what_was_renamed_writes_to_the_item(shop: Shop) -> None:
    directory = shop.images / "shop" / "big-data"
    fd = os.open(directory / ".goutputstream-ABC", os.O_RDWR | os.O_CREAT | os.O_EXCL)
    os.write(fd, b"text")
    os.rename(directory / ".goutputstream-ABC", directory / "x")
    assert b"text" == item(shop, "x")
    shop.scene.store.set_big_data("images", "shop", "x", b"from elsewhere")
    os.close(fd)

    assert b"from elsewhere" == item(shop, "x")


def test_scratch_files_live_in_the_mount_alone_and_under_every_alias(shop: Shop) -> None:
    (shop.images / "shop" / "notes.swp").write_text("scratch")

    assert "scratch" == (shop.images / shop.scene.image / "notes.swp").read_text()
    assert "notes.swp" in os.listdir(shop.images / shop.scene.image)
    (shop.images / "shop" / "notes.swp").unlink()
    assert "notes.swp" not in os.listdir(shop.images / shop.scene.image)


def test_scratch_takes_64_mib_and_no_more(shop: Shop) -> None:
    with (
        shop.refused(errno.ENOSPC, "write", "images/shop/big"),
        open(shop.images / "shop" / "big", "wb", buffering=0) as file,
    ):
        for _ in range(65):
            file.write(bytes(1 << 20))

    (shop.images / "shop" / "big").unlink()
    (shop.images / "shop" / "small").write_bytes(b"x")


def test_scratch_vanishes_ten_seconds_after_its_last_close(shop: Shop) -> None:
    path = shop.images / "shop" / "left"
    path.write_text("scratch")

    eventually(lambda: not path.exists())
    assert "left" not in os.listdir(shop.images / "shop")


def test_a_new_attribute_like_name_is_not_stored(shop: Shop) -> None:
    before = shop.go_object("images", "shop")
    (shop.images / "shop" / "color").write_text("red")

    assert before == shop.go_object("images", "shop")


# -- links that are made again ---------------------------------------------------------------------


def test_ln_sf_sets_a_relation_again(shop: Shop) -> None:
    shop.sh("mkdir containers/db; ln -sfn ../../images/shop containers/db/image; ls containers/db")

    assert shop.scene.image == shop.go_object("containers", "db")["image"]


def test_a_name_that_ln_might_have_made_is_stored_after_a_second(shop: Shop) -> None:
    shop.sh(f"ln -s ../{shop.scene.image} images/by-name/CuAbC123 && ls -l images/by-name")

    assert ["shop"] == names(shop)
    eventually(lambda: ["shop", "CuAbC123"] == names(shop))
    eventually(lambda: "CuAbC123\n" in (shop.images / "shop" / "names").read_text())


# -- removing everything ---------------------------------------------------------------------------


def test_rm_r_deletes_objects_one_after_the_other(shop: Shop) -> None:
    shop.sh("echo x > images/shop/big-data/notes; rm -r containers/web images/shop layers/loose")

    for kind in ("layers", "images", "containers"):
        assert set() == shop.go_ids(kind)


def test_rm_rf_in_an_object_that_is_used_refuses_names_too(shop: Shop) -> None:
    shop.try_sh("rm -rf images/shop")

    with pytest.raises(OSError) as caught:
        (shop.images / "shop" / "names").unlink()
    assert errno.EBUSY == caught.value.errno


def test_what_is_unlinked_is_hidden_under_every_alias(shop: Shop) -> None:
    paths = [shop.layers / alias / "id" for alias in ("loose", shop.scene.loose)]
    for path in paths:
        path.read_text()

    paths[0].unlink()

    eventually(lambda: not any(path.exists() for path in paths))
    assert "id" not in os.listdir(shop.layers / shop.scene.loose)


def test_rm_r_of_a_directory_of_names_drops_them(shop: Shop) -> None:
    shop.sh("printf 'q/a\\nq/b/c\\nother\\n' > images/shop/names && rm -r images/by-name/q")

    assert ["other"] == names(shop)
    assert ["other"] == os.listdir(shop.images / "by-name")


def test_a_name_that_was_moved_is_read_under_its_new_name_at_once(shop: Shop) -> None:
    by_name = shop.images / "by-name"
    for old, new in (("shop", "a"), ("a", "b"), ("b", "a"), ("a", "shop")):
        target = os.readlink(by_name / old)
        (by_name / old).rename(by_name / new)
        assert target == os.readlink(by_name / new)
        assert [new] == os.listdir(by_name)
        assert not os.path.lexists(by_name / old)


def test_an_empty_directory_of_names_stays_until_rmdir(shop: Shop) -> None:
    made = shop.images / "by-name" / "q"
    made.mkdir()
    assert ["q", "shop"] == sorted(os.listdir(shop.images / "by-name"))
    with pytest.raises(OSError) as caught:
        (made / "x").mkdir()
        made.rmdir()
    assert errno.ENOTEMPTY == caught.value.errno
    (made / "x").rmdir()
    made.rmdir()
    assert ["shop"] == os.listdir(shop.images / "by-name")


@pytest.mark.needs("gio")
def test_a_file_manager_offers_no_trash(shop: Shop) -> None:
    done = shop.try_sh("gio trash containers/web")

    assert 0 != done.returncode
    assert {shop.scene.web.id} == shop.go_ids("containers")


@pytest.mark.needs("gio")
def test_gio_copies_and_moves_into_items(shop: Shop) -> None:
    Path(shop.root.parent / "x").write_text("y")

    shop.sh("gio copy ../x images/shop/big-data/x && gio move ../x images/shop/big-data/z")

    assert (b"y", b"y") == (item(shop, "x"), item(shop, "z"))
