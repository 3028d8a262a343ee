"""What the options do to a mount, as far as nothing else in test_life_* shows it."""

import os
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import GraphRun
from tests.mount.daemons import (
    HOLDFS,
    PATIENCE_S,
    background,
    command,
    eventually,
    is_running,
    pid_of,
    run,
    serving,
    unmount,
)
from tests.mount.scene import Scene, is_readable
from tests.needs import needs

pytestmark = needs("root", "overlay", "fuse", "containers-storage")

_SOMEBODY = 54321


def _mount_line(path: Path | str) -> list[str]:
    """Return the words that the kernel's table of mounts has for what is mounted at `path`."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        words = line.split()
        if words[4] == os.path.realpath(path):
            return words
    raise AssertionError(f"nothing is mounted at {path}")


# -- what the kernel may keep -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ([], set()),
        (["entry_timeout=0"], {"lookup"}),
        (["attr_timeout=0"], {"getattr"}),
        (["strict"], {"lookup", "getattr"}),
    ],
    ids=["default", "entry_timeout", "attr_timeout", "strict"],
)
def test_a_time_out_of_0_has_the_kernel_ask_again(
    graph_run: GraphRun, root: Path, options: list[str], asked: set[str]
) -> None:
    with serving(*graph_run, root, "debug", *options) as daemon:
        os.stat(root / "status")
        before = daemon.log()
        os.stat(root / "layers" / "by-name")
        os.stat(root / "layers")
        first = daemon.log()
        os.stat(root / "layers")

        again = daemon.log().removeprefix(first)

    assert before in first and first != before
    assert asked == {line.split()[3] for line in again.splitlines()}


def test_idle_0_keeps_what_was_mounted(scene: Scene) -> None:
    with closing(scene.automount(idle_s=0)) as automount:
        path = automount.target("images", scene.image)

        # Nobody is woken to look for what is idle.
        assert not is_readable(automount)
        assert "from top\n" == Path(path, "motd").read_text()


# -- who may enter ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "entering"),
    [
        ("rw", ["owner"]),
        ("allow_root", ["owner", "root"]),
        ("allow_other", ["owner", "root", "other"]),
    ],
)
def test_who_may_enter(graph_run: GraphRun, root: Path, option: str, entering: list[str]) -> None:
    """The owner is who mounted it, group and all: root with another group needs allow_root."""
    for directory in (root, *root.parents):
        if directory.stat().st_mode & 0o005 != 0o005:
            directory.chmod(directory.stat().st_mode | 0o005)
    with serving(*graph_run, root, option):
        entered = [
            who
            for who, uid, gid in (
                ("owner", 0, 0),
                ("root", 0, _SOMEBODY),
                ("other", _SOMEBODY, _SOMEBODY),
            )
            if 0 == _try_to_enter(root, uid, gid)
        ]
    assert entering == entered


def _try_to_enter(root: Path, uid: int, gid: int) -> int:
    words = ["ls", str(root / "images")]
    return subprocess.run(
        words, user=uid, group=gid, extra_groups=[], capture_output=True, timeout=PATIENCE_S
    ).returncode


# -- what the mount table says ------------------------------------------------------------------


def test_what_the_kernel_takes_is_handed_on(graph_run: GraphRun, root: Path) -> None:
    options = "nosuid,nodev,noexec,noatime,dirsync,fsname=my store,subtype=mine"
    with serving(*graph_run, root, options):
        words = _mount_line(root)

    assert {"nosuid", "nodev", "noexec", "noatime"} <= set(words[5].split(","))
    kind, source, of_file_system = words[words.index("-") + 1 :]
    assert ("fuse.mine", r"my\040store") == (kind, source)
    assert "dirsync" in of_file_system.split(",")


def test_a_program_in_the_mount_runs_unless_noexec(graph_run: GraphRun, root: Path) -> None:
    with serving(*graph_run, root, "exec,dev,suid"):
        assert {"nosuid", "nodev", "noexec"}.isdisjoint(_mount_line(root)[5].split(","))


@pytest.mark.parametrize("source", ["GRAPH", "none"])
def test_a_line_of_fstab_is_enough(graph_run: GraphRun, root: Path, source: str) -> None:
    """`none` in the place of the store is that of storage.conf."""
    chosen = "defaults"
    if source == "GRAPH":
        source, chosen = graph_run.graph, f"nofail,run={graph_run.run},storage-driver=overlay"
    conf = root.with_name("storage.conf")
    conf.write_text(
        '[storage]\ndriver = "overlay"\n'
        f'graphroot = "{graph_run.graph}"\nrunroot = "{graph_run.run}"\n'
    )
    fstab = root.with_name("fstab")
    fstab.write_text(f"{source} {root} fuse.holdfs {chosen} 0 0\n")
    # mount(8) looks for the command in the system's directories alone, whatever PATH says.
    script = (
        f"mount --bind {Path(HOLDFS).parent} /usr/local/bin && mount -T {fstab} {root} &&"
        f" cat {root}/status && umount {root}"
    )

    done = run("unshare", "-m", "sh", "-c", script, env={"CONTAINERS_STORAGE_CONF": str(conf)})

    assert (0, "") == (done.returncode, done.stderr)
    assert graph_run.graph in done.stdout


# -- which store --------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["arguments", "options"])
def test_the_store_can_be_chosen_without_a_source(scene: Scene, root: Path, by: str) -> None:
    graph, run_root = scene.go.graph, scene.go.run_root
    words = ["--graph", graph, "--run", run_root, "--storage-driver", "overlay"]
    words += ["--storage-opt", "overlay.mountopt=nodev"]
    if by == "options":
        words = ["-o", f"graph={graph},run={run_root},storage-driver=overlay"]
        words += ["-o", "storage-opt=overlay.mountopt=nodev"]
    done = run(HOLDFS, *words, str(root))
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    pid = pid_of(root)
    try:
        merged = os.path.realpath(root / "containers" / "web" / "rootfs")

        assert "nodev" in _mount_line(merged)[5].split(",")
    finally:
        unmount(root)
        eventually(lambda: not is_running(pid), "the daemon lives on")


# -- -f and -d ----------------------------------------------------------------------------------


def test_d_stays_and_shows_each_request(graph_run: GraphRun, root: Path) -> None:
    said = root.with_name("said")
    with said.open("wb") as out:
        process = subprocess.Popen(
            command(*graph_run, root, "-d"), stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        eventually(lambda: os.path.ismount(root) or process.poll() is not None, "no mount")
        os.stat(root / "containers")
        unmount(root)
        assert 0 == process.wait(PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    assert "lookup" in said.read_text()


def test_a_log_that_is_there_is_added_to(graph_run: GraphRun, root: Path) -> None:
    path = root.with_name("holdfs.log")
    path.write_text("from before\n")
    pid = background(*graph_run, root, "-o", f"log={path}")
    unmount(root)
    eventually(lambda: not is_running(pid), "the daemon lives on")

    first, *others = path.read_text().splitlines()
    assert "from before" == first
    assert any(line.endswith(f"serving {graph_run.graph} at {root}") for line in others)
