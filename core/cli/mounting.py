"""`mount`, `unmount`, `mounted`: the store's own, counted mounts. All arguments are tried."""

from __future__ import annotations

from holdfs.core.cli import failure, output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfs.core.cli.options import Given
    from holdfs.core.store import Store


def mount(store: Store, given: Given, arguments: list[str]) -> int:
    """Mount containers or layers, or images read-only, and print where."""
    label = given.text("label")
    results = []
    for ref in arguments:
        path = problem = ""
        try:
            if given.flag("read-only"):
                path = store.mount_image(ref, label=label)
            else:
                path = store.mount(ref, label=label)
        except Exception as error:
            problem = failure.expected_words(error)
        results.append((ref, path, problem))
    if given.flag("json"):
        documents = (
            output.json_object((("id", ref), ("mountpoint", path), ("error", problem)))
            for ref, path, problem in results
        )
        output.out(f"[{','.join(documents)}]\n")
    else:
        for ref, path, problem in results:
            if problem:
                output.err(f"{problem} while mounting {ref}\n")
            # Contract: an empty line for what could not be mounted.
            output.out(f"{path}\n")
    return 1 if any(problem for _, _, problem in results) else 0


def unmount(store: Store, given: Given, arguments: list[str]) -> int:
    """Take one use away from each mount, and say which are unmounted by it."""
    results = []
    for ref in arguments:
        problem = ""
        try:
            _unmount_one(store, ref, given.flag("force"))
        except Exception as error:
            problem = failure.expected_words(error)
        results.append((ref, problem))
    return _report(given, results, "while unmounting {}")


def _unmount_one(store: Store, ref: str, force: bool) -> None:
    from holdfs.core.errors import LayerNotKnown, NotKnown

    try:
        is_mounted = store.unmount(ref, force=force)
    except LayerNotKnown as unknown:
        try:
            layer_id = store.image_layer(ref)
        except NotKnown:
            raise unknown from None
        # Contract: of an image nothing is said.
        store.unmount(layer_id, force=force)
        return
    if not is_mounted:
        # Contract: this line is there with --json, too.
        output.out(f"{ref} mountpoint unmounted\n")


def mounted(store: Store, given: Given, arguments: list[str]) -> int:
    """Say which layers, or containers' layers, are mounted."""
    results = []
    for ref in arguments:
        problem = ""
        try:
            if store.mounted(ref):
                # Contract: this line is there with --json, too.
                output.out(f"{ref} mounted\n")
        except Exception as error:
            problem = failure.expected_words(error)
        results.append((ref, problem))
    return _report(given, results, "checking if {} is mounted")


def _report(given: Given, results: Sequence[tuple[str, str]], doing: str) -> int:
    """Say what failed of each argument, and return the exit status."""
    if given.flag("json"):
        documents = (
            output.json_object((("id", ref), ("error", problem))) for ref, problem in results
        )
        output.out(f"[{','.join(documents)}]\n")
    else:
        for ref, problem in results:
            if problem:
                output.err(f"{problem} {doing.format(ref)}\n")
    return 1 if any(problem for _, problem in results) else 0
