"""Rows about content through the mounted tree: diffs as files, and the files of a `rootfs`."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.bench.measure import TIMEOUT_S, Row, in_turn, resident_mib, time_command
from tests.bench.rows_export import Filled, filled, piped
from tests.bench.sizes import SOURCE
from tests.mount.daemons import Daemon, serving


@contextmanager
def _mounted(store: Filled) -> Iterator[Daemon]:
    with (
        tempfile.TemporaryDirectory(prefix="holdfs-bench-mnt-") as top,
        serving(store.go.graph, store.go.run_root, Path(top, "mnt")) as daemon,
    ):
        yield daemon


def _cat(path: Path) -> float:
    # The kernel drops what it has of the file: as at the first time.
    with path.open("rb") as f:
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return time_command(piped(["cat", str(path)]))


def diff_tar(pairs: int) -> Iterator[Row]:
    """`cat` of a layer's diff.tar and of the same as a blob, to a pipe, as at the first time."""
    with filled("overlay") as store, _mounted(store) as daemon:
        layer = daemon.root / "layers" / store.layer_id
        (layer / "images" / "shop").mkdir()
        layout = daemon.root / "images" / "shop" / "oci"
        (described,) = json.loads((layout / "index.json").read_text())["manifests"]
        blobs = layout / "blobs" / "sha256"
        manifest = json.loads((blobs / described["digest"].partition(":")[2]).read_text())
        blob = blobs / manifest["layers"][0]["digest"].partition(":")[2]
        peer = piped(store.ours("diff", store.layer_id))
        for name, path in (("diff.tar", layer / "diff.tar"), ("oci/blobs/…", blob)):
            samples = in_turn(partial(_cat, path), partial(time_command, peer), pairs)
            yield Row(
                name="read-diff",
                what=f"cat {name} of {SOURCE} through the tree, to a pipe, warm",
                against="holdctl diff to a pipe",
                ours=samples[0],
                peer=samples[1],
                limit=1.5,
                notes={"daemon's peak": f"{resident_mib(daemon.pid)['VmHWM']:.0f} MiB"},
            )


def rootfs(pairs: int) -> Iterator[Row]:
    """All files of an image of two layers, read where `rootfs` leads and from an overlay."""
    with filled("overlay") as store, tempfile.TemporaryDirectory() as twin:
        child = store.run("create-layer", store.layer_id).split()[0]
        (store.directory(child) / "new").write_text("new\n")
        lower = f"lowerdir={store.directory(child)}:{store.directory()}"
        with _mounted(store) as daemon:
            (daemon.root / "layers" / child / "images" / "shop").mkdir()
            words = ["mount", "-t", "overlay", "none", "-o", f"ro,{lower}", twin]
            subprocess.run(words, check=True, timeout=TIMEOUT_S)
            try:
                # With the slash: where the link leads.
                places = f"{daemon.root}/images/shop/rootfs/", twin
                commands = [piped(["tar", "-C", place, "-cf", "-", "."]) for place in places]
                ours, theirs = (partial(time_command, command) for command in commands)
                samples = in_turn(ours, theirs, pairs)
            finally:
                subprocess.run(["umount", twin], check=True, timeout=TIMEOUT_S)
    yield Row(
        name="read-rootfs",
        what=f"tar -c of an image's rootfs, two layers, {SOURCE}",
        against="the same overlay mounted by hand",
        ours=samples[0],
        peer=samples[1],
        limit=1.0,
    )


ROWS = {"read-diff": diff_tar, "read-rootfs": rootfs}
