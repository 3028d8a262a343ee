"""`applydiff`: tar streams into layers that are there."""

from __future__ import annotations

from holdfs.core.cli import output, reading_input

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfs.core.cli.options import Given
    from holdfs.core.store import Store


def apply(store: Store, given: Given, arguments: list[str]) -> int:
    """Unpack a tar stream into the layer."""
    with reading_input.opened(given.text("file")) as source_fd:
        store.apply_diff(arguments[0], source_fd)
    if given.flag("json"):
        output.json("")
    return 0
