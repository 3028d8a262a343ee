"""What has to hold of the files of the project as such."""

import re
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.house.sources import LAYERS, TOP, files, name_of, python_files

MOST_LINES = 450

#: Written in two parts, so that this file does not name them.
FOREIGN = re.compile(
    "|".join(
        f"{a}{b}"
        for a, b in (
            # Where the project happens to be worked on.
            ("/wo", "rk/(?:main|shared|[.])"),
            ("/tmp/", "dev/"),
            # Registries: what is installed is named, where from is the machine's affair.
            (r"pypi\.", "org"),
            (r"pythonhosted\.", "org"),
            (r"deb\.debian\.", "org"),
            (r"snapshot\.debian\.", "org"),
            (r"npmjs\.", "org"),
        )
    )
)

CHANGE_KINDS = ("added", "changed", "fixed", "removed", "security")


def text_of(path: Path) -> str:
    return path.read_bytes().decode(errors="replace")


def test_no_file_names_a_machine_or_a_registry() -> None:
    found = [
        f"{name_of(path)}: {match[0]}"
        for path in files()
        if path.name != "LICENSE"
        for match in FOREIGN.finditer(text_of(path))
    ]

    assert [] == found


def test_no_module_is_too_long_for_one_topic() -> None:
    modules = [*python_files(), *TOP.glob("native/src/**/*.[ch]")]
    lengths = {name_of(path): text_of(path).count("\n") for path in modules}

    assert {} == {name: lines for name, lines in lengths.items() if lines > MOST_LINES}


def test_no_module_is_a_box_for_odds_and_ends() -> None:
    odds_and_ends = {"utils", "util", "common", "helpers", "misc"}

    assert [] == [name_of(p) for p in python_files() if p.stem in odds_and_ends]


@pytest.mark.parametrize("path", [p for p in files() if p.suffix == ".md"], ids=name_of)
def test_every_link_leads_to_a_file(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text_of(path))
    relative = [target for target in targets if "://" not in target]

    assert [] == [target for target in relative if not (path.parent / target).exists()]


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads(text_of(TOP / "pyproject.toml"))["project"]

    assert project["version"] == version("holdfs")


def test_every_package_is_installed_and_typed() -> None:
    settings = tomllib.loads(text_of(TOP / "pyproject.toml"))["tool"]["setuptools"]
    found = {
        f"holdfs.{name_of(path.parent).replace('/', '.')}"
        for path in python_files()
        if path.name == "__init__.py" and path.relative_to(TOP).parts[0] in LAYERS
    }

    assert found == set(settings["packages"])
    assert {f"holdfs.{layer}" for layer in LAYERS} == set(settings["package-data"])


def test_a_change_note_says_of_which_kind_it_is() -> None:
    notes = [path for path in (TOP / "changes.d").iterdir() if path.name != "README.md"]

    assert [] == [
        name_of(path)
        for path in notes
        if not re.fullmatch(rf"[\w-]+\.({'|'.join(CHANGE_KINDS)})\.md", path.name)
    ]


def test_the_python_is_one_that_the_project_says_it_runs_on() -> None:
    project = tomllib.loads(text_of(TOP / "pyproject.toml"))["project"]

    assert ">=3.11" == project["requires-python"]
    assert sys.version_info >= (3, 11)
