"""
The commands and their options: what is parsed, what the help says, and where the code is.

A command names its code as module and function, `listing:layers`, which is imported when it is to
run. Its function gets the open store, the options and the arguments, and returns the exit status.

Source: containers/storage, cmd/containers-storage; spec cli 1.2, 5.
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
        min_args: Fewer are refused before the store is opened.
        max_args: More likewise; None for any number.
        error_prefix: What stands before the message of an error that ends it.
    """

    __slots__ = (
        "code",
        "error_prefix",
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
        synopsis: str = "",
        options: Sequence[Option] = (),
        min_args: int = 0,
        max_args: int | None = None,
        error_prefix: str = "",
    ) -> None:
        self.names = names
        self.code = code
        self.summary = summary
        self.synopsis = synopsis
        self.options = tuple(options)
        self.min_args = min_args
        self.max_args = max_args
        self.error_prefix = error_prefix


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

#: Accepted before the command's name and after it.
GLOBAL_OPTIONS: Final = (
    GRAPH,
    RUN,
    IMAGE_STORE,
    TRANSIENT_STORE,
    STORAGE_DRIVER,
    STORAGE_OPT,
    DEBUG,
)
#: Before the command's name only: after it, `--help` is no option but asks for help.
HELP: Final = Option("--help", help="Print usage")

JSON: Final = Option("--json", "-j", help="Prefer JSON output")

COMMANDS: Final = (
    Command(
        "containers",
        code="listing:containers",
        summary="List containers",
        synopsis="[options [...]]",
        options=(JSON,),
    ),
    Command(
        "images",
        code="listing:images",
        summary="List images",
        synopsis="[options [...]]",
        options=(JSON, Option("--quiet", "-q", help="Only print IDs")),
    ),
    Command(
        "layers",
        code="listing:layers",
        summary="List layers",
        synopsis="[options [...]]",
        options=(
            JSON,
            Option("--quick", "-q", help="Only print IDs"),
            Option("--tree", "-t", help="Use a tree"),
        ),
    ),
    Command(
        "mount",
        code="mounting:mount",
        summary="Mount a layer or container",
        synopsis="[options [...]] LayerOrContainerNameOrID",
        options=(
            JSON,
            Option("--label", "-l", kind="text", help="Mount Label"),
            # Contract: taken and not used, as by the original.
            Option("--opt", "-o", kind="text", help="Mount Options"),
            Option("--read-only", "--ro", "-r", help="Mount image readonly"),
        ),
        min_args=1,
    ),
    Command(
        "unmount",
        "umount",
        code="mounting:unmount",
        summary="Unmount an image, layer or container",
        synopsis="LayerOrContainerNameOrID",
        options=(JSON, Option("--force", "-f", help="Force the umount")),
        min_args=1,
    ),
    Command(
        "status",
        code="about:status",
        summary="Check on graph driver status",
        options=(JSON,),
        error_prefix="status: ",
    ),
    Command(
        "version",
        code="about:version",
        summary=f"Return {PROGRAM} version information",
        options=(JSON,),
        error_prefix="version: ",
    ),
)


def find(word: str) -> Command | None:
    """Return the command of this name or alias."""
    return next((command for command in COMMANDS if word in command.names), None)
