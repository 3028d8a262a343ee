"""The mounted tree under faults: the caller learns it, `errors` has it, the old value stays."""

import errno
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from inotify_simple import INotify, flags  # type: ignore[import-untyped]  # has no types

from holdfs.core.lockfile import LockFile
from tests.conftest import GraphRun
from tests.faults.acts import make_template, open_store
from tests.faults.states import Roots, find_litter
from tests.mount.daemons import (
    PATIENCE_S,
    Daemon,
    background,
    eventually,
    is_running,
    serving,
    unmount,
)
from tests.mounts import unmount_below
from tests.needs import loop_mounted, needs
from tests.peers import GoStore

pytestmark = needs("root", "overlay", "fuse", "containers-storage", "ext4")


@pytest.fixture
def roots(graph_run: GraphRun) -> Roots:
    roots = Roots(*graph_run, "overlay")
    make_template(roots)
    return roots


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "mnt"
    path.mkdir()
    yield path
    unmount_below(str(path))


def _old_value_is_kept(roots: Roots) -> None:
    store = open_store(roots)
    assert b"old\n" == store.read_big_data("images", "shop", "notes")
    assert ("shop", "shop:1") == store.snapshot().images.names_of(
        store.snapshot().images.by_name["shop"]
    )
    assert [] == find_litter(roots)


# -- the daemon is killed ------------------------------------------------------------------------


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not is_running(pid), "it survived SIGKILL")


def _mounted_anew(roots: Roots, root: Path) -> str:
    """Return what the next daemon shows at the same place, over what the dead one left."""
    pid = background(roots.graph, roots.run, root)
    try:
        return (root / "images" / "shop" / "big-data" / "notes").read_text()
    finally:
        unmount(root)
        eventually(lambda: not is_running(pid), "the daemon lives on")


def test_a_daemon_killed_while_a_file_is_written_changes_nothing(roots: Roots, root: Path) -> None:
    pid = background(roots.graph, roots.run, root)
    fd = os.open(root / "images/shop/big-data/notes", os.O_WRONLY | os.O_TRUNC)
    os.write(fd, b"x" * 100_000)
    _kill(pid)
    with pytest.raises(OSError) as refused:
        os.write(fd, b"more")
        os.fsync(fd)
    assert refused.value.errno in (errno.ENOTCONN, errno.ECONNABORTED)
    with pytest.raises(OSError):
        os.close(fd)
    _old_value_is_kept(roots)
    assert "old\n" == _mounted_anew(roots, root)


@pytest.mark.parametrize("name", ["big-data/notes", pytest.param("names", marks=pytest.mark.whole)])
def test_a_daemon_killed_while_it_waits_for_the_lock_changes_nothing(
    roots: Roots, root: Path, name: str
) -> None:
    pid = background(roots.graph, roots.run, root)
    lock = LockFile(f"{roots.graph}/overlay-images/images.lock")
    outcome: list[int] = []

    def write() -> None:
        try:
            with open(root / "images/shop" / name, "wb", buffering=0) as file:
                file.write(b"new\n")
            outcome.append(0)
        except OSError as error:
            outcome.append(error.errno or -1)

    with lock.writing(), INotify() as watch:
        watch.add_watch(lock.path, flags.OPEN)
        writer = threading.Thread(target=write)
        writer.start()
        # It asks for the lock again and again, with a fresh descriptor each time.
        for _ in range(20):
            assert watch.read(timeout=PATIENCE_S * 1000), "it does not come to the lock"
        assert [] == outcome
        _kill(pid)
    writer.join(PATIENCE_S)
    assert outcome and outcome[0] in (errno.ENOTCONN, errno.ECONNABORTED)
    _old_value_is_kept(roots)
    assert "old\n" == _mounted_anew(roots, root)


def test_what_a_killed_daemon_had_mounted_is_gone_with_the_next(roots: Roots, root: Path) -> None:
    pid = background(roots.graph, roots.run, root)
    for path in ("containers/web/rootfs", "images/shop/rootfs"):
        assert (root / path / "etc" / "00000001").read_text().startswith("made in")
    _kill(pid)
    assert "old\n" == _mounted_anew(roots, root)
    store = open_store(roots)
    assert {} == dict(store.snapshot().mounts)
    GoStore(roots.graph, roots.run).run("delete-container", "web")


# -- the store goes away -------------------------------------------------------------------------


def test_a_store_removed_and_remade_under_the_mount(roots: Roots, root: Path) -> None:
    with serving(roots.graph, roots.run, root) as daemon:
        daemon.expected += ["WARNING", "ERROR"]
        assert (root / "images/shop/names").exists()
        unmount_below(roots.graph)
        shutil.rmtree(roots.graph)
        eventually(lambda: not (root / "images/shop").exists(), "it shows what is gone")
        # Each kind has its own directory, and goes when the daemon has heard of that.
        eventually(
            lambda: not [n for n in os.listdir(root / "layers") if len(n) == 64],
            "it shows layers that are gone",
        )
        with pytest.raises(OSError) as refused:
            (root / "images/shop/names").write_text("other\n")
        assert errno.ENOENT == refused.value.errno
        os.mkdir(roots.graph, 0o700)
        GoStore(roots.graph, roots.run).run("create-layer", "--name", "fresh")
        eventually((root / "layers/fresh").exists, "it does not show the new store")
        (root / "layers/ours").mkdir()
        names = [x.get("names") for x in GoStore(roots.graph, roots.run).json("layers")]
        assert [["fresh"], ["ours"]] == names
        assert "Traceback" not in daemon.log()


# -- the disk is full ----------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Roots]:
    """Give the template on an ext4 of a few MiB."""
    with loop_mounted("ext4", str(tmp_path), size=8 << 20) as mount_point:
        roots = Roots(f"{mount_point}/graph", f"{tmp_path}/run", "overlay")
        make_template(roots)
        yield roots


@pytest.mark.parametrize(
    "script",
    [
        "cp {new} images/shop/big-data/notes",
        "cp {new} images/shop/big-data/other",
        "echo other > images/shop/names",
        "mkdir layers/other",
        "mv images/by-name/shop images/by-name/other",
    ],
    ids=["replace-data", "add-data", "write-names", "mkdir", "rename"],
)
def test_a_full_disk_is_told_and_keeps_the_old_value(
    small: Roots, root: Path, tmp_path: Path, script: str
) -> None:
    new = tmp_path / "new"
    new.write_bytes(b"x" * (1 << 20))
    ballast = Path(small.graph).parent / "ballast"
    with serving(small.graph, small.run, root) as daemon:
        before = _errors(daemon)
        _fill(ballast)
        done = _sh(root, script.format(new=new))
        assert 0 != done.returncode
        assert "No space left on device" in done.stderr
        (line,) = _errors(daemon)[len(before) :]
        assert "ENOSPC" in line
        assert b"old\n" == (root / "images/shop/big-data/notes").read_bytes()
        _old_value_is_kept(small)
        ballast.unlink()
        done = _sh(root, script.format(new=new))
        assert (0, "") == (done.returncode, done.stderr)


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 16, 512, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError as error:
                assert errno.ENOSPC == error.errno
        os.fsync(file.fileno())


def _errors(daemon: Daemon) -> list[str]:
    return (daemon.root / "errors").read_text().splitlines()


def _sh(root: Path, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "LC_ALL": "C"},
    )
