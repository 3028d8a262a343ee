"""`unshare`: a command in a user namespace, where a user's own layers can be worked on."""

from __future__ import annotations

import os

from holdfs.core.cli import failure, output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfs.core.cli.options import Given
    from holdfs.core.store import Store


def unshare(store: Store, given: Given, arguments: list[str]) -> int:
    """Run the arguments, or a shell. The namespace is there: this is run in it."""
    import subprocess

    command = arguments or [os.environ.get("SHELL") or "/bin/sh"]
    output.flush()
    try:
        done = subprocess.run(command, check=False)
    except OSError as error:
        output.err(f"{_start_words(command[0], error)}\n")
        return 1
    if done.returncode == 0:
        return 0
    if done.returncode < 0:
        import signal

        output.err(f"signal: {signal.strsignal(-done.returncode) or -done.returncode}\n".lower())
    else:
        output.err(f"exit status {done.returncode}\n")
    # Contract: 1, whatever the command's own was.
    return 1


def _start_words(program: str, error: OSError) -> str:
    if "/" in program:
        return f"fork/exec {failure.words(error).removeprefix('open ')}"
    return f'exec: "{program}": executable file not found in $PATH'
