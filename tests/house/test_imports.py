"""Imports point one way: native <- drivers <- core <- fusefs. Read from the syntax trees."""

import ast
from pathlib import Path

import pytest

from tests.house.sources import LAYERS, TOP, imported, name_of, python_files

MODULES = [p for p in python_files() if p.relative_to(TOP).parts[0] in LAYERS]

#: Who may speak to libfuse. errnos.py is where its one exception is made.
PYFUSE3_MODULES = {f"fusefs/{name}.py" for name in ("operations", "attrs", "invalidate", "mount")}

#: Modules by which code reaches outside its own memory.
IO_MODULES = {
    "fcntl", "glob", "io", "mmap", "pathlib", "select", "shutil", "socket", "subprocess",
    "tempfile",
}  # fmt: skip
#: What stands in for modules that take long to import.
LIGHT = ("holdfs.native.light", "holdfs.native.values")
#: What of `os` opens, reads and writes nothing.
PURE_OS = {"fsdecode", "fsencode", "getpid", "urandom"}


def layer_of(path: Path) -> str:
    return path.relative_to(TOP).parts[0]


def packages_of(path: Path) -> set[str]:
    """Return the top-level packages that a module imports."""
    return {name.split(".")[0] for name in imported(path)}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_nothing_to_its_right(path: Path) -> None:
    to_the_right = LAYERS[LAYERS.index(layer_of(path)) + 1 :]

    wrong = {
        name for name in imported(path) for right in to_the_right
        if f"{name}.".startswith(f"holdfs.{right}.")
    }  # fmt: skip

    assert set() == wrong


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_the_folders_are_imported_by_their_installed_names(path: Path) -> None:
    assert set() == packages_of(path) & {*LAYERS, "tests", "examples"}


@pytest.mark.parametrize(
    "path", [p for p in MODULES if name_of(p).startswith("core/formats/")], ids=name_of
)
def test_formats_are_pure(path: Path) -> None:
    ours = {name for name in imported(path) if name.startswith("holdfs.")}
    allowed = ("holdfs.core.errors", "holdfs.core.formats", "holdfs.core.ids", *LIGHT)
    names = [n for n in ast.walk(ast.parse(path.read_bytes())) if isinstance(n, ast.Name)]
    of_os = {
        node.attr
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    }

    assert set() == {name for name in ours if not name.startswith(allowed)}
    assert set() == packages_of(path) & IO_MODULES
    assert set() == of_os - PURE_OS
    assert "open" not in {node.id for node in names}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_trio_lives_in_fusefs_alone(path: Path) -> None:
    assert layer_of(path) == "fusefs" or "trio" not in packages_of(path)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_few_modules_speak_to_libfuse(path: Path) -> None:
    assert name_of(path) in PYFUSE3_MODULES or "pyfuse3" not in packages_of(path)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_the_generated_module_is_imported_by_its_faces_alone(path: Path) -> None:
    assert layer_of(path) == "native" or "holdfs.native._native" not in imported(path)
