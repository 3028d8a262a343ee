"""`rootfs` through a real mount, beside podman and containers-storage."""

import errno
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.mount.daemons import PATIENCE_S, eventually, serving
from tests.mounts import mounts_below
from tests.needs import needs
from tests.peers import DEMO_IMAGE, DEMO_MOTD, GoStore, Podman

pytestmark = needs("root", "overlay", "fuse", "containers-storage", "podman", "buildah", "busybox")


def _views(store: GoStore) -> list[str]:
    """Our read-only views that are mounted."""
    top = f"{os.path.realpath(store.run_root)}/holdfs/"
    return [p for p in mounts_below(store.run_root) if p.removeprefix(top).count("/") == 1]


def _image(root: Path) -> Path:
    return root / "images" / "by-name" / DEMO_IMAGE


def test_an_image_is_read_through_its_link_and_goes_when_idle(
    demo_store: GoStore, root: Path
) -> None:
    with serving(demo_store.graph, demo_store.run_root, root, "idle=1"):
        assert [] == _views(demo_store)
        assert DEMO_MOTD == (_image(root) / "rootfs" / "etc" / "motd").read_text()
        assert 1 == len(_views(demo_store))

        eventually(lambda: _views(demo_store) == [], "the view did not expire")

        assert DEMO_MOTD == (_image(root) / "rootfs" / "etc" / "motd").read_text()


def test_a_listing_mounts_nothing_unless_it_asks_where_a_link_leads(
    demo_store: GoStore, root: Path
) -> None:
    """
    `ls -l` asks, and file managers do for an icon. The kernel hands readlink(2) and a walk through
    the link on as one request, so that mounts: one view an object, which nobody looks into and
    which goes when it is idle.
    """
    with serving(demo_store.graph, demo_store.run_root, root, "idle=1", "debug") as daemon:
        for words in (["ls", "-R"], ["find"], ["du", "-a"]):
            subprocess.run([*words, root], check=True, capture_output=True, timeout=PATIENCE_S)
        assert [] == _views(demo_store)

        for words in (["ls", "-l"], ["ls", "-lL"]):
            listed = subprocess.run(
                [*words, f"{_image(root)}/"], check=True, capture_output=True, timeout=PATIENCE_S
            )
            assert b" rootfs" in listed.stdout
        assert 1 == len(_views(demo_store))
        log = daemon.log()
        assert " DEBUG readlink " in log and " DEBUG open " not in log

        eventually(lambda: _views(demo_store) == [], "the view did not expire")


def test_a_shell_inside_keeps_the_view(demo_store: GoStore, root: Path) -> None:
    with serving(demo_store.graph, demo_store.run_root, root, "idle=1"):
        shell = subprocess.Popen(
            ["sh", "-c", "cd -P rootfs/etc && echo in && read _ && cat motd"],
            cwd=_image(root),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert shell.stdin is not None and shell.stdout is not None
        with shell:
            assert b"in\n" == shell.stdout.readline()
            # Another view, followed at the same time and not used, tells that the time is over.
            base = root / "images" / "by-name" / "localhost" / "demo-base:latest" / "rootfs"
            assert (base / "etc" / "os-release").exists()
            assert 2 == len(_views(demo_store))
            eventually(lambda: len(_views(demo_store)) == 1)

            out, _ = shell.communicate(b"\n", PATIENCE_S)
            assert DEMO_MOTD.encode() == out
        eventually(lambda: _views(demo_store) == [])


def test_podman_mounts_the_image_that_we_show(demo_store: GoStore, root: Path) -> None:
    podman = Podman(demo_store.graph, demo_store.run_root)
    with serving(demo_store.graph, demo_store.run_root, root):
        assert DEMO_MOTD == (_image(root) / "rootfs" / "etc" / "motd").read_text()

        theirs = podman.out("image", "mount", DEMO_IMAGE)
        assert DEMO_MOTD == Path(theirs, "etc", "motd").read_text()
        podman.run("image", "unmount", DEMO_IMAGE)

        assert DEMO_MOTD == (_image(root) / "rootfs" / "etc" / "motd").read_text()


def test_what_podman_has_mounted_is_where_the_link_leads(demo_store: GoStore, root: Path) -> None:
    podman = Podman(demo_store.graph, demo_store.run_root)
    theirs = podman.out("image", "mount", DEMO_IMAGE)
    with serving(demo_store.graph, demo_store.run_root, root):
        assert theirs == os.readlink(_image(root) / "rootfs")
        assert [] == _views(demo_store)
    assert DEMO_MOTD == Path(theirs, "etc", "motd").read_text()
    podman.run("image", "unmount", DEMO_IMAGE)


def test_a_container_is_filled_through_its_link_and_counted(
    demo_store: GoStore, root: Path
) -> None:
    demo_store.run("create-container", "-n", "web", DEMO_IMAGE)
    with serving(demo_store.graph, demo_store.run_root, root, "idle=1"):
        rootfs = root / "containers" / "web" / "rootfs"
        (rootfs / "new").write_text("x")

        assert "web mounted" == demo_store.out("mounted", "web")
        eventually(lambda: demo_store.run("mounted", "web", check=False).stdout == "")

    assert "x" == Path(demo_store.out("mount", "web"), "new").read_text()
    demo_store.run("unmount", "web")


def test_a_container_in_use_is_not_deleted(demo_store: GoStore, root: Path) -> None:
    demo_store.run("create-container", "-n", "web", DEMO_IMAGE)
    with serving(demo_store.graph, demo_store.run_root, root):
        container = root / "containers" / "web"
        fd = os.open(container / "rootfs" / "etc", os.O_RDONLY | os.O_DIRECTORY)
        try:
            with pytest.raises(OSError) as refused:
                container.rmdir()
            assert errno.EBUSY == refused.value.errno
            assert (container / "rootfs" / "etc" / "motd").exists()
        finally:
            os.close(fd)

        container.rmdir()

        assert "web" not in demo_store.out("containers")
        assert "[]" == Path(demo_store.run_root, "overlay-layers", "mountpoints.json").read_text()


def test_an_image_that_is_browsed_can_be_deleted_by_podman(demo_store: GoStore, root: Path) -> None:
    podman = Podman(demo_store.graph, demo_store.run_root)
    with serving(demo_store.graph, demo_store.run_root, root):
        assert (_image(root) / "rootfs" / "etc" / "motd").exists()

        podman.run("rmi", DEMO_IMAGE)

        eventually(lambda: not os.path.lexists(_image(root)))
        eventually(lambda: _views(demo_store) == [], "the view outlives its image")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_mounted_or_counted_after_the_end(
    demo_store: GoStore, root: Path, number: signal.Signals
) -> None:
    demo_store.run("create-container", "-n", "web", DEMO_IMAGE)
    where = (demo_store.graph, demo_store.run_root, root)
    if number == signal.SIGKILL:
        with pytest.raises(AssertionError), serving(*where) as daemon:
            os.listdir(root / "containers" / "web" / "rootfs")
            os.listdir(_image(root) / "rootfs")
            os.kill(daemon.pid, number)
            daemon.wait()
        assert 1 == len(_views(demo_store))
        with serving(*where):
            pass  # the next start clears up
    else:
        with serving(*where) as daemon:
            os.listdir(root / "containers" / "web" / "rootfs")
            os.listdir(_image(root) / "rootfs")
            os.kill(daemon.pid, number)
            assert 0 == daemon.wait()

    assert [] == _views(demo_store)
    assert "" == demo_store.run("mounted", "web", check=False).stdout
    demo_store.run("delete-container", "web")


def test_following_many_links_at_once_does_not_stop_the_tree(
    demo_store: GoStore, root: Path
) -> None:
    names = [f"c{number}" for number in range(40)]
    for name in names:
        demo_store.run("create-container", "-n", name, DEMO_IMAGE)
    with serving(demo_store.graph, demo_store.run_root, root):
        processes = [
            subprocess.Popen(
                ["cat", str(root / "containers" / name / "rootfs" / "etc" / "motd")],
                stdout=subprocess.DEVNULL,
            )
            for name in names
        ]
        # Not after them: beside them.
        assert DEMO_IMAGE in (_image(root) / "names").read_text()
        assert [0] * len(names) == [process.wait(PATIENCE_S) for process in processes]
