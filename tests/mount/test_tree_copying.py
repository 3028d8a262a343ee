"""Objects copied and moved whole, into the mount, within it, and out of it."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.mount.daemons import serving
from tests.mount.difftars import SMALL
from tests.mount.scene import Scene
from tests.mount.shop import Shop

pytestmark = pytest.mark.needs("root", "fuse", "overlay", "containers-storage")


def entries(top: Path) -> dict[str, object]:
    """
    Return what is below a directory: links with their targets, files with their content.

    But for `mount-count`: reading the link rootfs mounts.
    """
    found: dict[str, object] = {}
    for directory, directories, files in os.walk(top):
        for name in {*directories, *files} - {"mount-count"}:
            path = Path(directory, name)
            shown = os.path.relpath(path, top)
            if path.is_symlink():
                found[shown] = os.readlink(path)
            else:
                found[shown] = None if path.is_dir() else path.read_bytes()
    return found


# -- within the mount ------------------------------------------------------------------------------


@pytest.mark.parametrize("cp", ["cp -r", "cp -a"])
@pytest.mark.parametrize(
    ("source", "copy", "relation"),
    [
        ("layers/top", "layers/copy", "parent"),
        ("images/shop", "images/copy", "layer"),
        ("containers/web", "containers/copy", "image"),
    ],
)
def test_cp_of_an_object_makes_another_of_the_same_relation(
    shop: Shop, cp: str, source: str, copy: str, relation: str
) -> None:
    """What cp made itself it does not write over: that the attributes are there it says of each."""
    kind = source.split("/")[0]
    before = shop.go_object(kind, source.split("/")[1])

    done = shop.try_sh(f"{cp} {source} {copy}")

    assert 1 == done.returncode
    assert f"cannot create regular file '{copy}/id': File exists" in done.stderr
    made = shop.go_object(kind, "copy")
    assert before[relation] == made[relation]
    assert (["copy"], True) == (made["names"], before["id"] != made["id"])
    assert before == shop.go_object(kind, source.split("/")[1])


def test_what_an_object_holds_is_copied_piece_by_piece(shop: Shop) -> None:
    shop.go.run("applydiff", "-f", "/dev/stdin", shop.scene.loose, input=SMALL)
    shop.catch_up()
    shop.sh("echo text > containers/web/metadata && echo item > containers/web/big-data/x")

    shop.sh(
        "mkdir layers/copy && cp layers/loose/diff.tar layers/copy/ &&"
        "mkdir images/shop/containers/copy && cd containers/copy &&"
        "cp ../web/metadata . && cp ../web/big-data/* big-data/"
    )

    found = shop.go_object("layers", "copy")
    assert shop.go_object("layers", "loose")["diff-digest"] == found["diff-digest"]
    copied = shop.go_object("containers", "copy")
    assert ("text", ["x"]) == (copied["metadata"], copied["big-data-names"])
    assert shop.scene.image == copied["image"]


@pytest.mark.parametrize("kind", ["layers", "images", "containers"])
def test_an_object_stays_under_its_id_whatever_mv_is_told(shop: Shop, kind: str) -> None:
    ids = shop.go_ids(kind)
    for object_id in ids:
        for target in (f"{kind}/other", f"{kind}/by-name/other", "layers/base", "."):
            done = shop.try_sh(f"mv -T {kind}/{object_id} {target}")
            assert 1 == done.returncode
            assert 1 == len(done.stderr.splitlines()), done.stderr

    assert ids == shop.go_ids(kind) == {i for i in os.listdir(shop.root / kind) if len(i) == 64}


# -- out of it, and back ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["layers/top", "images/shop", "containers/web"])
def test_cp_takes_an_object_away_and_stays_out_of_its_content(
    scene: Scene, root: Path, path: str
) -> None:
    with serving(scene.go.graph, scene.go.run_root, root, "files") as daemon:
        shop = Shop(scene, daemon)
        (shop.root / path / "big-data" / "x").write_bytes(b"text")

        shop.sh(f"cp -a {path} ../copy")

        there, copy = entries(shop.root / path), entries(root.parent / "copy")
        assert there == copy
        assert {"rootfs", "files", "big-data/x"} <= copy.keys()
        assert [] == shop.errors()


@pytest.mark.parametrize("path", ["layers/top", "images/shop"])
def test_mv_takes_nothing_away_of_what_is_used(shop: Shop, path: str) -> None:
    before = entries(shop.root / path)

    done = shop.try_sh(f"mv {path} ../away")

    assert 0 != done.returncode
    assert before == entries(shop.root / path)
    assert before == entries(shop.root.parent / "away")


def test_mv_of_what_nobody_uses_leaves_what_is_listed_and_deletes_it(shop: Shop) -> None:
    before = entries(shop.containers / "web")

    shop.sh("mv containers/web ../away")

    assert set() == shop.go_ids("containers")
    assert before == entries(shop.root.parent / "away")


@pytest.mark.needs("rsync")
def test_rsync_brings_an_object_back(shop: Shop) -> None:
    """All but the ID, and what is behind rootfs."""
    shop.sh("echo text > containers/web/metadata && echo other >> containers/web/names")
    shop.sh("echo item > containers/web/big-data/x && mv containers/web ../web")

    done = subprocess.run(
        ["rsync", "-a", shop.root.parent / "web", shop.containers], capture_output=True, timeout=30
    )

    # Of what nobody can write it says so.
    assert 23 == done.returncode
    found = shop.go_object("containers", "web")
    assert (["web", "other"], ["x"]) == (found["names"], found["big-data-names"])
    assert ("text", shop.scene.image) == (found["metadata"], found["image"])
