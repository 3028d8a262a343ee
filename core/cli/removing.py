"""`delete` without checks; `delete-layer`, `delete-image`, `delete-container` with them."""

from __future__ import annotations

from holdfs.core.cli import failure, output, progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfs.core.cli.options import Given
    from holdfs.core.cli.output import Json
    from holdfs.core.store import Store


def delete(store: Store, given: Given, arguments: list[str]) -> int:
    """Delete containers, images' records and layers, whoever uses them."""
    return _delete(store.delete, given, arguments)


def delete_layer(store: Store, given: Given, arguments: list[str]) -> int:
    """Delete layers that nobody uses."""
    return _delete(store.delete_layer, given, arguments)


def delete_container(store: Store, given: Given, arguments: list[str]) -> int:
    """Delete containers with all that is theirs."""
    return _delete(store.delete_container, given, arguments)


def _delete(delete_one: Callable[[str], None], given: Given, arguments: list[str]) -> int:
    problems: dict[str, str] = {}
    for ref in arguments:
        problems[ref] = ""
        try:
            with progress.shown("deleting"):
                delete_one(ref)
        except Exception as error:
            problems[ref] = failure.expected_words(error)
    if given.flag("json"):
        output.json({**problems})
    else:
        for ref, problem in problems.items():
            if problem:
                output.err(f"{ref}: {problem}\n")
    return 1 if any(problems.values()) else 0


def delete_image(store: Store, given: Given, arguments: list[str]) -> int:
    """Delete images that no container uses, and say which layers went with them."""
    commit = not given.flag("test")
    outcomes: dict[str, tuple[list[str], str]] = {}
    for ref in arguments:
        try:
            with progress.shown("deleting"):
                outcomes[ref] = (store.delete_image(ref, commit=commit), "")
        except Exception as error:
            outcomes[ref] = ([], failure.expected_words(error))
    if given.flag("json"):
        output.out(_json(outcomes) + "\n")
    else:
        for ref, (layers, problem) in outcomes.items():
            # Contract: the report of what was done goes to stderr, too.
            for line in [problem] if problem else layers:
                output.err(f"{ref}: {line}\n")
    return 1 if any(problem for _, problem in outcomes.values()) else 0


def _json(outcomes: dict[str, tuple[list[str], str]]) -> str:
    def fields(layers: list[str], problem: str) -> list[tuple[str, Json]]:
        pairs: list[tuple[str, Json]] = [("deleted-layers", [*layers]), ("error", problem)]
        return [(key, value) for key, value in pairs if value]

    found = (
        f"{output.json_text(ref)}:{output.json_object(fields(*outcomes[ref]))}"
        for ref in sorted(outcomes, key=output.encoded)
    )
    return "{" + ",".join(found) + "}"
