"""
Help texts, made from the table.

    Usage: holdctl layers [options [...]]          stdout

    List layers

    Options:
                                                   stderr
      --debug, -D    Print debugging information

Source: containers/storage, pkg/mflag and cmd/containers-storage/main.go; spec cli 1.6.
"""

from __future__ import annotations

import os

from holdfs.core.cli import command as commands
from holdfs.core.cli import table
from holdfs.core.cli.options import Given

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfs.core.cli.options import Option

#: The option column is at least this wide, as in Go's tabwriter set-up.
_MIN_COLUMN = 20


def general() -> str:
    """Return the part of the general usage before its options."""
    lines = [f"  {command.names[0]:<30}{command.summary}\n" for command in table.COMMANDS]
    return (
        f"Usage: {commands.PROGRAM} command [options [...]]\n\n"
        f"Commands:\n\n{''.join(lines)}\nOptions:\n"
    )


def command(word: str, entry: commands.Command) -> str:
    """Return the part of a command's usage before its options; `word` is the name as typed."""
    return (
        f"Usage: {commands.PROGRAM} {word} {entry.synopsis}\n\n{entry.summary}\n\n"
        f"Example:\n\n  {commands.PROGRAM} {entry.example}\n\nOptions:\n"
    )


def option_list(options: Sequence[Option], shown: Given | None = None) -> str:
    """Return the options sorted by name, each with its value in `shown`; None for no values."""
    shown = shown or Given()
    lines = []
    for option in sorted(options, key=lambda option: option.key):
        value = _homely(shown.shown(option))
        names = ", ".join(option.names)
        lines.append((f"  {names}={value}" if value else f"  {names}", option.help))
    column = max(_MIN_COLUMN, *(len(left) + 3 for left, _ in lines))
    return "\n" + "".join(f"{left:<{column}} {help}\n" for left, help in lines)


def _homely(value: str) -> str:
    """Write the home directory as ~, as Go's help does."""
    home = os.environ.get("HOME", "")
    if home not in ("", "/") and value.startswith(home):
        return "~" + value[len(home) :]
    return value
