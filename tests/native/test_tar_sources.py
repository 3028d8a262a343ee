"""The engine's C sources, by the compiler's strictest words."""

import subprocess

import pytest

from tests.house.sources import TOP, name_of

SOURCES = sorted((TOP / "native/src/tar").glob("*.c"))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_c_compiles_without_a_warning(path: object) -> None:
    flags = "-std=c11 -O2 -Wall -Wextra -Wconversion -Werror -Inative/src -c -o /dev/null"

    done = subprocess.run(
        ["gcc", *flags.split(), str(path)],
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ("", 0) == (done.stderr, done.returncode)
