"""Which files are the project's, for the tests that read them."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TOP: Final = Path(__file__).resolve().parents[2]

#: The packages in the direction of their imports: each may import those before it.
LAYERS: Final = ("native", "drivers", "core", "fusefs")

_CODE = (*LAYERS, "tests", "examples", ".make", ".ci", "changes.d")
_TOP_FILES = ("pyproject.toml", "setup.py", "Makefile", ".gitignore", "LICENSE")


def files() -> Iterator[Path]:
    """Yield every file of the project itself: no build product, no cache, no link."""
    yield from (TOP / name for name in _TOP_FILES)
    yield from TOP.glob("*.md")
    for name in _CODE:
        for directory, subdirectories, file_names in os.walk(TOP / name):
            subdirectories[:] = [d for d in subdirectories if d != "__pycache__"]
            for file_name in file_names:
                path = Path(directory, file_name)
                if path.suffix not in (".so", ".o", ".pyc") and file_name != "_native.c":
                    yield path


def python_files() -> Iterator[Path]:
    yield from (path for path in files() if path.suffix == ".py")


def name_of(path: Path) -> str:
    """Return a path of the project as a person writes it: `core/store.py`."""
    return str(path.relative_to(TOP))


def imported(path: Path) -> set[str]:
    """
    Return every module that a file imports, anywhere in it, by full name.

    `from a.b import c` gives both a.b and a.b.c: the tree does not tell whether c is a module.
    """
    found: set[str] = set()
    package = ["holdfs", *path.relative_to(TOP).parent.parts]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found.add(module)
            found.update(f"{module}.{alias.name}" for alias in node.names)
    return found
