"""`shutdown`, `wipe`: the end of a mount session, and of everything."""

from __future__ import annotations

from holdfs.core.cli import failure, output, progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfs.core.cli.options import Given
    from holdfs.core.store import Store


def shutdown(store: Store, given: Given, arguments: list[str]) -> int:
    """Let the driver clean up, if nothing is mounted or with force."""
    from holdfs.core.errors import LayerMounted

    problem = ""
    try:
        if store.shutdown(force=given.flag("force")):
            # Contract: it is done, and yet an error that something was mounted.
            problem = f"a layer is mounted: {LayerMounted.base_words}"
    except Exception as error:
        problem = failure.expected_words(error)
    return _say("shutdown", problem, given)


def wipe(store: Store, given: Given, arguments: list[str]) -> int:
    """Delete all containers, images and layers."""
    problem = ""
    try:
        with progress.shown("wiping"):
            store.wipe()
    except Exception as error:
        problem = failure.expected_words(error)
    return _say("wipe", problem, given)


def end(store: Store) -> None:
    """Unmount and clean up, as some commands do at their end; what fails is told, no more."""
    from holdfs.core.errors import LayerMounted

    try:
        if store.shutdown(force=True):
            output.err(f"shutdown: a layer is mounted: {LayerMounted.base_words}\n")
    except Exception as error:
        output.err(f"shutdown: {failure.expected_words(error)}\n")


def _say(command: str, problem: str, given: Given) -> int:
    if given.flag("json"):
        # Contract: of an error no more is told than that there is one.
        output.out("{}\n" if problem else '""\n')
    elif problem:
        output.err(f"{command}: {problem}\n")
    return 1 if problem else 0
