"""The script `holdctl`: where it finds its packages, what it does not listen to, how it ends."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cffi
import filelock
import msgspec
import pytest

import holdfs.core
from tests.cli.holdctl import Holdctl
from tests.conftest import GraphRun

SCRIPT = Path(Holdctl.program)


def run(script: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(script), *words],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **env},
    )


def lay_out(top: Path, directory: str) -> Path:
    """Lay out the script with all it needs below `top`, as pip does, and return it."""
    packages = top / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / directory
    packages.mkdir(parents=True)
    (packages / "holdfs").mkdir()
    for name in ("core", "drivers", "native"):
        source = Path(holdfs.core.__file__).parent.parent / name
        (packages / "holdfs" / name).symlink_to(source)
    for module in (cffi, filelock, msgspec):
        path = Path(str(module.__file__)).parent
        (packages / path.name).symlink_to(path)
    for path in Path(str(cffi.__file__)).parent.parent.glob("_cffi_backend*"):
        (packages / path.name).symlink_to(path)
    (top / "bin").mkdir()
    return Path(shutil.copy(SCRIPT, top / "bin"))


def loaded(script: Path) -> set[str]:
    """Return the modules that Python says it has loaded for the script."""
    words = [sys.executable, "-IS", "-X", "importtime", str(script), "--help"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True)
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}


@pytest.mark.parametrize("directory", ["site-packages", "dist-packages"])
def test_packages_beside_it_are_found_without_site(tmp_path: Path, directory: str) -> None:
    script = lay_out(tmp_path, directory)

    modules = loaded(script)

    assert "holdfs.core.cli.program" in modules
    assert "site" not in modules
    assert 0 == run(script, "--help").returncode


@pytest.mark.parametrize("missing", ["holdfs", "cffi", "filelock", "msgspec", "all of lib"])
def test_packages_that_are_elsewhere_are_found_by_site(tmp_path: Path, missing: str) -> None:
    script = lay_out(tmp_path, "site-packages")
    [packages] = tmp_path.glob("lib/*/site-packages")
    (tmp_path / "away").mkdir()
    (tmp_path / "lib" if missing == "all of lib" else packages / missing).rename(
        tmp_path / "away" / "it"
    )

    modules = loaded(script)

    assert {"site", "holdfs.core.cli.program"} <= modules
    assert 0 == run(script, "--help").returncode


def test_it_runs_by_a_link_from_anywhere(graph_run: GraphRun, tmp_path: Path) -> None:
    link = tmp_path / "ctl"
    link.symlink_to(SCRIPT)
    ours = Holdctl(*graph_run, "vfs")

    done = run(link, *ours.command("create-layer", "-n", "base")[1:])

    assert (0, "") == (done.returncode, done.stderr)
    assert ["base"] == ours.json("layers")[0]["names"]


def test_the_environment_and_the_directory_say_nothing_to_python(
    graph_run: GraphRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("holdfs", "cffi", "gc", "json", "os", "site", "sitecustomize", "filelock"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not this one')\n")
    monkeypatch.chdir(tmp_path)
    words = Holdctl(*graph_run, "vfs").command("status", "-j")[1:]

    done = run(
        SCRIPT,
        *words,
        PYTHONPATH=str(tmp_path),
        PYTHONHOME="/nowhere",
        PYTHONSTARTUP=str(tmp_path / "os.py"),
        PYTHONWARNINGS="error",
        PYTHONINSPECT="1",
    )

    assert (0, "") == (done.returncode, done.stderr)
    assert "vfs" in done.stdout


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--help"], 0),
        (["layers"], 0),
        (["exists", "-l", "nothing"], 1),
        (["no-such-command"], 1),
        (["layers", "--no-such-option"], 125),
    ],
)
def test_its_status_is_that_of_the_command(
    graph_run: GraphRun, words: list[str], status: int
) -> None:
    done = run(SCRIPT, *Holdctl(*graph_run, "vfs").command(*words)[1:])

    assert status == done.returncode
    assert "Traceback" not in done.stderr


def test_what_is_printed_last_is_there_at_its_end(graph_run: GraphRun) -> None:
    """It ends without Python's own, which would write what is still in its buffers."""
    ours = Holdctl(*graph_run, "vfs")
    ours.run("create-layer", "-n", "base")
    base = ours.json("layers")[0]["id"]
    ours.run("set-metadata", "-m", "x" * 100_000, base)

    assert f"{base}: {'x' * 100_000}\n" == run(SCRIPT, *ours.command("metadata", base)[1:]).stdout
