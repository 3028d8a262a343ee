"""The first commands that README shows, typed in turn: each does what is shown below it."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import GraphRun
from tests.house.sources import TOP
from tests.house.test_examples import run_example
from tests.mount.daemons import HOLDFS
from tests.needs import needs
from tests.peers import GoStore

pytestmark = needs("root", "fuse", "overlay", "busybox", "containers-storage", "podman")

#: In a mount namespace: nobody else's /mnt, and what a failure leaves mounted goes with it.
_START = """\
mount --bind "$HOME/mnt" /mnt
trap 'cd /; mountpoint -q /mnt/images && umount -l /mnt' EXIT
exec 2>&1
"""


def _shown() -> Iterator[tuple[str, str]]:
    """Yield each command of README's first part, and what it prints there."""
    text = (TOP / "README.md").read_text(encoding="utf-8").partition("\n## ")[0]
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for step in re.split(r"^# ", block, flags=re.MULTILINE)[1:]:
            command, _, output = step.partition("\n")
            yield re.sub(r"\s+# .*", "", command), output


def _pattern(output: str) -> str:
    """Return what matches the output: in any columns, other IDs, anything for `…`, any time."""
    words = " ".join(re.escape(word) for word in output.split())
    words = re.sub(r"\d{4}\\-\S+Z", r"\\S+", words)
    return re.sub(r"[0-9a-f]+…", "[0-9a-f]{64}", words).replace("…", ".*")


@pytest.fixture
def home(graph_run: GraphRun, tmp_path: Path) -> Path:
    """Give a home with the files that README copies, and a store with the image that it has."""
    run_example("make_demo_store.py", *graph_run)
    GoStore(*graph_run).run("delete-container", "web")
    roots = f'graphroot = "{graph_run.graph}"\nrunroot = "{graph_run.run}"\n'
    (tmp_path / "storage.conf").write_text(f'[storage]\ndriver = "overlay"\n{roots}')
    (tmp_path / "mnt").mkdir()
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").write_text("hello")
    (tmp_path / "notes.txt").write_text("note")
    return tmp_path


def test_what_readme_shows_can_be_typed(home: Path) -> None:
    (install, _), (mount, _), *steps = _shown()
    assert install.endswith("make install")
    assert ".venv/bin/holdfs /mnt" == mount
    commands = [f"{HOLDFS} /mnt", *(command for command, _ in steps)]
    script = _START + "".join(f"echo '@@'\n{command}\n" for command in commands)

    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
        env={
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "CONTAINERS_STORAGE_CONF": f"{home}/storage.conf",
        },
    )

    printed = done.stdout.split("@@\n")[1:]
    assert len(commands) == len(printed)
    assert "" == printed[0]
    for (command, output), got in zip(steps, printed[1:], strict=True):
        if not command.startswith("podman"):
            assert re.fullmatch(_pattern(output), " ".join(got.split())), (command, got)
    assert (home / "shop.tar").stat().st_size
