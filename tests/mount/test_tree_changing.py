"""The table of operations: what a person types, and what containers-storage then shows."""

import errno
import os
from pathlib import Path

import pytest

from tests.mount.shop import Shop

pytestmark = pytest.mark.needs("root", "fuse", "overlay", "containers-storage")

ID = "0123456789abcdef" * 4


def test_mkdir_makes_a_layer_of_that_name(shop: Shop) -> None:
    shop.sh("mkdir layers/fresh && cat layers/fresh/id")

    assert ["fresh"] == shop.go_names("layers", "fresh")


@pytest.mark.parametrize("kind", ["layers", "images", "containers"])
def test_mkdir_of_64_hex_digits_takes_them_as_the_id(shop: Shop, kind: str) -> None:
    (shop.root / kind / ID).mkdir()

    assert ID in os.listdir(shop.root / kind)
    assert [] == shop.go_names(kind, ID)


def test_mkdir_in_children_makes_a_layer_on_top(shop: Shop) -> None:
    shop.sh("mkdir layers/loose/children/app && cd layers/loose/children/app && cat names")

    app = shop.go_object("layers", "app")
    assert shop.scene.loose == app["parent"]
    assert [app["id"]] == os.listdir(shop.layers / "loose" / "children")
    assert (shop.layers / "loose" / "children" / app["id"]).is_symlink()


def test_ln_makes_a_pristine_layer_a_child(shop: Shop) -> None:
    shop.sh("mkdir layers/app && ln -s ../base layers/app/parent && readlink layers/app/parent")

    assert shop.scene.base == shop.go_object("layers", "app")["parent"]


def test_mkdir_in_images_of_a_layer_makes_an_image_on_it(shop: Shop) -> None:
    shop.sh("mkdir layers/loose/images/second && cat layers/loose/images/second/names")

    assert shop.scene.loose == shop.go_object("images", "second")["layer"]


def test_ln_gives_an_image_its_top_layer(shop: Shop) -> None:
    shop.sh("mkdir images/second && ln -s ../../layers/loose images/second/top-layer")

    assert shop.scene.loose == shop.go_object("images", "second")["layer"]


def test_mkdir_in_containers_of_an_image_makes_a_container(shop: Shop) -> None:
    shop.sh("mkdir images/shop/containers/db && cat containers/db/names")

    assert shop.scene.image == shop.go_object("containers", "db")["image"]


def test_ln_gives_a_container_its_image(shop: Shop) -> None:
    shop.sh("mkdir containers/db && ln -s ../../images/shop containers/db/image")

    assert shop.scene.image == shop.go_object("containers", "db")["image"]


@pytest.mark.parametrize(
    "target",
    [
        "../base",
        "../{id}",
        "../{id:.12}",
        "../by-name/base",
        "../../layers/base",
        "../../images/shop/layers/00",
        "{root}/layers/base",
        "{root}/layers/top/parent/",
        "../base/children/../../base",
        "../../../elsewhere/{id}",
        "/mnt/other/layers/{id}",
    ],
)
def test_a_target_may_be_written_in_any_way_that_leads_there(shop: Shop, target: str) -> None:
    (shop.layers / "app").mkdir()

    (shop.layers / "app" / "parent").symlink_to(target.format(id=shop.scene.base, root=shop.root))

    assert f"../{shop.scene.base}" == os.readlink(shop.layers / "app" / "parent")
    assert shop.scene.base == shop.go_object("layers", "app")["parent"]


@pytest.mark.parametrize(
    ("target", "number"),
    [
        ("../nowhere", errno.ENOENT),
        ("/etc", errno.ENOENT),
        ("..", errno.ENOENT),
        ("../../../base", errno.ENOENT),
        ("../../images/shop", errno.EINVAL),
        ("app", errno.ENOENT),
        ("parent", errno.ENOENT),
    ],
)
def test_a_target_that_leads_to_no_layer_is_refused(shop: Shop, target: str, number: int) -> None:
    (shop.layers / "app").mkdir()

    with shop.refused(number, "symlink", "layers/app/parent"):
        (shop.layers / "app" / "parent").symlink_to(target)

    assert "parent" not in shop.go_object("layers", "app")


def test_cp_fills_a_layer_through_its_mount(shop: Shop) -> None:
    shop.sh("echo filled > ../stuff && cp -a ../stuff layers/loose/rootfs/")

    mounted = shop.go.out("mount", shop.scene.loose)
    assert "filled\n" == Path(mounted, "stuff").read_text()
    shop.go.run("unmount", shop.scene.loose)


def test_cp_sets_big_data_and_its_digest(shop: Shop) -> None:
    shop.sh("echo '{}' > ../manifest.json && cp ../manifest.json images/shop/big-data/manifest")

    said = shop.go_object("images", "shop")
    assert ["manifest"] == said["big-data-names"]
    assert {"manifest": 3} == said["big-data-sizes"]
    assert said["digest"] == said["big-data-digests"]["manifest"]
    assert f"{said['digest']}\n" == (shop.images / "shop" / "digest").read_text()


def test_ln_in_by_name_adds_a_name(shop: Shop) -> None:
    shop.sh(
        "mkdir -p images/by-name/quay.io/me &&"
        f"ln -s ../../../{shop.scene.image} images/by-name/quay.io/me/shop:1 &&"
        "cat images/by-name/quay.io/me/shop:1/id"
    )

    assert ["shop", "quay.io/me/shop:1"] == shop.go_names("images", "shop")


def test_ln_f_moves_a_name_to_another_object(shop: Shop) -> None:
    (shop.layers / "other").mkdir()

    shop.sh("ln -sfn ../other layers/by-name/loose")

    assert ["other", "loose"] == shop.go_names("layers", "other")
    assert [] == shop.go_names("layers", shop.scene.loose)
    assert ["base", "loose", "other", "top"] == sorted(os.listdir(shop.layers / "by-name"))


def test_mv_renames_a_name(shop: Shop) -> None:
    shop.sh("mkdir containers/by-name/x && mv -T containers/by-name/web containers/by-name/x/y")

    assert ["x/y"] == shop.go_names("containers", shop.scene.web.id)


def test_mv_over_a_name_takes_it(shop: Shop) -> None:
    shop.sh("mv -T layers/by-name/loose layers/by-name/top")

    assert ["top"] == shop.go_names("layers", shop.scene.loose)
    assert [] == shop.go_names("layers", shop.scene.top)


def test_mv_n_does_not(shop: Shop) -> None:
    shop.try_sh("mv -nT layers/by-name/loose layers/by-name/top")

    assert ["top"] == shop.go_names("layers", shop.scene.top)


def test_rm_drops_a_name(shop: Shop) -> None:
    shop.sh("rm images/by-name/shop")

    assert [] == shop.go_names("images", shop.scene.image)
    assert [] == os.listdir(shop.images / "by-name")


def test_echo_sets_metadata_and_adds_a_name(shop: Shop) -> None:
    shop.sh("echo some text > containers/web/metadata; echo other >> containers/web/names")

    said = shop.go_object("containers", "web")
    assert ("some text", ["web", "other"]) == (said["metadata"], said["names"])


def test_rmdir_deletes_what_nobody_uses(shop: Shop) -> None:
    shop.sh("rmdir containers/web && rmdir images/shop && rmdir layers/loose")

    for kind in ("layers", "images", "containers"):
        assert set() == shop.go_ids(kind)
    assert [] == os.listdir(shop.layers / "by-name")


def test_rmdir_of_an_alias_anywhere_deletes_the_object(shop: Shop) -> None:
    shop.sh("rmdir images/shop/containers/web")

    assert set() == shop.go_ids("containers")


def test_a_shell_in_an_alias_stays_with_its_object(shop: Shop) -> None:
    said = shop.sh(
        "cd layers/loose && echo renamed > names && cat names && pwd && ls >/dev/null &&"
        "mkdir ../loose && cat id"
    )

    assert said.startswith("renamed\n")
    assert said.endswith(f"{shop.scene.loose}\n")


def test_a_shell_in_a_deleted_object_is_told_so(shop: Shop) -> None:
    done = shop.try_sh("cd layers/loose && rmdir ../loose && cat id; ls")

    assert 2 == done.stderr.count("No such file or directory")


def test_an_object_made_again_with_the_same_id_is_found(shop: Shop) -> None:
    for _ in range(2):
        (shop.layers / ID).mkdir()
        assert f"{ID}\n" == (shop.layers / ID / "id").read_text()
        (shop.layers / ID).rmdir()
        assert ID not in os.listdir(shop.layers)


@pytest.mark.parametrize(
    ("made", "link", "target"),
    [
        ("layers/app", "parent", "../base"),
        ("containers/db", "image", "../../images/shop"),
    ],
)
def test_what_was_only_looked_at_is_pristine_still(
    shop: Shop, made: str, link: str, target: str
) -> None:
    """`ls -l` reads the link rootfs, which mounts."""
    shop.sh(f"mkdir {made} && ls -l {made} && ls {made}/rootfs/ && ln -s {target} {made}/{link}")

    kind, name = made.split("/")
    expected = shop.scene.image if kind == "containers" else shop.scene.base
    assert expected == shop.go_object(kind, name)[link]
    assert [] == os.listdir(shop.root / made / "rootfs") or kind == "containers"


@pytest.mark.parametrize(
    ("made", "link", "target"),
    [
        ("layers/app", "parent", "../base"),
        ("containers/db", "image", "../../images/shop"),
    ],
)
def test_what_was_filled_or_is_in_use_gets_no_relation(
    shop: Shop, made: str, link: str, target: str
) -> None:
    (shop.root / made).mkdir()
    rootfs = os.open(shop.root / made / "rootfs", os.O_RDONLY | os.O_DIRECTORY)
    with shop.refused(errno.EBUSY, "symlink", f"{made}/{link}"):
        (shop.root / made / link).symlink_to(target)
    os.close(rootfs)
    (shop.root / made / "rootfs" / "file").touch()

    with shop.refused(errno.EBUSY, "symlink", f"{made}/{link}"):
        (shop.root / made / link).symlink_to(target)

    assert (shop.root / made / "rootfs" / "file").exists()


def test_an_image_with_a_container_gets_no_top_layer(shop: Shop) -> None:
    shop.sh("mkdir images/bare && mkdir images/bare/containers/db")

    with shop.refused(errno.EBUSY, "symlink", "images/bare/top-layer"):
        (shop.images / "bare" / "top-layer").symlink_to("../../layers/loose")
