"""How a mount begins and ends, whoever ends it."""

import errno
import os
import re
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from holdfs.core.config import load_options
from holdfs.core.store import Store
from tests.conftest import GraphRun
from tests.mount.daemons import (
    HOLDFS,
    PATIENCE_S,
    Daemon,
    background,
    command,
    eventually,
    is_running,
    pid_of,
    run,
    serving,
    unmount,
)
from tests.mounts import mounts_below
from tests.needs import needs

pytestmark = needs("root", "overlay", "fuse", "containers-storage")


# -- the beginning -----------------------------------------------------------------------------


def test_the_command_returns_when_the_mount_answers(graph_run: GraphRun, root: Path) -> None:
    pid = background(*graph_run, root)
    try:
        assert {"layers", "images", "containers", "status"} <= set(os.listdir(root))
    finally:
        unmount(root)
    eventually(lambda: not is_running(pid), "the daemon lives on")


def test_the_daemon_is_bound_to_nothing_of_who_started_it(graph_run: GraphRun, root: Path) -> None:
    reader, writer = os.pipe()
    try:
        done = subprocess.run(
            command(*graph_run, root),
            pass_fds=[writer],
            capture_output=True,
            check=True,
            timeout=PATIENCE_S,
            cwd=root.parent,
        )
        pid = pid_of(root)
        assert (b"", b"") == (done.stdout, done.stderr)
        assert pid == os.getsid(pid)
        assert "/" == os.readlink(f"/proc/{pid}/cwd")
        assert ["/dev/null"] * 3 == [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)]
        os.close(writer)
        writer = -1
        assert b"" == os.read(reader, 1), "the pipe is held open"
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)
        unmount(root)
    eventually(lambda: not is_running(pid))


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&-", "<&- >&- 2>&-"])
def test_it_starts_without_standard_streams(graph_run: GraphRun, root: Path, closed: str) -> None:
    words = ["sh", "-c", f'exec "$@" {closed}', "sh", *command(*graph_run, root)]

    subprocess.run(words, check=True, timeout=PATIENCE_S)

    try:
        assert "layers" in os.listdir(root)
    finally:
        unmount(root)


def test_the_mount_table_names_the_store(daemon: Daemon, graph_run: GraphRun) -> None:
    line = next(
        x for x in Path("/proc/self/mountinfo").read_text().splitlines() if str(daemon.root) in x
    )

    assert f" - fuse.holdfs {graph_run.graph} " in line
    assert "default_permissions" in line


def test_a_relative_mount_point_is_one_of_the_caller(graph_run: GraphRun, root: Path) -> None:
    words = command(*graph_run, root.name)
    subprocess.run(words, check=True, timeout=PATIENCE_S, cwd=root.parent)
    try:
        assert mounts_below(str(root))
    finally:
        unmount(root)


def test_mount_and_umount_know_it_by_its_type(graph_run: GraphRun, root: Path) -> None:
    # mount(8) looks for the command in the system's directories alone, whatever PATH says.
    script = (
        f"mount --bind {Path(HOLDFS).parent} /usr/local/bin && "
        f"mount -t fuse.holdfs {graph_run.graph} {root} -o rw,noatime,nofail,_netdev,"
        f"x-systemd.automount,run={graph_run.run},storage-driver=overlay && "
        f"ls {root} && umount {root}"
    )
    done = run("unshare", "-m", "sh", "-c", script)

    assert (0, "") == (done.returncode, done.stderr)
    assert "images" in done.stdout.splitlines()


def test_a_directory_that_is_not_empty_will_do(graph_run: GraphRun, root: Path) -> None:
    (root / "mine").touch()
    with serving(*graph_run, root):
        assert "mine" not in os.listdir(root)
    assert ["mine"] == os.listdir(root)


def test_read_only_is_the_kernels_word_too(graph_run: GraphRun, root: Path) -> None:
    with serving(*graph_run, root, "ro"):
        assert os.statvfs(root).f_flag & os.ST_RDONLY
        with pytest.raises(OSError) as refused:
            os.mkdir(root / "layers" / "x")
        assert errno.EROFS == refused.value.errno


def test_owner_and_modes_are_as_asked(graph_run: GraphRun, root: Path) -> None:
    with serving(*graph_run, root, "uid=1234", "gid=4321", "umask=077"):
        status = os.stat(root / "layers")

        assert (1234, 4321, 0o700) == (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))


@pytest.mark.parametrize(("option", "allowed"), [("allow_other", True), ("debug", False)])
def test_other_users_enter_only_if_allowed(
    graph_run: GraphRun, root: Path, option: str, allowed: bool
) -> None:
    for directory in (root, *root.parents):
        if directory.stat().st_mode & 0o005 != 0o005:
            directory.chmod(directory.stat().st_mode | 0o005)
    with serving(*graph_run, root, option):
        done = subprocess.run(
            ["ls", str(root)],
            user=65534,
            group=65534,
            extra_groups=[],
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert allowed == (done.returncode == 0), done.stderr


# -- the end -----------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["umount"], ["fusermount3", "-u"]], ids=" ".join)
def test_unmounting_ends_the_daemon(daemon: Daemon, words: list[str]) -> None:
    # Again while somebody else looks in: volume monitors stat every mount there is.
    eventually(lambda: run(*words, str(daemon.root)).returncode == 0, "it stays busy")

    assert 0 == daemon.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_unmounts_and_ends_it(daemon: Daemon, number: signal.Signals) -> None:
    os.kill(daemon.pid, number)

    assert 0 == daemon.wait()
    assert [] == mounts_below(str(daemon.root))


def test_a_signal_ends_it_while_somebody_is_inside(daemon: Daemon) -> None:
    fd = os.open(daemon.root / "images", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.kill(daemon.pid, signal.SIGTERM)

        assert 0 == daemon.wait()
        assert [] == mounts_below(str(daemon.root))
    finally:
        os.close(fd)


def test_a_signal_ends_a_background_daemon(graph_run: GraphRun, root: Path) -> None:
    pid = background(*graph_run, root)

    os.kill(pid, signal.SIGTERM)

    eventually(lambda: not is_running(pid))
    assert [] == mounts_below(str(root))


def test_unmounting_is_refused_while_somebody_is_inside(daemon: Daemon) -> None:
    fd = os.open(daemon.root / "images", os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert 0 != run("umount", str(daemon.root)).returncode
        assert "images" in os.listdir(daemon.root)
    finally:
        os.close(fd)


def test_it_can_be_mounted_again_and_again(graph_run: GraphRun, root: Path) -> None:
    for _ in range(3):
        with serving(*graph_run, root):
            assert "images" in os.listdir(root)


# -- crashes and second daemons ----------------------------------------------------------------


def test_a_dead_mount_is_healed_by_the_next_start(graph_run: GraphRun, root: Path) -> None:
    pid = background(*graph_run, root)
    os.stat(root)
    fd = os.open(root / "images", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not is_running(pid))
        with pytest.raises(OSError) as dead:
            os.listdir(root)
        # The latter of a request that was under way when its last thread ended.
        assert dead.value.errno in (errno.ENOTCONN, errno.ECONNABORTED)

        with serving(*graph_run, root):
            assert "images" in os.listdir(root)
            assert 1 == len(mounts_below(str(root)))
    finally:
        os.close(fd)


def test_a_second_daemon_at_the_same_place_is_refused(daemon: Daemon, graph_run: GraphRun) -> None:
    done = run(*command(*graph_run, daemon.root))

    assert 1 == done.returncode
    assert re.fullmatch(r"holdfs: holdfs is already mounted at .*unmount it first.*\n", done.stderr)
    assert "images" in os.listdir(daemon.root)


def test_two_mounts_of_one_store_live_side_by_side(graph_run: GraphRun, root: Path) -> None:
    other = root.with_name("other")
    with serving(*graph_run, root), serving(*graph_run, other):
        os.mkdir(root / "layers" / "base")
        eventually(lambda: os.path.exists(other / "layers" / "by-name" / "base"))


def test_what_the_kernel_was_still_to_forget_is_no_error_at_the_end(
    graph_run: GraphRun, root: Path
) -> None:
    store = Store.open(load_options(graph_root=graph_run.graph, run_root=graph_run.run))
    ids = [store.create_image().id for _ in range(500)]
    records = Path(graph_run.graph, "overlay-images", "images.json")
    with serving(*graph_run, root) as daemon:
        for image_id in ids:
            for name in ("id", "names", "size/total", "containers"):
                (root / "images" / image_id / name).stat()
        records.with_suffix(".new").write_text("[]")
        records.with_suffix(".new").rename(records)
        eventually(lambda: "delete" in (root / "events").read_text())

        os.kill(daemon.pid, signal.SIGTERM)

        assert 0 == daemon.wait()
