"""`status`, `version`: what the store and the program say of themselves. Plain form on stderr."""

from __future__ import annotations

from holdfs.core.cli import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfs.core.cli.options import Given
    from holdfs.core.store import Store


def status(store: Store, given: Given, arguments: list[str]) -> int:
    """Print the store's roots and what its driver can do."""
    return _pairs(store.status(), given)


def version(store: Store, given: Given, arguments: list[str]) -> int:
    """Print the program's version."""
    from importlib.metadata import version as installed_version

    return _pairs([("Version", installed_version("holdfs"))], given)


def _pairs(pairs: Sequence[tuple[str, str]], given: Given) -> int:
    if given.flag("json"):
        output.json(list(pairs))
    else:
        output.err("".join(f"{key}: {value}\n" for key, value in pairs))
    return 0
