"""User namespaces: `unshare`, and what a user without privileges does in one."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.holdctl import Holdctl
from tests.conftest import GraphRun
from tests.needs import needs

pytestmark = needs("root", "userns")

NOBODY = 65534


@pytest.fixture
def ours(graph_run: GraphRun) -> Holdctl:
    return Holdctl(*graph_run, "vfs")


def test_a_command_runs_as_root_of_a_namespace_with_its_streams(ours: Holdctl) -> None:
    done = ours.run("unshare", "sh", "-c", "id -u; cat; cat /proc/self/uid_map", input="in\n")

    first, second, *maps = done.stdout.splitlines()
    assert ("0", "in") == (first, second)
    assert ["0", "0", "1"] == maps[0].split()
    own = os.readlink("/proc/self/ns/user")
    assert own != ours.out("unshare", "readlink", "/proc/self/ns/user")
    assert own == os.readlink("/proc/self/ns/user")


def test_what_is_mounted_inside_stays_inside(ours: Holdctl, tmp_path: Path) -> None:
    script = f"mount -t tmpfs holdfs-test {tmp_path} && touch {tmp_path}/inside"

    ours.run("unshare", "sh", "-c", script)

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sh", "-c", "exit 3"], "exit status 3\n"),
        (["no-such-program"], 'exec: "no-such-program": executable file not found in $PATH\n'),
        (["/no/such"], "fork/exec /no/such: no such file or directory\n"),
        (["sh", "-c", "kill $$"], "signal: terminated\n"),
    ],
    ids=" ".join,
)
def test_a_command_that_fails_is_status_1(ours: Holdctl, words: list[str], said: str) -> None:
    done = ours.run("unshare", *words, check=False)

    assert (1, "", said) == (done.returncode, done.stdout, done.stderr)


def test_without_a_command_it_is_the_shell(ours: Holdctl) -> None:
    done = ours.run("unshare", input="echo from $0; id -u", env={"SHELL": "/bin/sh"})

    assert "from /bin/sh\n0\n" == done.stdout


def test_a_user_without_privileges_works_in_a_namespace(ours: Holdctl) -> None:
    top = Path(ours.graph).parent
    for path in (top, Path(ours.graph), Path(ours.run_root)):
        os.chown(path, NOBODY, NOBODY)
    conf = top / "storage.conf"
    conf.write_text("")
    homes = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(top))
    env = {**os.environ, **homes, "CONTAINERS_STORAGE_CONF": str(conf)}
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [*user, *ours.command(*words)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, env=env
        )

    done = run("create-layer", "-i", "base")
    assert (0, "base\n", "") == (done.returncode, done.stdout, done.stderr)
    assert NOBODY == os.stat(f"{ours.graph}/vfs/dir/base").st_uid
    assert "base" == run("layers", "-q").stdout.strip()
    # Its own exit status comes out.
    assert 1 == run("layer", "nope").returncode
    assert 125 == run("layers", "--nope").returncode
    inside = run("unshare", "readlink", "/proc/self/ns/user").stdout
    assert inside.strip() not in ("", os.readlink("/proc/self/ns/user"))
