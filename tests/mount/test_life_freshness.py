"""Nothing stale: when events were lost, the store was made anew, or clocks jump."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.mount.daemons import Daemon, eventually, serving
from tests.mount.scene import Scene
from tests.mount.shop import Shop
from tests.mounts import unmount_below
from tests.needs import needs

pytestmark = needs("root", "overlay", "fuse", "containers-storage")


@contextmanager
def _stopped(daemon: Daemon) -> Iterator[None]:
    """While it stands still, what happens is queued for it, or lost."""
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(daemon.pid, signal.SIGCONT)


def _see_all(shop: Shop) -> None:
    """Let the kernel keep all that it may."""
    for kind in (shop.layers, shop.images, shop.containers):
        for name in os.listdir(kind / "by-name"):
            os.stat(kind / "by-name" / name)


def test_a_lost_event_is_no_lost_change(shop: Shop) -> None:
    """The queue overflows, and the change is among what was lost."""
    _see_all(shop)
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    aside = Path(shop.go.graph, "overlay-layers", "other.json")
    images = Path(shop.go.graph, "overlay-images", "other.json")
    with _stopped(shop.daemon):
        for _ in range(limit // 2 + 100):
            # In turn, since the same event twice in a row is queued once.
            for path in (aside, images):
                path.write_bytes(b"[]")
        shop.go.run("set-names", "-n", "new", "shop")

    eventually(lambda: (shop.images / "by-name" / "new").is_symlink())
    eventually(lambda: not os.path.lexists(shop.images / "by-name" / "shop"))
    aside.unlink()
    images.unlink()


def test_a_burst_is_looked_at_once(scene: Scene, root: Path) -> None:
    with serving(scene.go.graph, scene.go.run_root, root) as daemon:
        shop = Shop(scene, daemon)
        before = _reads(daemon)
        with _stopped(daemon):
            for number in range(30):
                scene.go.run("set-metadata", "-m", f"turn {number}", "web")
        eventually(lambda: (shop.containers / "web" / "metadata").read_text() == "turn 29\n")
        # containers.json is some 400 bytes: read once, or twice, and not thirty times.
        assert _reads(daemon) - before < 30_000


def _reads(daemon: Daemon) -> int:
    """How many bytes it has read so far, from files and from FUSE."""
    text = Path(f"/proc/{daemon.pid}/io").read_text()
    return int(text.split("rchar: ")[1].split()[0])


@pytest.mark.parametrize("options", [(), ("strict",)], ids=["default", "strict"])
def test_a_whole_store_made_anew_is_followed(
    scene: Scene, root: Path, options: tuple[str, ...]
) -> None:
    with serving(scene.go.graph, scene.go.run_root, root, *options) as daemon:
        daemon.expected += ["could not be looked at"]
        shop = Shop(scene, daemon)
        _see_all(shop)
        unmount_below(scene.go.graph)
        for top in (scene.go.graph, scene.go.run_root):
            for entry in os.scandir(top):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)
                else:
                    os.unlink(entry.path)
        scene.go.run("create-layer", "-n", "fresh")

        eventually(lambda: os.listdir(root / "layers" / "by-name") == ["fresh"])
        eventually(lambda: os.listdir(root / "images" / "by-name") == [])
        assert not os.path.lexists(root / "containers" / "by-name" / "web")
        scene.go.run("create-image", "-n", "again", "fresh")
        eventually(lambda: (root / "images" / "again" / "names").exists())


@needs("faketime")
@pytest.mark.parametrize("jump", ["-3650d", "+3650d"])
def test_the_clock_jumps_under_the_daemon_and_under_the_tools(
    scene: Scene, root: Path, tmp_path: Path, jump: str
) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0")
    env = {
        "LD_PRELOAD": "/usr/$LIB/faketime/libfaketime.so.1",
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with serving(scene.go.graph, scene.go.run_root, root, "idle=1", env=env) as daemon:
        shop = Shop(scene, daemon)
        _see_all(shop)
        assert "from top\n" == (shop.images / "shop" / "rootfs" / "motd").read_text()
        clock.write_text(jump)

        for number in range(3):
            scene.go.run("set-metadata", "-m", f"turn {number}", "web", env=env)
            eventually(partial(_has_text, shop.containers / "web" / "metadata", f"turn {number}\n"))
        os.mkdir(shop.layers / "made")
        assert "made" in scene.go.out("layers")
        (shop.layers / "made" / "metadata").write_text("a\n")
        assert "a\n" == (shop.layers / "made" / "metadata").read_text()
        eventually(lambda: scene.ours() == [], "what is idle did not expire")


def _has_text(path: Path, text: str) -> bool:
    return path.read_text() == text
