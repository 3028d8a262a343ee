"""Manual pages and completions: made by the build, for every command of the table."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from holdfs.core.cli import pages
from holdfs.core.cli.command import Command
from holdfs.core.cli.table import COMMANDS
from tests.needs import needs

TOP = Path(__file__).resolve().parents[2]


def complete(script: str, *words: str) -> set[str]:
    """Return what bash offers for the last word."""
    code = (
        f'{script}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _holdctl\n'
        "printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(
        ["bash", "-c", code, "bash", "holdctl", *words],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return set(done.stdout.split())


def test_the_build_installs_them(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "install_data", "--install-dir", tmp_path],
        cwd=TOP,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
    for name, text in pages.pages():
        assert text == (tmp_path / name).read_text()
    assert (tmp_path / "share/man/man1/holdctl-layers.1").exists()
    assert (tmp_path / "share/man/man1/holdfs.1").exists()


def test_bash_completes_commands_options_and_files(tmp_path: Path) -> None:
    script = pages.bash()

    assert {"layer", "layer-parent-owners", "layers"} == complete(script, "lay")
    assert {"--tree", "--transient-store"} == complete(script, "-g", "/x", "layers", "--t")
    assert {"--graph", "--gidmap"} == complete(script, "--debug", "createlayer", "--g")
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()
    assert {f"{tmp_path}/directory"} == complete(script, "--graph", f"{tmp_path}/")
    assert {f"{tmp_path}/file"} == complete(script, "import-layer", "-f", f"{tmp_path}/f")
    assert {command.names[0] for command in COMMANDS} < complete(script, "")


@needs("bash-completion")
def test_bash_finds_what_is_installed(tmp_path: Path) -> None:
    """Where README says: in the share/ of a prefix that is among XDG_DATA_DIRS."""
    path = tmp_path / "share/bash-completion/completions/holdctl"
    path.parent.mkdir(parents=True)
    path.write_text(pages.bash())
    script = (
        ". /usr/share/bash-completion/bash_completion\n"
        "_completion_loader holdctl; complete -p holdctl\n"
        "COMP_WORDS=(holdctl layers --tr) COMP_CWORD=2; _holdctl\n"
        'echo "${COMPREPLY[@]}"\n'
    )

    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={**os.environ, "XDG_DATA_DIRS": f"{tmp_path}/share", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    assert "complete -o filenames -F _holdctl holdctl\n--tree --transient-store\n" == done.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.names[0])
def test_a_manual_page_tells_all_there_is_to_a_command(command: Command) -> None:
    page = pages.command_manual(command)

    # Lines that begin with a dot are requests, and these are all that there are.
    requests = {match[1] for match in re.finditer(r"^\.(\w+)", page, re.MULTILINE)}
    assert requests <= {"TH", "SH", "B", "BR", "TP", "PP", "nf", "fi"}
    assert not re.search(r"^'", page, re.MULTILINE)
    plain = page.replace("\\-", "-")
    for option in command.options:
        assert all(name in plain for name in option.names)
    assert command.example in plain


def test_zsh_and_fish_know_every_command_and_option() -> None:
    for text in (pages.zsh(), pages.fish()):
        for command in COMMANDS:
            assert command.names[0] in text
            for option in command.options:
                assert option.names[0].lstrip("-") in text
