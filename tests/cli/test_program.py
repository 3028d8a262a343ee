"""A run of holdctl from start to end: settings, streams, failures, what is loaded."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfs.core.cli import program
from holdfs.core.lockfile import LockFile
from tests.cli.holdctl import Holdctl
from tests.conftest import GraphRun
from tests.needs import needs
from tests.peers import GoStore, Peer

HEAVY = (
    "argparse",
    "re",
    "typing",
    "dataclasses",
    "msgspec",
    "filelock",
    "json",
    "holdfs.core.config",
)


@pytest.fixture
def ours(graph_run: GraphRun) -> Holdctl:
    return Holdctl(*graph_run, "vfs")


# -- what is loaded --------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["nope"], ["--help"], ["mount"], ["layers", "--nope"]])
def test_what_needs_no_store_loads_nothing_heavy(words: list[str]) -> None:
    explicit = words if words == ["--help"] else ["--graph", "/nowhere", *words]
    code = (
        f"import sys; sys.argv[1:] = {explicit!r}; before = set(sys.modules)\n"
        "from holdfs.core.cli import main; main()\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules and m not in before], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )

    assert "[]" == done.stderr.strip().split("\n")[-1]


def test_every_command_of_the_table_can_be_loaded() -> None:
    from holdfs.core.cli import command as commands
    from holdfs.core.cli import table

    for command in table.COMMANDS:
        module, _, function = command.code.partition(":")
        loaded = __import__(f"holdfs.core.cli.{module}", fromlist=[function])
        assert callable(getattr(loaded, function))
        words = [
            name for option in (*commands.GLOBAL_OPTIONS, *command.options) for name in option.names
        ]
        assert len(words) == len(set(words)), f"{command.names[0]} has an option twice"


# -- which store -----------------------------------------------------------------------------------


def configured(roots: GraphRun, **more: str) -> dict[str, str]:
    """Write a storage.conf for these roots, and return the variable that names it."""
    path = Path(roots.graph).parent / "storage.conf"
    lines = [f'{key} = "{value}"' for key, value in more.items()]
    text = f'[storage]\ngraphroot = "{roots.graph}"\nrunroot = "{roots.run}"\n' + "\n".join(lines)
    path.write_text(text + "\n")
    return {"CONTAINERS_STORAGE_CONF": str(path)}


def status(tool: Peer, words: list[str], env: dict[str, str]) -> tuple[str, ...]:
    """Return the store that a command line means, as `status` tells: roots, driver, options."""
    done = subprocess.run(
        [tool.program, *words],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env={**os.environ, **env},
    )
    pairs = [line.partition(": ") for line in done.stderr.splitlines()]
    return tuple(value for _, _, value in pairs[:4])


WORDS: list[list[str]] = [
    ["status"],
    ["--debug=false", "status"],
    ["-g", "{other}", "-R", "{other}/run", "-s", "vfs", "status"],
    ["-g", "{other}", "-R", "{other}/run", "-s", "overlay", "status", "-s", "vfs"],
    ["-g", "{other}", "-s", "vfs", "status", "-R", "{other}/run"],
    ["status", "-s", "vfs"],
    ["status", "--graph", "{other}"],
    ["status", "-g={other}", "-R", "{other}/run"],
    ["status", "--storage-opt", "vfs.ignore_chown_errors=true"],
    [
        *["--storage-opt", "vfs.ignore_chown_errors=true", "-s", "vfs", "-g", "{other}"],
        *["-R", "{other}/run", "status", "--storage-opt=.ignore_chown_errors=false"],
    ],
]


@needs("root", "containers-storage")
@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_the_store_meant_is_the_one_the_real_tool_means(
    stores: Callable[[], GraphRun], words: list[str]
) -> None:
    roots, other = stores(), stores()
    env = configured(roots, driver="vfs")
    given = [word.replace("{other}", other.graph) for word in words]

    expected = status(GoStore(*roots), given, env)
    found = status(Holdctl(*roots), given, env)

    assert expected == found
    assert roots.graph in expected or other.graph in expected


@pytest.mark.parametrize(
    "words",
    [
        ["--graph", "relative", "status"],
        ["--graph", "{graph}", "status", "--run", "relative"],
        ["--graph", "{graph}", "--run", "{run}", "-s", "vfs", "export", "-d", "x", "relative"],
    ],
    ids=" ".join,
)
def test_a_relative_path_in_a_directory_that_is_gone_is_named(
    ours: Holdctl, graph_run: GraphRun, tmp_path: Path, words: list[str]
) -> None:
    given = [word.format(graph=graph_run.graph, run=graph_run.run) for word in words]
    script = 'cd "$1" && rmdir "$1" && shift && exec "$@"'
    (tmp_path / "gone").mkdir()

    done = subprocess.run(
        ["sh", "-c", script, "sh", f"{tmp_path}/gone", ours.program, *given],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert 1 == done.returncode
    assert ": the working directory was deleted; " in done.stdout + done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["-s", "vfs", "status"],
        ["--storage-opt", "vfs.ignore_chown_errors=true", "-s", "vfs", "status"],
        ["-s", "overlay", "status", "-s", "vfs"],
    ],
    ids=" ".join,
)
def test_a_root_that_is_not_given_is_the_configured_one(
    graph_run: GraphRun, words: list[str]
) -> None:
    # 1.43 has no root then, and fails.
    env = configured(graph_run, driver="overlay")

    found = status(Holdctl(*graph_run), words, env)

    options = "vfs.ignore_chown_errors=true" if "--storage-opt" in words else ""
    assert (graph_run.graph, graph_run.run, "vfs", f"[{options}]") == found


@needs("root", "containers-storage")
def test_relative_roots_are_made_absolute(graph_run: GraphRun, tmp_path: Path) -> None:
    command = [Holdctl.program, "-g", "graph", "--run=./run", "-s", "vfs", "status", "-j"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, timeout=30)

    pairs = dict(json.loads(done.stdout))
    assert (f"{tmp_path}/graph", f"{tmp_path}/run") == (pairs["Root"], pairs["Run Root"])
    assert 0o700 == (tmp_path / "graph").stat().st_mode & 0o777


# -- a store that can't be opened ------------------------------------------------------------------


@needs("root", "containers-storage")
@pytest.mark.parametrize(
    ("words", "env"),
    [
        (["-g", "{graph}", "-R", "{run}", "-s", "nope", "layers"], {}),
        (["-g", "{graph}", "-R", "{run}", "-s", "vfs", "--storage-opt", "x", "layers"], {}),
        (["-g", "{graph}", "-R", "{run}", "-s", "overlay", "--storage-opt", "x", "layers"], {}),
        (
            [
                "-g",
                "{graph}",
                "-R",
                "{run}",
                "-s",
                "vfs",
                "--storage-opt",
                "vfs.mountopt=ro",
                "layers",
            ],
            {},
        ),
        (["-g", "{graph}/file", "-R", "{run}", "-s", "vfs", "layers"], {}),
        (["layers"], {"CONTAINERS_STORAGE_CONF": "{graph}/missing.conf"}),
        (["-g", "{graph}", "layers"], {"CONTAINERS_STORAGE_CONF": "{graph}/missing.conf"}),
    ],
    ids=lambda value: " ".join(value),
)
def test_a_store_that_cannot_be_opened_is_told_in_the_real_tools_words(
    graph_run: GraphRun, words: list[str], env: dict[str, str]
) -> None:
    graph, run = graph_run
    Path(graph, "file").write_text("")

    def outcome(program: str) -> list[object]:
        given = [word.format(graph=graph, run=run) for word in words]
        variables = {key: value.format(graph=graph) for key, value in env.items()}
        done = subprocess.run(
            [program, *given],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env={**os.environ, **variables},
        )
        return [done.returncode, done.stdout, done.stderr]

    expected = outcome(GoStore.program)
    found = outcome(Holdctl.program)

    # The newest opens the configuration that 1.43 looks for first. And we don't tell mkdir.
    said = re.sub(": (stat|mkdir) /", ": open /", str(expected[1]))
    assert [expected[0], said] == found[:2]
    assert "" == found[2]
    assert str(found[1]).startswith("error initializing: ")


def test_a_broken_configuration_is_an_error_even_where_it_is_not_used(ours: Holdctl) -> None:
    conf = Path(ours.graph).parent / "storage.conf"
    conf.write_text("[storage\n")

    done = ours.run("layers", check=False, env={"CONTAINERS_STORAGE_CONF": str(conf)})

    assert 1 == done.returncode
    assert done.stdout.startswith("error initializing: ")
    assert str(conf) in done.stdout
    assert 1 == done.stdout.count("\n")


# -- streams ---------------------------------------------------------------------------------------


def test_bytes_that_are_no_text_go_out_as_they_came_in(ours: Holdctl) -> None:
    done = subprocess.run(
        [*map(os.fsencode, ours.command("unmount")), b"a\xff\xe9"],
        capture_output=True,
        timeout=30,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    assert b"layer not known while unmounting a\xff\xe9\n" == done.stderr

    done = subprocess.run(
        [*map(os.fsencode, ours.command("mount", "-j")), b"<a\xff>\n"],
        capture_output=True,
        timeout=30,
        check=False,
    )
    expected = rb'[{"id":"\u003ca\ufffd\u003e\n","mountpoint":"","error":"layer not known"}]'
    assert expected + b"\n" == done.stdout


def test_lines_of_both_streams_come_in_order(ours: Holdctl) -> None:
    done = subprocess.run(
        ours.command("mount", "nope"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30
    )
    assert b"layer not known while mounting nope\n\n" == done.stdout


def test_a_reader_that_went_away_ends_it_silently(ours: Holdctl) -> None:
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    with os.fdopen(write_fd, "wb") as stdout:
        done = subprocess.run(
            ours.command("status", "-j"), stdout=stdout, stderr=subprocess.PIPE, timeout=30
        )
    assert (-signal.SIGPIPE, b"") == (done.returncode, done.stderr)


def test_a_full_disk_is_an_error(ours: Holdctl) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            ours.command("status", "-j"), stdout=full, stderr=subprocess.PIPE, timeout=30
        )
    assert 1 == done.returncode
    assert b"write /dev/stdout: no space left on device\n" == done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_no_harm(ours: Holdctl, closed: str) -> None:
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", *ours.command("mount", "nope")]

    done = subprocess.run(command, capture_output=True, timeout=30, check=False)

    assert 1 == done.returncode
    assert b"Traceback" not in done.stderr
    for lock in Path(ours.graph).rglob("*.lock"):
        assert b"known" not in lock.read_bytes()


# -- failures --------------------------------------------------------------------------------------


def test_an_interrupt_while_waiting_for_a_lock_ends_with_130(ours: Holdctl) -> None:
    ours.run("layers")
    with LockFile(f"{ours.graph}/vfs-layers/layers.lock").writing():
        waiting = subprocess.Popen(
            ours.command("--debug", "unmount", "nope"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert waiting.stderr is not None
        # What it says last before it goes for the lock.
        assert b"Driver Options" in [waiting.stderr.readline() for _ in range(4)][-1]
        waiting.send_signal(signal.SIGINT)
        said = waiting.communicate(timeout=20)
    assert (130, (b"", b"")) == (waiting.returncode, said)


def test_a_bug_of_ours_is_one_line_without_debug_and_a_traceback_with_it(
    ours: Holdctl, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> int:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("holdfs.core.cli.about.version", broken)
    command = ours.command("version")[1:]

    assert 1 == program.run(command)
    said = capfd.readouterr().err
    assert 1 == said.count("\n")
    assert "ZeroDivisionError: by nothing" in said

    assert 1 == program.run(["--debug", *command])
    assert "Traceback" in capfd.readouterr().err


@needs("root")
def test_no_permission_is_told_in_one_line(ours: Holdctl) -> None:
    ours.run("layers")
    os.chmod(Path(ours.graph).parent, 0o755)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]

    done = subprocess.run(
        [*nobody, *ours.command("layers")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **configured(GraphRun(ours.graph, ours.run_root))},
    )

    assert 1 == done.returncode
    said = done.stdout + done.stderr
    assert "permission denied" in said
    assert ours.graph in said
    assert 1 == said.count("\n")
