"""
What a command of the table is, and the options that every command has.

Source: containers/storage, cmd/containers-storage/main.go; spec cli 1.2.
"""

from __future__ import annotations

from holdfs.core.cli.options import Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

PROGRAM: Final = "holdctl"


class Command:
    """
    One command.

    Attributes:
        names: The name, then accepted aliases.
        code: "MODULE:FUNCTION" below this package.
        synopsis: What follows the name in the usage line.
        example: A command line that a user may type, without the program's name.
        min_args: Fewer are refused before the store is opened.
        max_args: More likewise; None for any number.
        error_prefix: What stands before the message of an error that ends it.
        in_namespace: It is run in a user namespace of its own, root's too.
    """

    __slots__ = (
        "code",
        "error_prefix",
        "example",
        "in_namespace",
        "max_args",
        "min_args",
        "names",
        "options",
        "summary",
        "synopsis",
    )

    def __init__(
        self,
        *names: str,
        code: str,
        summary: str,
        example: str,
        synopsis: str = "",
        options: Sequence[Option] = (),
        min_args: int = 0,
        max_args: int | None = None,
        error_prefix: str = "",
        in_namespace: bool = False,
    ) -> None:
        self.names = names
        self.code = code
        self.summary = summary
        self.synopsis = synopsis
        self.example = example
        self.options = tuple(options)
        self.min_args = min_args
        self.max_args = max_args
        self.error_prefix = error_prefix
        self.in_namespace = in_namespace


GRAPH: Final = Option("--graph", "-g", kind="text", help="Root of the storage tree")
RUN: Final = Option("--run", "-R", kind="text", help="Root of the runtime state tree")
IMAGE_STORE: Final = Option(
    "--image-store", kind="text", help="Root of the image store, separate from the storage tree"
)
TRANSIENT_STORE: Final = Option(
    "--transient-store", help="Keep container records in the runtime state tree"
)
STORAGE_DRIVER: Final = Option(
    "--storage-driver", "-s", kind="text", help="Storage driver to use ($STORAGE_DRIVER)"
)
STORAGE_OPT: Final = Option(
    "--storage-opt", kind="list", help="Set storage driver options ($STORAGE_OPTS)"
)
DEBUG: Final = Option("--debug", "-D", help="Print debugging information")

UNSHARE: Final = Option("--unshare", "-U", help="Run in a user namespace; as a user, the default")

#: Accepted before the command's name and after it.
GLOBAL_OPTIONS: Final = (
    GRAPH,
    RUN,
    IMAGE_STORE,
    TRANSIENT_STORE,
    STORAGE_DRIVER,
    STORAGE_OPT,
    DEBUG,
    UNSHARE,
)
#: Before the command's name only: after it, `--help` is no option but asks for help.
HELP: Final = Option("--help", help="Print usage")
