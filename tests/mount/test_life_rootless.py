"""The mount of an ordinary user, as he meets it in his own shell, outside of any namespace."""

import os
import re
import shlex
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.mount.daemons import PATIENCE_S, eventually, is_running
from tests.mount.users import User, ordinary_user
from tests.needs import needs

pytestmark = needs("root", "fuse", "userns", "sub-ids", "overlay", "podman", "buildah")

SHOP = "images/localhost%2Fshop:1"
UNIT = Path(__file__).parents[2] / "fusefs/units/user/holdfs@.service"


@pytest.fixture(scope="module")
def owner() -> Iterator[User]:
    """Give a user with a store of his own, made by buildah."""
    with ordinary_user("a") as user:
        user.make_store()
        yield user


@pytest.fixture(scope="module")
def stranger() -> Iterator[User]:
    """Give another user, who has no IDs beside his own."""
    with ordinary_user("b", sub_ids=False) as user:
        yield user


@pytest.fixture
def user(owner: User) -> Iterator[User]:
    """Give `owner`, with the tree mounted in the background until the test's end."""
    mount(owner)
    yield owner
    if owner.is_mounted():
        owner.out("fusermount3", "-u", "mnt")
    eventually(lambda: not owner.processes("mnt"), "the daemon lives on")


@pytest.fixture
def web(user: User) -> Iterator[User]:
    """Give him with a container `web` too."""
    user.sh(f"mkdir {SHOP}/containers/web")
    yield user
    if not user.is_mounted():
        mount(user)
    user.sh("rmdir containers/web")


def mount(user: User, *options: str) -> None:
    done = user.run("holdfs", "mnt", "-o", ",".join(("log=log", *options)))
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


def pids(user: User) -> tuple[int, int]:
    """Return the pids of the supervisor and of the daemon."""
    supervisor, daemon = user.processes("mnt")
    assert f"PPid:\t{supervisor}\n" in Path(f"/proc/{daemon}/status").read_text()
    return supervisor, daemon


@contextmanager
def in_the_foreground(user: User, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Give `holdfs -f` once it serves, as systemd would see it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        address = f"holdfs-test-user-{os.getpid()}"
        notify.bind(f"\0{address}")
        notify.settimeout(PATIENCE_S)
        process = subprocess.Popen(
            user.command("holdfs", *(words or ("-f", "mnt"))),
            env={**user.env, "NOTIFY_SOCKET": f"@{address}"},
            cwd=user.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        with process:
            try:
                assert b"READY=1" == notify.recv(100)
                yield process
            finally:
                process.kill()


# -- the tree ------------------------------------------------------------------------------------


def test_podman_sees_what_he_does_in_the_tree(user: User) -> None:
    assert f"{user.uid} {user.gid}" == user.sh(f"stat -c '%u %g' {SHOP}/names")
    assert "localhost/shop:1" == user.sh(f"cat {SHOP}/names")

    user.sh("mkdir -p images/by-name/quay.io/me")
    user.sh("ln -s ../../localhost/shop:1 images/by-name/quay.io/me/shop:2")
    user.sh(f"mkdir {SHOP}/containers/web")

    assert "quay.io/me/shop:2" in user.out(
        "podman", "images", "--format", "{{.Repository}}:{{.Tag}}"
    )
    containers = ["podman", "ps", "--all", "--external", "--format", "{{.Names}}"]
    assert "web" == user.out(*containers)
    user.sh("rmdir containers/web; rm images/by-name/quay.io/me/shop:2")
    assert "" == user.out(*containers)


def test_it_is_the_store_that_podman_uses(user: User) -> None:
    info = user.out("podman", "info", "--format", "{{.Store.GraphRoot}}\n{{.Store.RunRoot}}")

    graph, run = re.findall(r"^(?:Root|Run Root): (.+)$", user.sh("cat status"), re.MULTILINE)
    assert info.splitlines() == [graph, run]


def test_nobody_else_comes_in(user: User, stranger: User) -> None:
    rootfs = user.sh(f"readlink {SHOP}/rootfs")
    user.home.chmod(0o755)  # not for want of a way

    for path in (user.mnt, f"{rootfs}/etc"):
        assert "Permission denied" in stranger.run("ls", str(path)).stderr


# -- content -------------------------------------------------------------------------------------


def test_his_shell_reads_an_image_through_the_link(user: User) -> None:
    rootfs = f"{SHOP}/rootfs"

    assert "secret\n600" == user.sh(f"cat {rootfs}/etc/shadow; stat -c %a {rootfs}/etc/shadow")
    # A whiteout, and a directory that was made anew.
    assert "absolute\nlink\nshadow" == user.sh(f"ls {rootfs}/etc")
    assert "upper" == user.sh(f"ls {rootfs}/d")
    assert "d data etc" == user.sh(f"echo $(ls {rootfs}/)")
    # As on any disk, what belongs to another ID is not his; and nothing can be changed.
    assert "Permission denied" in user.run("ls", f"mnt/{rootfs}/data").stderr
    assert "Read-only file system" in user.run("touch", f"mnt/{rootfs}/x").stderr


def test_a_path_made_of_where_one_is_is_right_outside_too(user: User) -> None:
    script = """cd {}/rootfs/etc; pwd -P; python3 -c 'import os; print(os.getcwd())'
        realpath shadow; cat $(realpath shadow)"""

    shown = user.sh(script.format(SHOP)).splitlines()

    top = user.sh(f"basename $(readlink {SHOP}/top-layer)")
    there = f"{user.mnt}/.files/layers/{top}/etc"
    assert [there, there, f"{there}/shadow", "secret"] == shown


def test_what_the_daemon_serves_is_all_his_to_read(user: User) -> None:
    files = f"{SHOP}/files"

    assert "secret\nsecret\ntheirs" == user.sh(f"cd {files}/; cat etc/link etc/absolute data/f")
    assert f"{user.uid} {user.gid} 600" == user.sh(f"stat -c '%u %g %a' {files}/data/f")
    assert "upper" == user.sh(f"ls {files}/d")
    assert "0" == user.sh(f"tar c -C {files}/ . | tar t >/dev/null; echo $?")
    assert "Read-only file system" in user.run("touch", f"mnt/{files}/d/x").stderr


def test_what_he_wrote_through_the_link_is_served_in_a_moment(web: User) -> None:
    web.sh("echo new > containers/web/rootfs/etc/new; chmod 600 containers/web/rootfs/etc/new")

    eventually(lambda: "new\n" == web.run("cat", "mnt/containers/web/files/etc/new").stdout)


def test_his_shell_writes_into_a_container(web: User) -> None:
    rootfs = "containers/web/rootfs"

    web.sh(f"echo new > {rootfs}/etc/new; rm {rootfs}/d/upper; echo more >> {rootfs}/etc/shadow")

    assert "1" == web.sh("cat containers/web/mount-count")
    assert ["C /d", "D /d/upper", "C /etc", "A /etc/new", "C /etc/shadow"] == sorted(
        web.sh("cat containers/web/layer/changes").splitlines(), key=lambda line: line[2:]
    )
    upper = web.sh("readlink containers/web/layer/diff")
    assert (web.uid, web.gid) == (os.stat(f"{upper}/etc/new").st_uid, os.stat(upper).st_gid)


def test_a_container_is_unmounted_when_nobody_is_there(owner: User) -> None:
    mount(owner, "idle=0.2")
    owner.sh(f"mkdir {SHOP}/containers/web")
    with subprocess.Popen(
        owner.command("sh", "-c", "cd mnt/containers/web/rootfs/d && echo && read line"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=owner.home,
        env=owner.env,
    ) as shell:
        assert shell.stdout and shell.stdin
        assert b"\n" == shell.stdout.readline()
        assert "1" == owner.sh("cat containers/web/mount-count")
        assert "Device or resource busy" in owner.run("rmdir", "mnt/containers/web").stderr
        shell.stdin.close()
    eventually(lambda: "0" == owner.sh("cat containers/web/mount-count"))
    # Where it was, too; and it can be had again.
    assert "upper" == owner.sh("ls containers/web/rootfs/d")
    owner.sh("rmdir containers/web")
    owner.out("fusermount3", "-u", "mnt")
    eventually(lambda: not owner.processes("mnt"))
    assert not re.search("WARNING|ERROR", (owner.home / "log").read_text())


def test_a_layer_that_becomes_an_images_has_two_mounts_for_a_while(user: User) -> None:
    # The top of a new layer is closed to all but root, for whom modes don't count.
    user.sh("mkdir layers/app && cd layers/app/rootfs && chmod u+w . && echo 1 > one")

    user.sh("mkdir layers/app/images/app")

    assert "1" == user.sh("cat images/app/rootfs/one")
    assert "Read-only file system" in user.run("touch", "mnt/images/app/rootfs/two").stderr
    user.sh("rmdir images/app")


# -- the end -------------------------------------------------------------------------------------


def test_unmounting_ends_both_processes(user: User) -> None:
    assert 2 == len(pids(user))

    user.out("fusermount3", "-u", "mnt")

    eventually(lambda: not user.processes("mnt"))
    assert not user.is_mounted()


@pytest.mark.parametrize("whom", ["supervisor", "daemon"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_unmounts_whoever_gets_it(owner: User, whom: str, number: signal.Signals) -> None:
    with in_the_foreground(owner) as process:
        supervisor, daemon = pids(owner)
        assert process.pid == supervisor

        os.kill({"supervisor": supervisor, "daemon": daemon}[whom], number)

        assert 0 == process.wait(PATIENCE_S)
        assert not owner.is_mounted()
        assert not is_running(daemon)


def test_a_killed_daemon_is_unmounted(owner: User) -> None:
    with in_the_foreground(owner) as process:
        os.kill(pids(owner)[1], signal.SIGKILL)

        assert 1 == process.wait(PATIENCE_S)
        assert not owner.is_mounted()
        assert process.stdout
        assert "holdfs: the daemon was ended by SIGKILL" == process.stdout.read().splitlines()[-1]


def test_a_killed_supervisor_takes_the_daemon_along_and_the_next_start_heals(web: User) -> None:
    supervisor, daemon = pids(web)
    web.sh("ls containers/web/rootfs/")

    os.kill(supervisor, signal.SIGKILL)

    eventually(lambda: not is_running(daemon), "the daemon lives on")
    assert "Transport endpoint is not connected" in web.run("ls", "mnt").stderr
    mount(web)
    assert "0" == web.sh("cat containers/web/mount-count"), (web.home / "log").read_text()


def test_a_second_mount_there_is_refused(user: User) -> None:
    done = user.run("holdfs", "mnt")

    assert 1 == done.returncode
    assert re.fullmatch(rf"holdfs: holdfs is already mounted at {user.mnt}, .+\n", done.stderr)
    assert 2 == len(pids(user))


def test_the_users_unit_does_what_systemd_wants(owner: User) -> None:
    [line] = re.findall(r"^ExecStart=(.*)$", UNIT.read_text(), re.MULTILINE)
    words = shlex.split(line.replace("$HOLDFS_OPTIONS", "-o idle=5").replace("%f", "mnt"))
    assert "holdfs" == words.pop(0)

    with in_the_foreground(owner, *words) as process:
        assert "images" in owner.sh("ls")
        process.terminate()

        assert 0 == process.wait(PATIENCE_S)
        assert not owner.is_mounted()


# -- what is not to be had -----------------------------------------------------------------------


def test_who_has_no_sub_ids_is_told_what_is_missing(stranger: User) -> None:
    stranger.out("holdctl", "create-layer", "-n", "base")

    done = stranger.run("holdfs", "mnt")
    try:
        assert (0, "") == (done.returncode, done.stdout)
        assert re.fullmatch(
            r"holdfs: mounted, but you have no subordinate IDs, .+ --add-subuids .+\n", done.stderr
        )
        assert "hi" == stranger.sh("cd layers/base/rootfs; chmod u+w .; echo hi > f; cat f")
    finally:
        stranger.out("fusermount3", "-u", "mnt")
    eventually(lambda: not stranger.processes("mnt"))


@pytest.mark.parametrize("refused", [(), ("podman",)], ids=["podman", "buildah"])
def test_a_tool_makes_the_namespace_where_we_may_not(owner: User, refused: tuple[str, ...]) -> None:
    """As with AppArmor's profiles, of which Debian's kernel here has none: we fail, it doesn't."""
    with owner.refusing("newuidmap", *refused):
        done = owner.run("holdfs", "mnt", "-o", "log=tool.log")
    assert (0, "") == (done.returncode, done.stderr)
    tool = "buildah" if refused else "podman"
    assert f"trying `{tool} unshare`" in (owner.home / "tool.log").read_text()

    assert "secret" == owner.sh(f"cat {SHOP}/rootfs/etc/shadow")
    assert f"{owner.uid}" == owner.sh(f"stat -c %u {SHOP}/names")
    [supervisor] = owner.processes("mnt")
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: not owner.processes("holdfs.fusefs.inside"), "the daemon lives on")
    owner.out("fusermount3", "-u", "mnt")


def test_without_any_namespace_it_says_why_and_mounts_nothing(owner: User) -> None:
    with owner.refusing("newuidmap", "podman", "buildah"):
        done = owner.run("holdfs", "mnt")

    assert (1, "holdfs: newuidmap failed: refused by a test\n") == (done.returncode, done.stderr)
    assert not owner.is_mounted()
    assert not owner.processes("mnt")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "allow_root"], "allow_root is for mounts that root makes; use allow_other"),
        (["-o", "allow_other"], "option allow_other only allowed if 'user_allow_other' is set in"),
        (["--storage-driver", "zfs"], "zfs"),
        (["--graph", "no-such"], "there is no store at"),
    ],
    ids=" ".join,
)
def test_what_can_not_be_is_one_line(owner: User, words: list[str], said: str) -> None:
    done = owner.run("holdfs", "mnt", *words)

    assert (1, "") == (done.returncode, done.stdout)
    assert re.fullmatch(r"holdfs: .+\n", done.stderr)
    assert said in done.stderr
    assert not owner.is_mounted()
    eventually(lambda: not owner.processes("mnt"))
