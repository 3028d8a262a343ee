"""A quota that is used up: passed on as EDQUOT, and nothing is lost (full disks: tests/faults)."""

import errno
import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mount.daemons import PATIENCE_S, serving
from tests.mount.scene import Scene
from tests.mount.shop import Shop
from tests.mounts import unmount_below
from tests.needs import loop_mounted, needs

pytestmark = needs("root", "fuse", "btrfs", "containers-storage")

#: Four times what may be written.
_TOO_MUCH = 16 << 20


@pytest.fixture
def limited(root: Path, tmp_path: Path) -> Iterator[Shop]:
    """Give the small store where 4 MiB may be written; btrfs holds root to that too."""
    with loop_mounted("btrfs", str(tmp_path), size=256 << 20) as top:
        graph = os.path.join(top, "graph")
        for words in (
            ("subvolume", "create", graph),
            ("quota", "enable", top),
            ("qgroup", "limit", "4M", graph),
        ):
            subprocess.run(["btrfs", *words], check=True, capture_output=True, timeout=PATIENCE_S)
        scene = Scene(graph, f"{tmp_path}/run", "vfs")
        with serving(graph, scene.go.run_root, root, driver="vfs") as daemon:
            yield Shop(scene, daemon)
        unmount_below(graph)


def test_an_item_over_the_quota_is_refused_at_close_and_the_old_value_stays(limited: Shop) -> None:
    item = limited.images / "shop" / "big-data" / "item"
    item.write_text("old\n")
    fd = os.open(item, os.O_WRONLY | os.O_TRUNC)
    os.write(fd, os.urandom(_TOO_MUCH))

    with limited.refused(errno.EDQUOT, "flush", "images/shop/big-data/item"):
        os.close(fd)

    assert "old\n" == item.read_text()
    assert "old\n" == limited.go.run("get-image-data", "shop", "item").stdout
    item.write_text("new\n")
    assert "new\n" == limited.go.run("get-image-data", "shop", "item").stdout


def test_cp_says_that_the_quota_is_used_up_and_nothing_is_made(limited: Shop) -> None:
    big = limited.root.parent / "big"
    big.write_bytes(os.urandom(_TOO_MUCH))

    done = limited.try_sh(f"LC_ALL=C cp {big} images/shop/big-data/big")

    assert (1, 1) == (done.returncode, done.stderr.count("Disk quota exceeded")), done.stderr
    assert "" == limited.go.out("list-image-data", "shop")
    assert [] == os.listdir(limited.images / "shop" / "big-data")


def test_a_diff_over_the_quota_leaves_the_layer_as_it_was(limited: Shop) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo("big")
        member.size = _TOO_MUCH
        archive.addfile(member, io.BytesIO(os.urandom(_TOO_MUCH)))
    layer = limited.layers / "loose"

    with pytest.raises(OSError) as refused, (layer / "diff.tar").open("wb") as file:
        file.write(stream.getvalue())

    assert errno.EDQUOT == refused.value.errno
    assert "  layers/loose/diff.tar  EDQUOT  " in limited.errors()[-1]
    assert "" == (layer / "changes").read_text()
    (layer / "rootfs" / "small").write_text("fits\n")
    assert "A /small\n" == (layer / "changes").read_text()
