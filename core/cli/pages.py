"""
Manual pages and shell completions, made from the table of commands when the package is built.

    share/man/man1/holdctl.1  holdctl-layers.1 …
    share/bash-completion/completions/holdctl
    share/zsh/site-functions/_holdctl
    share/fish/vendor_completions.d/holdctl.fish
"""

from __future__ import annotations

from holdfs.core.cli.command import GLOBAL_OPTIONS, HELP, PROGRAM, Command
from holdfs.core.cli.table import COMMANDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from holdfs.core.cli.options import Option

#: Options whose value is a directory or a file.
_DIRECTORIES = frozenset(("graph", "run", "image-store", "directory"))
_FILES = frozenset(("file", "metadata-file"))


def pages() -> Iterator[tuple[str, str]]:
    """Yield each file's path below the prefix of the installation, and its text."""
    yield f"share/man/man1/{PROGRAM}.1", manual()
    for command in COMMANDS:
        yield f"share/man/man1/{PROGRAM}-{command.names[0]}.1", command_manual(command)
    yield f"share/bash-completion/completions/{PROGRAM}", bash()
    yield f"share/zsh/site-functions/_{PROGRAM}", zsh()
    yield f"share/fish/vendor_completions.d/{PROGRAM}.fish", fish()


# -- manual pages ------------------------------------------------------------------------------


def manual() -> str:
    """Return the page of the program: its options, and all commands in a line each."""
    commands = (
        f".TP\n.B {_roff(command.names[0])}\n{_roff(command.summary)}.\n" for command in COMMANDS
    )
    return (
        f".TH {PROGRAM.upper()} 1\n.SH NAME\n{PROGRAM} \\- work on a container store\n"
        f".SH SYNOPSIS\n.B {PROGRAM}\n[options] command [options] [arguments]\n"
        ".SH DESCRIPTION\n"
        "Shows and changes layers, images and containers of a store that podman, buildah and\n"
        "skopeo share, in the form of\n.BR containers\\-storage (1).\n"
        f"Each command has a page of its own, as\n.BR {PROGRAM}\\-layers (1).\n"
        f".SH OPTIONS\n{_option_list((*GLOBAL_OPTIONS, HELP))}"
        f".SH COMMANDS\n{''.join(commands)}"
        ".SH EXIT STATUS\n0: done. 1: failed. 125: wrong option after the command's name.\n"
        ".SH SEE ALSO\n.BR holdfs (1),\n.BR containers\\-storage (1),\n"
        ".BR containers\\-storage.conf (5)\n"
    )


def command_manual(command: Command) -> str:
    """Return the page of one command."""
    name = command.names[0]
    aliases = ", ".join(command.names[1:])
    also = f".PP\nOther names: {_roff(aliases)}.\n" if aliases else ""
    return (
        f".TH {PROGRAM.upper()}\\-{_roff(name.upper())} 1\n"
        f".SH NAME\n{PROGRAM}\\-{_roff(name)} \\- {_roff(command.summary)}\n"
        f".SH SYNOPSIS\n.B {PROGRAM} {_roff(name)}\n{_roff(command.synopsis)}\n{also}"
        f".SH OPTIONS\n{_option_list(command.options)}"
        f".PP\nThe options of\n.BR {PROGRAM} (1)\nare taken too.\n"
        f".SH EXAMPLE\n.nf\n{PROGRAM} {_roff(command.example)}\n.fi\n"
        f".SH SEE ALSO\n.BR {PROGRAM} (1)\n"
    )


def _option_list(options: Iterable[Option]) -> str:
    lines = []
    for option in sorted(options, key=lambda option: option.key):
        value = "" if option.kind == "flag" else " \\fIVALUE\\fR"
        more = " Can be given several times." if option.kind == "list" else ""
        names = ", ".join(f"\\fB{_roff(name)}\\fR" for name in option.names)
        lines.append(f".TP\n{names}{value}\n{_roff(option.help)}.{more}\n")
    return "".join(lines)


def _roff(text: str) -> str:
    """Return `text` to be set as it is."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped[:1] in ("'", ".") else escaped


# -- completions -------------------------------------------------------------------------------


def bash() -> str:
    """Return the completion for bash: commands, then options; values that are files."""
    valued = _names(o for o in GLOBAL_OPTIONS if o.kind != "flag")
    cases = "".join(
        f"        {'|'.join(command.names)}) options='{' '.join(_names(command.options))}' ;;\n"
        for command in COMMANDS
    )
    everywhere = " ".join(_names(GLOBAL_OPTIONS))
    commands = " ".join(command.names[0] for command in COMMANDS)
    options = _all_options()
    return f"""\
# bash completion for {PROGRAM}, made from its table of commands.

_{PROGRAM}() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}}
    local command='' options='' i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${{COMP_WORDS[i]}} in
        {"|".join(valued)}) ((i++)) ;;
        -*) ;;
        *) command=${{COMP_WORDS[i]}} && break ;;
        esac
    done
    case $before in
    {"|".join(_names(o for o in options if o.key in _DIRECTORIES))})
        mapfile -t COMPREPLY < <(compgen -d -- "$word")
        return ;;
    {"|".join(_names(o for o in options if o.key in _FILES))})
        # -f is also --force, which takes no value: then this does no harm.
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return ;;
    esac
    case $command in
        '')
            mapfile -t COMPREPLY < <(compgen -W '{commands} {everywhere} --help' -- "$word")
            return ;;
{cases}    esac
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options {everywhere} --help" -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}}
complete -o filenames -F _{PROGRAM} {PROGRAM}
"""


def zsh() -> str:
    """Return the completion for zsh."""
    commands = "".join(
        f"        {_zsh_quoted(f'{command.names[0]}:{command.summary}')}\n" for command in COMMANDS
    )
    cases = "".join(
        f"    {'|'.join(command.names)})\n"
        f"        _arguments -s $global \\\n{_zsh_options(command.options)}"
        "            '*:argument:_files'\n"
        "        ;;\n"
        for command in COMMANDS
    )
    everywhere = _zsh_options(GLOBAL_OPTIONS).replace(" \\\n", "\n")
    return f"""\
#compdef {PROGRAM}
# Made from {PROGRAM}'s table of commands.

_{PROGRAM}() {{
    local curcontext=$curcontext state line
    local -a commands global
    commands=(
{commands}    )
    global=(
{everywhere}    )
    _arguments -C $global '--help[Print usage]' '1:command:->command' '*::argument:->argument'
    case $state in
    command) _describe command commands; return ;;
    esac
    case $line[1] in
{cases}    esac
}}

_{PROGRAM} "$@"
"""


def _zsh_options(options: Sequence[Option]) -> str:
    return "".join(
        f"            {_zsh_quoted(f'{_zsh_name(name, option)}[{_zsh_help(option)}]{value}')} \\\n"
        for option in options
        for name in option.names
        for value in [_zsh_value(option)]
    )


def _zsh_name(name: str, option: Option) -> str:
    many = "*" if option.kind == "list" else ""
    if option.kind == "flag":
        return name
    return f"{many}{name}=" if name.startswith("--") else f"{many}{name}"


def _zsh_help(option: Option) -> str:
    return option.help.replace("[", "\\[").replace("]", "\\]")


def _zsh_value(option: Option) -> str:
    if option.kind == "flag":
        return ""
    if option.key in _DIRECTORIES:
        return ":directory:_files -/"
    return ":file:_files" if option.key in _FILES else ":value: "


def _zsh_quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def fish() -> str:
    """Return the completion for fish."""
    known = " ".join(name for command in COMMANDS for name in command.names)
    lines = [
        f"# fish completion for {PROGRAM}, made from its table of commands.",
        f"set -l commands {known}",
        f'complete -c {PROGRAM} -n "not __fish_seen_subcommand_from $commands" -f',
    ]
    lines += (_fish_option(option, "") for option in (*GLOBAL_OPTIONS, HELP))
    for command in COMMANDS:
        name = command.names[0]
        lines.append(
            f'complete -c {PROGRAM} -n "not __fish_seen_subcommand_from $commands" '
            f"-f -a {name} -d {_fish_quoted(command.summary)}"
        )
        condition = f"__fish_seen_subcommand_from {' '.join(command.names)}"
        lines += (_fish_option(option, condition) for option in command.options)
    return "\n".join(lines) + "\n"


def _fish_option(option: Option, condition: str) -> str:
    words = [f"complete -c {PROGRAM}"]
    if condition:
        words.append(f"-n {_fish_quoted(condition)}")
    words += [f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in option.names]
    if option.kind != "flag":
        is_path = option.key in _DIRECTORIES | _FILES
        words.append("-r -F" if is_path else "-x")
    words.append(f"-d {_fish_quoted(option.help)}")
    return " ".join(words)


def _fish_quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _all_options() -> list[Option]:
    return [*GLOBAL_OPTIONS, *(option for command in COMMANDS for option in command.options)]


def _names(options: Iterable[Option]) -> list[str]:
    return list(dict.fromkeys(name for option in options for name in option.names))
