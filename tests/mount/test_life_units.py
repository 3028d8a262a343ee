"""How the system starts it: units of systemd, fstab, versions, the system's log."""

import os
import re
import shlex
import socket
import subprocess
from pathlib import Path

import pytest

from tests.conftest import GraphRun
from tests.mount.daemons import HOLDFS, PATIENCE_S, eventually, is_running, pid_of, run, unmount
from tests.mounts import mounts_below
from tests.needs import needs

pytestmark = needs("root", "overlay", "fuse", "containers-storage")

UNITS = Path(__file__).parents[2] / "fusefs" / "units"
#: Where systemd and mount(8) look for commands, whatever PATH says; in a namespace of its own.
_AS_INSTALLED = f'mount --bind {Path(HOLDFS).parent} /usr/local/bin && exec "$@"'


def _as_installed(*words: str) -> list[str]:
    return ["unshare", "-m", "sh", "-c", _AS_INSTALLED, "sh", *words]


@needs("systemd-analyze")
@pytest.mark.parametrize("whose", ["system", "user"])
def test_systemd_takes_the_unit(whose: str, tmp_path: Path) -> None:
    # An instance, as it would be started: %f is this path then.
    unit = tmp_path / "holdfs@mnt-store.service"
    unit.write_text((UNITS / whose / "holdfs@.service").read_text())

    words = ["systemd-analyze", "verify", f"--{whose}", "--man=no", str(unit)]
    done = run(*_as_installed(*words), env={"XDG_RUNTIME_DIR": str(tmp_path)})

    assert 0 == done.returncode, done.stderr
    assert [] == [line for line in done.stderr.splitlines() if "holdfs" in line]


@pytest.mark.parametrize("whose", ["system", "user"])
def test_the_command_of_the_unit_notifies_and_ends_as_systemd_wants(
    whose: str, graph_run: GraphRun, root: Path
) -> None:
    text = (UNITS / whose / "holdfs@.service").read_text()
    assert "Type=notify\n" in text
    options = f"{graph_run.graph} --run {graph_run.run} --storage-driver overlay"
    [line] = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    words = shlex.split(line.replace("$HOLDFS_OPTIONS", options).replace("%f", str(root)))
    assert "holdfs" == words.pop(0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        address = f"holdfs-test-unit-{os.getpid()}"
        notify.bind(f"\0{address}")
        notify.settimeout(PATIENCE_S)
        process = subprocess.Popen(
            [HOLDFS, *words], env={**os.environ, "NOTIFY_SOCKET": f"@{address}"}
        )
        try:
            assert b"READY=1" == notify.recv(100)
            assert "images" in os.listdir(root)
            process.terminate()
            assert 0 == process.wait(PATIENCE_S)
            assert [] == mounts_below(str(root))
        finally:
            process.kill()
            process.wait()


def test_fstab_mounts_it(graph_run: GraphRun, root: Path, tmp_path: Path) -> None:
    fstab = tmp_path / "fstab"
    fstab.write_text(
        f"{graph_run.graph} {root} fuse.holdfs"
        f" noauto,ro,run={graph_run.run},storage-driver=overlay 0 0\n"
    )
    script = f"mount -T {fstab} {root} && ls {root} && grep {root} /proc/mounts && umount {root}"

    done = run(*_as_installed("sh", "-c", script))

    assert (0, "") == (done.returncode, done.stderr)
    assert "images" in done.stdout.splitlines()
    assert f"{graph_run.graph} {root} fuse.holdfs ro," in done.stdout


def test_the_version_names_what_it_stands_on() -> None:
    said = run(HOLDFS, "--version").stdout

    assert re.fullmatch(
        r"holdfs \d+\.\d+\S*\npyfuse3 \d\S+\ntrio \d\S+\nlibfuse 3\.\d+\S*\n"
        r"Linux \S+, FUSE protocol 7\.\d+\n",
        said,
    ), said


def test_an_ordinary_user_is_told_the_version_too() -> None:
    # As nobody, if that user may look where we are installed; at least without any privilege.
    done = run("setpriv", "--bounding-set", "-all", "--inh-caps", "-all", HOLDFS, "--version")

    assert 0 == done.returncode
    assert re.search(r"FUSE protocol (7\.\d+|unknown \(.+\))\n", done.stdout), done.stdout


def test_the_log_goes_to_the_systems_own(graph_run: GraphRun, root: Path, tmp_path: Path) -> None:
    dev = (
        "mount -t tmpfs none /dev && mknod /dev/null c 1 3 && mknod /dev/fuse c 10 229 &&"
        ' ln -s "$0" /dev/log && exec "$@"'
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(f"{graph_run.run}/log")
        log.settimeout(PATIENCE_S)
        words = [HOLDFS, graph_run.graph, str(root), "--run", graph_run.run, "-o", "log=journal"]
        words += ["--storage-driver", "overlay"]
        script = f'{shlex.join(words)} && umount "{root}"'
        done = run("unshare", "-m", "sh", "-c", dev, f"{graph_run.run}/log", "sh", "-c", script)

        assert (0, "") == (done.returncode, done.stderr)
        # <30>: a daemon's, for information.
        assert re.fullmatch(rb"<30>holdfs\[\d+\]: serving .+ at .+", log.recv(4096))


def test_without_a_log_of_the_system_it_says_so(graph_run: GraphRun, root: Path) -> None:
    hide = (
        'mount -t tmpfs none /dev && mknod /dev/null c 1 3 && mknod /dev/fuse c 10 229; exec "$@"'
    )
    words = [HOLDFS, graph_run.graph, str(root), "--run", graph_run.run, "-o", "log=journal"]

    done = run("unshare", "-m", "sh", "-c", hide, "sh", *words)

    assert 1 == done.returncode
    assert re.fullmatch(r"holdfs: the log /dev/log can't be written: .+\n", done.stderr)


def _await_end(pid: int) -> None:
    eventually(lambda: not is_running(pid), f"{pid} lives on")


def test_the_library_unmounts_it_when_it_is_killed(graph_run: GraphRun, root: Path) -> None:
    """
    auto_unmount: fusermount3 waits for the daemon's end, however that comes.

    It then looks whether the mount is dead. Where it looks while the kernel still makes it so, it
    gets another errno than it expects (ECONNABORTED), and leaves it: so a few times.
    """
    words = [HOLDFS, graph_run.graph, str(root), "--run", graph_run.run]
    words += ["--storage-driver", "overlay", "-o", "auto_unmount,allow_other"]
    for _ in range(10):
        assert (0, "") == ((done := run(*words)).returncode, done.stderr)
        pid = pid_of(root)
        waiting = pid_of(root, "fusermount3")
        try:
            assert "images" in os.listdir(root)
            os.kill(pid, 9)
            _await_end(pid)
            _await_end(waiting)
            if not mounts_below(str(root)):
                return
        finally:
            if mounts_below(str(root)):
                unmount(root)
    pytest.fail("the dead mount stays, each time")
