"""The formatter, the linter, the type checker and the C compiler have nothing to say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.sources import TOP, name_of

TIMEOUT_S = 300
C_SOURCES = sorted((TOP / "native" / "src").rglob("*.c"))


def assert_silent(*command: str) -> None:
    done = subprocess.run(
        command,
        cwd=TOP,
        env={**os.environ, "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT_S,
        check=False,
        text=True,
    )
    if done.returncode != 0:
        pytest.fail(f"{' '.join(command)}\n{done.stdout}", pytrace=False)


def test_the_code_is_formatted() -> None:
    assert_silent(sys.executable, "-m", "ruff", "format", "--check")


def test_the_linter_finds_nothing() -> None:
    assert_silent(sys.executable, "-m", "ruff", "check")


@pytest.mark.timeout(TIMEOUT_S)
def test_the_types_are_right() -> None:
    assert_silent(sys.executable, "-m", "mypy")


@pytest.mark.parametrize("path", C_SOURCES, ids=name_of)
def test_c_compiles_without_a_warning(path: Path) -> None:
    flags = "-std=c11 -O2 -Wall -Wextra -Wconversion -Werror -Inative/src -c -o /dev/null"
    assert_silent("gcc", *flags.split(), name_of(path))
