"""What others do, or fail to do, while we hold mounts: hang, start, delete, come in crowds."""

import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.mount.daemons import PATIENCE_S, eventually, serving
from tests.mount.scene import Scene
from tests.mounts import mounts_below
from tests.needs import needs
from tests.peers import DEMO_IMAGE, DEMO_MOTD, Buildah, GoStore, Podman

pytestmark = needs("root", "overlay", "fuse", "containers-storage", "podman", "buildah", "busybox")


@pytest.mark.parametrize("link", ["rootfs", "files"])
def test_a_mount_that_never_ends_does_not_stop_the_tree(
    scene: Scene, root: Path, link: str
) -> None:
    """The store's mount program hangs: whoever follows the link waits, and nobody else."""
    program = Path(scene.go.run_root, "hangs")
    started = Path(scene.go.run_root, "started")
    program.write_text(f"#!/bin/sh\necho $$ >> {started}\nexec sleep 600\n")
    program.chmod(0o755)
    where = (
        scene.go.graph,
        scene.go.run_root,
        root,
        rf"storage-opt=overlay.mount_program={program}",
        "files",
    )
    names = [f"c{number}" for number in range(4)]
    for name in names:
        scene.go.run("create-container", "-n", name, "shop")
    with serving(*where) as daemon:
        daemon.expected += ["hangs", "could not", "stay counted", "signal"]
        followers = [
            subprocess.Popen(
                ["ls", str(root / "containers" / name / link / ".")],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for name in names
        ]
        try:
            eventually(started.exists, "no mount was tried")

            # Read, list, look up go on, and what changes images and containers that are there. What
            # makes or deletes waits for the lock of the layers, in the Go tools too: it is held
            # while something is mounted.
            for number in range(20):
                os.symlink("../web", root / "containers" / "by-name" / f"alias{number}")
                (root / "containers" / "web" / "metadata").write_text(f"{number}\n")
                (root / "images" / "shop" / "big-data" / "note").write_text(f"{number}\n")
                os.unlink(root / "containers" / "by-name" / f"alias{number}")
                assert f"{number}\n" == (root / "containers" / "web" / "metadata").read_text()
                assert "web\n" == (root / "containers" / "web" / "names").read_text()
                assert len(names) + 1 == len(os.listdir(root / "containers" / "by-name"))
                assert not (root / "images" / f"none-{time.monotonic_ns()}").exists()
            assert None in [follower.poll() for follower in followers]
        finally:
            # Those that hang are ours to end; each end lets the next one begin.
            ended: set[int] = set()

            def all_are_through() -> bool:
                for pid in {int(word) for word in started.read_text().split()} - ended:
                    ended.add(pid)
                    with suppress(ProcessLookupError):  # the store has given it up
                        os.kill(pid, signal.SIGKILL)
                return None not in [follower.poll() for follower in followers]

            eventually(all_are_through, "followers hang on")
        assert 0 not in [follower.wait() for follower in followers]
        assert "web\n" == (root / "containers" / "web" / "names").read_text()


@needs("fuse-overlayfs")
def test_a_mounted_file_system_that_stops_does_not_stop_the_tree(scene: Scene, root: Path) -> None:
    program = "storage-opt=overlay.mount_program=/usr/bin/fuse-overlayfs"
    where = (scene.go.graph, scene.go.run_root, root)
    with serving(*where, program, "idle=1") as daemon:
        assert (root / "containers" / "web" / "rootfs" / "motd").read_text() == "from top\n"
        [pid] = _fuse_overlayfs_below(scene.go.graph)
        os.kill(pid, signal.SIGSTOP)
        follower = subprocess.Popen(
            ["ls", str(root / "containers" / "web" / "rootfs" / ".")], stdout=subprocess.DEVNULL
        )
        try:
            for _ in range(10):  # beyond the idle time: expiry must not stop us either
                assert "web\n" == (root / "containers" / "web" / "names").read_text()
                scene.go.run("set-metadata", "-m", str(time.monotonic_ns()), "web")
                assert "shop\n" == (root / "images" / "shop" / "names").read_text()
                os.listdir(root / "layers")
        finally:
            os.kill(pid, signal.SIGCONT)
        assert 0 == follower.wait(PATIENCE_S)
        eventually(lambda: scene.count(scene.web.layer) == 0, "it did not expire")
        daemon.expected.append("could not be unmounted")


@needs("fuse-overlayfs")
def test_content_that_stops_does_not_stop_the_tree(scene: Scene, root: Path) -> None:
    """What is read, listed or closed below `files` waits for its file system; nobody else does."""
    program = "storage-opt=overlay.mount_program=/usr/bin/fuse-overlayfs"
    where = (scene.go.graph, scene.go.run_root, root)
    with serving(*where, program, "files", "idle=1"):
        web, shop = root / "containers" / "web" / "files", root / "images" / "shop" / "files"
        opened = [os.open(top / "motd", os.O_RDONLY) for top in (web, shop)]
        assert [b"from top\n"] * 2 == [os.read(fd, 100) for fd in opened]
        programs = _fuse_overlayfs_below(scene.go.run_root)
        assert programs
        for pid in programs:
            os.kill(pid, signal.SIGSTOP)
        followers = []
        try:
            for fd in opened:
                os.close(fd)
            followers = [
                subprocess.Popen(["ls", str(top / ".")], stdout=subprocess.DEVNULL)
                for top in (web, shop)
            ]
            for _ in range(10):  # beyond the idle time: letting a tree go must not stop us either
                words = ["cat", "containers/web/names", "images/shop/names", "status"]
                seen = subprocess.run(words, cwd=root, capture_output=True, timeout=PATIENCE_S)
                assert seen.stdout.startswith(b"web\nshop\n")
                scene.go.run("set-metadata", "-m", str(time.monotonic_ns()), "web")
        finally:
            for pid in programs:
                os.kill(pid, signal.SIGCONT)
        assert [0, 0] == [follower.wait(PATIENCE_S) for follower in followers]
        eventually(lambda: not _fuse_overlayfs_below(scene.go.run_root), "it is not let go")


def _fuse_overlayfs_below(directory: str) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        try:
            words = Path("/proc", entry, "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"fuse-overlayfs") and directory.encode() in b" ".join(words):
            found.append(int(entry))
    return found


def test_a_container_that_others_start_while_we_hold_its_mount(
    demo_store: GoStore, root: Path
) -> None:
    """Counts add up: neither side's end takes the mount from the other."""
    buildah = Buildah(demo_store.graph, demo_store.run_root)
    podman = Podman(demo_store.graph, demo_store.run_root)
    name = buildah.out("from", "--pull-never", "--name", "work", DEMO_IMAGE)
    layer = _layer_of(demo_store, name)
    with serving(demo_store.graph, demo_store.run_root, root, "idle=1"):
        rootfs = root / "containers" / name / "rootfs"
        (rootfs / "ours").write_text("ours\n")
        assert 1 == _count(demo_store, layer)

        said = buildah.out("run", "--isolation", "chroot", name, "/bin/busybox", "cat", "/ours")
        assert "ours" == said
        theirs = Path(buildah.out("mount", name))
        eventually(lambda: _count(demo_store, layer) == 1, "our count did not expire")
        assert "ours\n" == (theirs / "ours").read_text()
        # Now the link leads to their mount, and is not counted.
        assert str(theirs) == os.readlink(rootfs)
        buildah.run("umount", name)
        assert 0 == _count(demo_store, layer)
        # And to one of ours again.
        assert "ours\n" == (rootfs / "ours").read_text()
        buildah.run("rm", name)
        eventually(lambda: not (root / "containers" / name).exists())
    assert DEMO_IMAGE in podman.out("images", "--format", "{{.Repository}}:{{.Tag}}")


def _layer_of(store: GoStore, name: str) -> str:
    return str(next(c["layer"] for c in store.json("containers") if name in c["names"]))


def _count(store: GoStore, layer_id: str) -> int:
    """How often the layer is mounted, as the mount table on disk says."""
    table = Path(store.run_root, "overlay-layers", "mountpoints.json")
    entries = json.loads(table.read_bytes() or b"[]")
    return sum(entry["count"] for entry in entries if entry["id"] == layer_id)


def test_two_hundred_links_followed_at_once(demo_store: GoStore, root: Path) -> None:
    with serving(demo_store.graph, demo_store.run_root, root):
        image = root / "images" / "by-name" / DEMO_IMAGE
        names = [f"c{number}" for number in range(200)]
        for name in names:
            os.mkdir(image / "containers" / name)
        script = 'for c in "$@"; do cat "$c/rootfs/etc/motd" & done; wait'
        reading = subprocess.Popen(
            ["sh", "-c", script, "sh", *names],
            cwd=root / "containers",
            stdout=subprocess.PIPE,
        )
        # Not after them: beside them.
        assert DEMO_IMAGE in (image / "names").read_text()
        out, _ = reading.communicate(timeout=2 * PATIENCE_S)
        assert DEMO_MOTD.encode() * 200 == out
        mounted = [p for p in mounts_below(demo_store.graph) if p.endswith("/merged")]
        assert 200 == len(mounted)
    assert [] == [p for p in mounts_below(demo_store.graph) if p.endswith("/merged")]
    assert "[]" == Path(demo_store.run_root, "overlay-layers", "mountpoints.json").read_text()


@pytest.mark.parametrize("is_inside", [True, False], ids=["in use", "not in use"])
def test_an_image_is_deleted_while_somebody_browses_it(
    demo_store: GoStore, root: Path, is_inside: bool
) -> None:
    with serving(demo_store.graph, demo_store.run_root, root, "idle=1"):
        image = root / "images" / "by-name" / DEMO_IMAGE
        target = Path(os.readlink(image / "rootfs"))
        fd = os.open(target / "etc" / "motd", os.O_RDONLY) if is_inside else -1
        try:
            demo_store.run("delete-image", DEMO_IMAGE)
            eventually(lambda: not os.path.lexists(image))
            if is_inside:  # what is open stays readable, and the view where it is
                assert DEMO_MOTD.encode() == os.read(fd, 100)
                assert target.exists()
        finally:
            if is_inside:
                os.close(fd)
        eventually(lambda: not target.exists(), "the view outlives its image")
