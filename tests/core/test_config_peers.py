"""The same files and variables, read by us and by the real containers-storage."""

import json
import os
import subprocess

import pytest

from holdfs.core.config import load_options
from tests.conftest import GraphRun
from tests.needs import needs

pytestmark = needs("root", "overlay", "containers-storage")

ROOTS = 'graphroot = "@/graph"\nrunroot = "@/run"\n'


def go_status(environ: dict[str, str], *args: str) -> dict[str, str]:
    """Return what `status` of containers-storage says, with `environ` on top of the test's."""
    done = subprocess.run(
        ["containers-storage", *args, "status", "--json"],
        env={**os.environ, **environ},
        capture_output=True,
        check=False,
        timeout=60,
        text=True,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def write_conf(top: str, text: str) -> str:
    """Write a storage.conf with @ for `top`; return its path."""
    path = f"{top}/storage.conf"
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace("@", top))
    return path


@pytest.mark.parametrize(
    ("conf", "variables"),
    [
        (f'[storage]\ndriver = "overlay"\n{ROOTS}', {}),
        (f'[storage]\ndriver = "overlay2"\n{ROOTS}', {}),
        (f'[storage]\ndriver = "vfs"\n{ROOTS}', {}),
        (
            f'[storage]\ndriver = "vfs"\n{ROOTS}[storage.options.vfs]\n'
            'ignore_chown_errors = "true"\n',
            {},
        ),
        (
            f'[storage]\ndriver = "overlay"\n{ROOTS}[storage.options]\nmountopt = "nodev"\n'
            'mount_program = "/bin/true"\nskip_mount_home = "true"\nignore_chown_errors = "true"\n'
            '[storage.options.overlay]\nmountopt = "nosuid"\n',
            {},
        ),
        (
            f'[storage]\ndriver = "overlay"\n{ROOTS}[storage.options]\nmountopt = "nodev"\n',
            {"STORAGE_DRIVER": "vfs", "STORAGE_OPTS": ""},
        ),
        (
            f'[storage]\ndriver = "overlay"\n{ROOTS}[storage.options]\nmountopt = "nodev"\n',
            {"STORAGE_OPTS": "overlay.mountopt=nosuid,overlay.skip_mount_home=true"},
        ),
        (f'[storage]\ndriver = "vfs"\n{ROOTS}', {"STORAGE_DRIVER": ""}),
        (
            '[storage]\ndriver = "vfs"\ngraphroot = "${TOP}/$NONE/graph"\nrunroot = "$TOP/run$UID"',
            {"TOP": "@"},
        ),
        (f'[storage]\ndriver = "vfs"\nfuture = 1\n{ROOTS}[storage.options.future]\na = 1\n', {}),
    ],
)
def test_files_and_variables_mean_the_same_store(
    graph_run: GraphRun, conf: str, variables: dict[str, str]
) -> None:
    top = os.path.dirname(graph_run.graph)
    path = write_conf(top, conf)
    environ = {name: value.replace("@", top) for name, value in variables.items()}
    environ["CONTAINERS_STORAGE_CONF"] = path

    theirs = go_status(environ)
    ours = load_options(environ=environ)

    assert theirs["Root"] == ours.graph_root
    assert theirs["Run Root"] == ours.run_root
    assert theirs["Driver Name"] == ours.driver
    assert theirs["Driver Options"] == f"[{' '.join(ours.driver_options)}]"


@pytest.mark.parametrize("given", [("graph",), ("run",), ("graph", "run")])
def test_explicit_roots_shut_out_the_files_driver_and_options(
    graph_run: GraphRun, given: tuple[str, ...]
) -> None:
    top = os.path.dirname(graph_run.graph)
    conf = f'[storage]\ndriver = "vfs"\n{ROOTS}[storage.options.overlay]\nmountopt = "nodev"\n'
    path = write_conf(top, conf)
    environ = {"CONTAINERS_STORAGE_CONF": path, "STORAGE_DRIVER": "vfs", "STORAGE_OPTS": "a=b"}
    graph = f"{top}/graph/other" if "graph" in given else ""
    run = f"{top}/other-run" if "run" in given else ""

    args = (["--graph", graph] if graph else []) + (["--run", run] if run else [])
    theirs = go_status(environ, *args)
    ours = load_options(graph_root=graph, run_root=run, environ=environ)

    assert theirs["Root"] == ours.graph_root
    assert theirs["Run Root"] == ours.run_root
    assert theirs["Driver Options"] == f"[{' '.join(ours.driver_options)}]"
    assert "" == ours.driver
