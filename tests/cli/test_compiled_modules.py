"""holdctl's own way to its compiled modules: they are as Python loads them, and never old ones."""

import json
import os
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import holdfs.core

#: A module that any command loads.
MODULE = "failure"

#: Says what is known of the module once holdctl has run; `-X plain` leaves out its finder.
ASKING = """
import sys
sys.path.append(sys.argv.pop())
if "plain" not in sys._xoptions:
    import holdfs.core.cli
    sys.argv.append("--help")
    holdfs.core.cli.main()
sys.stdout.flush()
import holdfs.core.cli.failure as module
spec, loader = module.__spec__, module.__loader__
import importlib.resources, inspect, json
print()
print(json.dumps({
    "ours": type(loader).__module__ == "holdfs.core.cli",
    "marked": getattr(module, "MARK", None),
    "same": (
        [module.__file__, module.__cached__, module.__name__, module.__package__],
        [spec.name, spec.origin, spec.cached, spec.parent, spec.has_location],
        [spec.submodule_search_locations, spec.loader is loader, loader.is_package(spec.name)],
        inspect.getsource(module),
        module.words.__code__.co_filename,
        loader.get_code(spec.name).co_filename,
        importlib.resources.files("holdfs.core.cli").joinpath("failure.py").read_text(),
    ),
}))
"""


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """Give a directory with our packages, the module marked "old", all compiled."""
    top = tmp_path / "packages"
    installed = Path(holdfs.core.__file__).parent.parent
    for name in ("core", "drivers", "native"):
        shutil.copytree(installed / name, top / "holdfs" / name)
    for path in installed.parent.glob("_cffi_backend*"):
        (top / path.name).symlink_to(path)
    write(top, "old", age_s=100)
    asked(top)
    return top


def source_of(packages: Path) -> Path:
    return packages / "holdfs" / "core" / "cli" / f"{MODULE}.py"


def compiled_of(packages: Path) -> Path:
    source = source_of(packages)
    return source.parent / "__pycache__" / f"{MODULE}.{sys.implementation.cache_tag}.pyc"


def write(packages: Path, mark: str, *, age_s: int) -> None:
    """Mark the module's source, changed so many seconds after the epoch's first million."""
    source = source_of(packages)
    text = source.read_text().partition("\nMARK = ")[0]
    source.write_text(f'{text}\nMARK = "{mark}"\n')
    os.utime(source, (1_000_000 + age_s, 1_000_000 + age_s))


def ask(packages: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a new process that is asked about the module; `words` are options for Python."""
    command = [sys.executable, "-IS", *words, "-c", ASKING, str(packages)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def asked(packages: Path, *words: str) -> dict[str, Any]:
    """Return what a new process says of the module."""
    done = ask(packages, *words)
    assert (0, "") == (done.returncode, done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_module_is_in_all_as_python_itself_loads_it(packages: Path) -> None:
    ours, pythons = asked(packages), asked(packages, "-X", "plain")

    assert (True, False) == (ours["ours"], pythons["ours"])
    assert pythons["same"] == ours["same"]


@pytest.mark.parametrize("mark", ["new", "much newer"])
def test_an_edited_source_runs_at_once(packages: Path, mark: str) -> None:
    write(packages, mark, age_s=101)

    assert mark == asked(packages)["marked"]
    assert (mark, True) == (asked(packages)["marked"], asked(packages)["ours"])


def test_an_edited_source_runs_if_it_seems_older_than_what_was_compiled(packages: Path) -> None:
    write(packages, "new", age_s=99)

    assert "new" == asked(packages)["marked"]


def test_an_edited_source_runs_where_nothing_may_be_compiled(packages: Path) -> None:
    before = compiled_of(packages).read_bytes()
    write(packages, "new", age_s=101)

    assert "new" == asked(packages, "-B")["marked"]
    assert before == compiled_of(packages).read_bytes()


def test_a_source_that_is_gone_is_not_run(packages: Path) -> None:
    source_of(packages).unlink()

    done = ask(packages)

    assert 1 == done.returncode
    assert "ImportError: cannot import name 'failure'" in done.stderr


def _no_directory(compiled: Path) -> None:
    shutil.rmtree(compiled.parent)
    compiled.parent.write_bytes(b"")


def _by_hash(compiled: Path) -> None:
    py_compile.compile(
        str(compiled.parent.parent / f"{MODULE}.py"),
        cfile=str(compiled),
        invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH,
    )


def _of_another_python(compiled: Path) -> None:
    data = compiled.read_bytes()
    compiled.write_bytes(bytes([data[0] ^ 1]) + data[1:])


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda compiled: compiled.write_bytes(b""),
        lambda compiled: compiled.write_bytes(b"nonsense" * 1000),
        lambda compiled: compiled.write_bytes(compiled.read_bytes()[: 16 - 1]),
        _of_another_python,
        _by_hash,
        _no_directory,
    ],
    ids=["missing", "empty", "nonsense", "cut", "of another python", "by hash", "no directory"],
)
def test_what_was_compiled_is_not_needed(packages: Path, damage: Callable[[Path], object]) -> None:
    damage(compiled_of(packages))
    write(packages, "new", age_s=100)

    found = asked(packages)

    assert ("new", False) == (found["marked"], found["ours"])


def test_code_that_is_cut_is_told_of_as_python_does(packages: Path) -> None:
    compiled = compiled_of(packages)
    compiled.write_bytes(compiled.read_bytes()[:-1])

    done = ask(packages)

    assert 1 == done.returncode
    assert "EOFError: marshal data too short" in done.stderr


def test_tracebacks_name_the_file_where_it_is_now(packages: Path) -> None:
    moved = packages.rename(packages.with_name("moved"))

    assert [str(source_of(moved))] * 2 == asked(moved)["same"][4:6]
