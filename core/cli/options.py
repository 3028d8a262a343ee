"""
The option syntax, and what a command line says in it.

    --graph DIR  --graph=DIR  -g DIR  -g="DIR"  -tj  --json=false  --  ARGUMENT…

The syntax is the contract's own, not getopt's: `-gDIR` is a cluster of one-letter options, a
boolean takes a value only after `=`, and the first word that is no option ends them. Tables are
plain objects, and nothing is imported: typing, re and argparse take longer than a short command.

Source: containers/storage, pkg/mflag/flag.go; spec cli 1.1.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final, Literal

    Kind = Literal["flag", "text", "list"]

TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})


class Option:
    """
    One option: a line of the help, and the key its value is found by.

    Attributes:
        names: As typed, dashes included; the help shows them in this order.
        kind: "flag" is true or false, "text" takes a value, "list" one value each time.
        key: The first long name without its dashes.
    """

    __slots__ = ("help", "key", "kind", "names")

    def __init__(self, *names: str, help: str, kind: Kind = "flag") -> None:
        self.names = names
        self.kind = kind
        self.help = help
        self.key = names[0].removeprefix("--")


class Given:
    """The values of options: what was given, else false, "" or no entry."""

    __slots__ = ("_flags", "_lists", "_texts")

    def __init__(self) -> None:
        self._flags: dict[str, bool] = {}
        self._texts: dict[str, str] = {}
        self._lists: dict[str, list[str]] = {}

    def flag(self, key: str) -> bool:
        return self._flags.get(key, False)

    def text(self, key: str) -> str:
        return self._texts.get(key, "")

    def entries(self, key: str) -> tuple[str, ...]:
        return tuple(self._lists.get(key, ()))

    def set_flag(self, key: str, value: bool) -> None:
        self._flags[key] = value

    def set_text(self, key: str, value: str) -> None:
        self._texts[key] = value

    def add_entries(self, key: str, values: Sequence[str]) -> None:
        self._lists.setdefault(key, []).extend(values)

    def copy(self) -> Given:
        """Return the values as they are now, for further changes apart from these."""
        other = Given()
        other._flags.update(self._flags)
        other._texts.update(self._texts)
        for key, values in self._lists.items():
            other.add_entries(key, values)
        return other

    def shown(self, option: Option) -> str:
        """Return the value as the help shows it; "" where it shows none."""
        if option.kind == "flag":
            return "true" if self.flag(option.key) else ""
        if option.kind == "list":
            return f"[{' '.join(self.entries(option.key))}]"
        value = self.text(option.key)
        return "" if value in ("0", "false") else value


class UsageError(Exception):
    """
    The command line breaks the syntax.

    Attributes:
        messages: What to say: one message or, for a cluster of options, two.
        wants_usage: The usage comes first (there was an `h` in the cluster).
    """

    def __init__(self, *messages: str, wants_usage: bool = False) -> None:
        super().__init__(messages[-1])
        self.messages = messages
        self.wants_usage = wants_usage


class HelpRequested(Exception):
    """`-h`, or `--help` where the table has no such option."""


def parse(words: Sequence[str], options: Sequence[Option], given: Given) -> list[str]:
    """
    Put the options at the start of `words` into `given` and return the arguments after them.

    Raises:
        UsageError: In Go's words. Options before the wrong one have been put into `given`.
        HelpRequested: Likewise.
    """
    by_name = {name: option for option in options for name in option.names}
    rest = list(words)
    while rest:
        word = rest[0]
        if word == "--":
            return rest[1:]
        if len(word) < 2 or word[0] != "-":
            break
        if not _take(rest, by_name, given):
            _take_cluster(rest, word.partition("=")[0], by_name, given)
    return rest


def _take(rest: list[str], by_name: dict[str, Option], given: Given) -> bool:
    """Take the option at the start of `rest`, with its value; False if it may be a cluster."""
    word = rest[0]
    name, equals, value = word.partition("=")
    if name == "-":
        raise UsageError(f"bad flag syntax: {word}")
    del rest[0]
    option = by_name.get(name)
    if option is None:
        if name in ("--help", "-help", "-h"):
            raise HelpRequested
        if name.startswith("--"):
            raise UsageError(f"flag provided but not defined: {name}")
        return False
    if option.kind == "flag":
        given.set_flag(option.key, _truth(name, _unquoted(value)) if equals else True)
        return True
    if equals:
        value = _unquoted(value)
    elif rest:
        value = rest.pop(0)
    else:
        raise UsageError(f"flag needs an argument: {name}")
    if option.kind == "list":
        given.add_entries(option.key, (value,))
    else:
        given.set_text(option.key, value)
    return True


def _take_cluster(rest: list[str], cluster: str, by_name: dict[str, Option], given: Given) -> None:
    undefined = f"flag provided but not defined: {cluster}"
    if len(cluster) == 2:
        raise UsageError(undefined)
    for letter in cluster[1:]:
        if letter == "-":
            continue  # `--`, which is dropped
        rest.insert(0, "-" + letter)
        try:
            taken = _take(rest, by_name, given)
        except UsageError as e:
            # Go says both: why this letter is wrong, and that the whole word is no option.
            raise UsageError(*e.messages, undefined) from e
        except HelpRequested as e:
            raise UsageError(undefined, wants_usage=True) from e
        if not taken:
            raise UsageError(undefined)


def _truth(name: str, value: str) -> bool:
    if value in TRUE:
        return True
    if value in FALSE:
        return False
    raise UsageError(
        f'invalid boolean value "{value}" for  {name}: '
        f'strconv.ParseBool: parsing "{value}": invalid syntax'
    )


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value
