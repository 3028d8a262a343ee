"""
The course of one run: options, command, options again, arguments, configuration, store, act.

What needs no store is done before one is opened, so a wrong command line changes nothing on disk.
Whatever fails is told in one line; a traceback is for `--debug`.

Source: containers/storage, cmd/containers-storage/main.go; spec cli 1.5-1.7.
"""

from __future__ import annotations

import os
import sys

from holdfs.core.cli import command as commands
from holdfs.core.cli import failure, output, table
from holdfs.core.cli.options import Given, HelpRequested, UsageError, parse
from holdfs.core.cli.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final, TypeAlias

    from holdfs.core.cli.options import Option
    from holdfs.core.store import Store

    #: What a command is: it prints, and returns the exit status.
    Action: TypeAlias = Callable[[Store, Given, list[str]], int]

FAILED: Final = 1
BAD_OPTION: Final = 125

#: Modules of commands that make do with a store opened quickly (core/quick.py).
_QUICK: Final = frozenset({"creating", "data", "examining", "listing", "names"})


def main() -> int:
    """Run the command line in `sys.argv` and return the exit status; raises KeyboardInterrupt."""
    if None in (sys.stdin, sys.stdout, sys.stderr):
        from holdfs.core import standardfds

        standardfds.occupy()
    try:
        status = run(sys.argv[1:])
        output.flush()
    except BrokenPipeError:
        return _die_of_pipe()
    except output.OutputFailed as error:
        output.discard_stdout()
        output.err(f"{error.words}\n")
        return FAILED
    except Exception as error:
        output.err(f"{failure.words(error)}\n")
        return FAILED
    return status


def run(words: Sequence[str]) -> int:
    """Run one command line, given without the program's name, and return the exit status."""
    given = Given()
    if not words:
        _say_usage(None, commands.GLOBAL_OPTIONS)
        return FAILED
    options = (*commands.GLOBAL_OPTIONS, commands.HELP)
    try:
        rest = parse(words, options, given)
    except (UsageError, HelpRequested) as error:
        return _refuse_global(error, options)
    if given.flag("help"):
        from holdfs.core.cli import usage

        output.out(usage.general() + usage.option_list(options))
        return 0
    settings = Settings(given)
    if not rest:
        _say_usage(None, options)
        return FAILED
    word, *rest = rest
    command = table.find(word)
    if command is None:
        output.out(f"{word}: unrecognized command.\n")
        return FAILED
    return _run_command(command, word, rest, settings)


def _run_command(command: commands.Command, word: str, words: list[str], settings: Settings) -> int:
    given = settings.given
    options = (*commands.GLOBAL_OPTIONS, *command.options)
    # Contract: the help shows what was set before the command's name.
    before = given.copy()
    # Contract: --unshare counts here only, and a user without privileges need not ask.
    given.set_flag("unshare", os.geteuid() != 0)

    def say_usage() -> None:
        _say_usage((word, command), options, settings.shown(before))

    try:
        arguments = parse(words, options, given)
    except HelpRequested:
        say_usage()
        return BAD_OPTION
    except UsageError as error:
        if error.wants_usage:
            say_usage()
        _say_errors(error, f"{commands.PROGRAM} {word}")
        return BAD_OPTION
    problem = _count_problem(command, word, arguments)
    if problem:
        output.out(problem)
        say_usage()
        return FAILED
    if command.in_namespace or given.flag("unshare"):
        from holdfs.core import userns

        try:
            # None: this is the child, and inside.
            ended = None if userns.is_inside() else userns.enter()
        except userns.NamespaceFailed as error:
            output.err(f"{failure.words(error)}; --unshare=false goes without\n")
            return FAILED
        if ended is not None:
            return ended
    return _act(command, arguments, settings)


def _count_problem(command: commands.Command, word: str, arguments: list[str]) -> str:
    if len(arguments) < command.min_args:
        return f"{word}: more arguments required.\n"
    if command.max_args is not None and len(arguments) > command.max_args:
        return f"{word}: too many arguments ([{' '.join(arguments)}]).\n"
    return ""


def _act(command: commands.Command, arguments: list[str], settings: Settings) -> int:
    given = settings.given
    module, _, function = command.code.partition(":")
    try:
        store = _open_store(settings, is_quick=module in _QUICK)
    except Exception as error:
        output.out(f"error initializing: {failure.words(error)}\n")
        _explain(error, given)
        return FAILED
    action: Action = getattr(__import__(f"{__package__}.{module}", fromlist=(function,)), function)
    try:
        return action(store, given, arguments)
    except (BrokenPipeError, output.OutputFailed):
        raise
    except Exception as error:
        output.err(f"{command.error_prefix}{failure.words(error)}\n")
        _explain(error, given)
        return FAILED


def _open_store(settings: Settings, *, is_quick: bool) -> Store:
    options = settings.resolved()
    is_debug = settings.given.flag("debug")

    def open_whole() -> Store:
        from holdfs.core.cli import log
        from holdfs.core.store import Store

        log.set_up(debug=is_debug)
        log.settings(options)
        return Store.open(options)

    if not is_quick or is_debug or options.warnings:
        return open_whole()
    from holdfs.core.quick import open_quickly
    from holdfs.native.light import set_up_logging

    def set_up_log() -> None:
        from holdfs.core.cli import log

        log.set_up(debug=False)

    set_up_logging(set_up_log)

    quick: Any = open_quickly(options, open_whole)
    return open_whole() if quick is None else quick


def _refuse_global(error: UsageError | HelpRequested, options: Sequence[Option]) -> int:
    said = "flag: help requested"
    if isinstance(error, UsageError):
        said = error.messages[-1]
    if not isinstance(error, UsageError) or error.wants_usage:
        _say_usage(None, options)
    if isinstance(error, UsageError):
        _say_errors(error, commands.PROGRAM)
    output.out(f"{said} while parsing arguments (1)\n")
    _say_usage(None, options)
    return FAILED


def _say_errors(error: UsageError, program: str) -> None:
    for message in error.messages:
        output.err(f"{message}\nSee '{program} --help'.\n")


def _say_usage(
    of: tuple[str, commands.Command] | None,
    options: Sequence[Option],
    shown: Given | None = None,
) -> None:
    """Say how a command is called, None for the program, and what options it takes."""
    # Here, since whoever calls it right needs none of it.
    from holdfs.core.cli import usage

    output.out(usage.command(*of) if of else usage.general())
    output.err(usage.option_list(options, shown))


def _explain(error: Exception, given: Given) -> None:
    if given.flag("debug") and not failure.is_expected(error):
        import traceback

        traceback.print_exception(error)


def _die_of_pipe() -> int:
    """End as every program does whose reader went away, silently and by SIGPIPE."""
    import signal

    output.discard_stdout()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)
    return 128 + signal.SIGPIPE
