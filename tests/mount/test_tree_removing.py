"""Programs that remove everything, entry by entry: an object goes whole, or nothing does."""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mount.daemons import PATIENCE_S, eventually
from tests.mount.shop import Shop

pytestmark = pytest.mark.needs("root", "fuse", "overlay", "containers-storage")


def run(*words: str) -> Callable[[Path], None]:
    def remove(path: Path) -> None:
        done = subprocess.run(
            [*words, str(path)], capture_output=True, text=True, timeout=PATIENCE_S
        )
        if done.returncode:
            raise OSError(errno.EIO, done.stderr)

    return remove


def walk_and_remove(path: Path) -> None:
    """Remove as a file manager does: deepest first, links and files, then directories."""
    for top, directories, files in os.walk(path, topdown=False):
        for name in files:
            os.unlink(f"{top}/{name}")
        for name in directories:
            entry = f"{top}/{name}"
            os.unlink(entry) if os.path.islink(entry) else os.rmdir(entry)
    os.rmdir(path)


WAYS = pytest.mark.parametrize(
    "remove",
    [
        pytest.param(run("rm", "-r"), id="rm -r"),
        pytest.param(run("rm", "-rf"), id="rm -rf"),
        pytest.param(run("busybox", "rm", "-r"), id="busybox", marks=pytest.mark.needs("busybox")),
        pytest.param(shutil.rmtree, id="rmtree"),
        pytest.param(walk_and_remove, id="walk"),
        pytest.param(run("sh", "-c", 'find "$0" -delete'), id="find -delete"),
        pytest.param(
            run("perl", "-MFile::Path", "-e", "rmtree(@ARGV, 0, 0); exit -e $ARGV[0]"), id="perl"
        ),
    ],
)


def shown(shop: Shop) -> dict[str, list[str]]:
    """Return all that is listed, by directory."""
    return {top: sorted(dirs + files) for top, dirs, files in os.walk(shop.root)}


@WAYS
def test_what_nobody_uses_goes_whole(shop: Shop, remove: Callable[[Path], None]) -> None:
    for kinds, name in (("containers", "web"), ("layers", "loose")):
        before = shop.go_ids(kinds)
        (shop.root / kinds / name / "rootfs").resolve(strict=True)

        remove(shop.root / kinds / name)

        assert 1 == len(before - shop.go_ids(kinds))
        assert not (shop.root / kinds / name).exists()
    assert [] == shop.errors()


@WAYS
def test_of_what_is_used_nothing_goes(shop: Shop, remove: Callable[[Path], None]) -> None:
    (shop.images / "shop" / "big-data" / "x").write_bytes(b"text")
    before, ids = shown(shop), [shop.go_ids(kinds) for kinds in ("layers", "images")]

    for path in ("images/shop", "layers/top", "layers/base"):
        with pytest.raises(OSError):
            remove(shop.root / path)

    assert before == shown(shop)
    assert ids == [shop.go_ids(kinds) for kinds in ("layers", "images")]
    assert ["shop"] == shop.go_names("images", shop.scene.image)
    assert {"EBUSY", "ENOTEMPTY"} == {line.split("  ")[3] for line in shop.errors()}


@WAYS
def test_a_container_that_is_mounted_elsewhere_stays_whole(
    shop: Shop, remove: Callable[[Path], None]
) -> None:
    shop.go.run("mount", "web")
    before = shown(shop)

    with pytest.raises(OSError):
        remove(shop.containers / "web")

    assert before == shown(shop)
    assert {shop.scene.web.id} == shop.go_ids("containers")
    shop.go.run("unmount", "web")


def test_no_content_is_touched_on_the_way(shop: Shop) -> None:
    """The link rootfs is unlinked, as any link is, and not what it leads to."""
    rootfs = Path(os.path.realpath(shop.layers / "loose" / "rootfs"))
    (rootfs / "file").write_text("text")

    # Somebody is in there: so nothing goes.
    with (rootfs / "file").open(), pytest.raises(OSError):
        shutil.rmtree(shop.layers / "loose")

    assert "text" == (rootfs / "file").read_text()
    assert {"id", "names", "rootfs"} <= set(os.listdir(shop.layers / "loose"))


def test_a_removal_that_is_given_up_shows_all_again(shop: Shop) -> None:
    before = shown(shop)
    shop.sh("cd layers/loose && rm id created flags read-only && rmdir big-data 2>/dev/null; ls")
    assert before != shown(shop)

    eventually(lambda: before == shown(shop))

    eventually(lambda: any("can't be removed" in line for line in shop.errors()))
    assert shop.scene.loose in shop.go_ids("layers")


def test_rm_r_of_the_mount_is_refused_and_hides_nothing(shop: Shop) -> None:
    before = shown(shop)

    done = shop.try_sh("rm -r layers")

    # What is deleted on the way was nobody's: `loose` goes, what is used stays whole.
    assert 1 == done.returncode
    after = shown(shop)
    for top, entries in after.items():
        if "by-name" not in top and "dangling" not in top:
            assert before[top] == entries or top.endswith("/layers"), top
    assert {shop.scene.base, shop.scene.top, shop.scene.web.layer} == shop.go_ids("layers")
