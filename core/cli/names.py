"""`get-names`, `add-names` …, `metadata`, `exists`: a layer, image or container, in this order."""

from __future__ import annotations

from holdfs.core.cli import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfs.core.cli.options import Given
    from holdfs.core.sets import Kind
    from holdfs.core.store import Store

    Change = Callable[[Kind, str, Sequence[str]], tuple[str, ...]]


def get(store: Store, given: Given, arguments: list[str]) -> int:
    """Print the names of the first argument."""
    kind, record_id = store.find(arguments[0])
    found = store.records(kind).names_of(record_id)
    if given.flag("json"):
        output.json(list(found))
    else:
        output.out("".join(f"{name}\n" for name in found))
    return 0


def add(store: Store, given: Given, arguments: list[str]) -> int:
    """Give the first argument more names, before its own."""
    return _change(store, store.add_names, given, arguments)


def remove(store: Store, given: Given, arguments: list[str]) -> int:
    """Take names from the first argument."""
    return _change(store, store.remove_names, given, arguments)


def set(store: Store, given: Given, arguments: list[str]) -> int:
    """Give the first argument exactly these names."""
    return _change(store, store.set_names, given, arguments)


def _change(store: Store, change: Change, given: Given, arguments: list[str]) -> int:
    from holdfs.core.errors import LayerNotKnown, NotKnown, StoreReadOnly

    kind, record_id = store.find(arguments[0])
    try:
        if kind == "images":
            # Contract: of what an additional store has, an image's names alone can be changed.
            store.pull_up(record_id)
        left = change(kind, record_id, given.entries("name"))
    except (NotKnown, StoreReadOnly) as error:
        # Contract: the words for every kind, and for what only an additional store has.
        raise LayerNotKnown(arguments[0]) from error
    if given.flag("json"):
        output.out("null\n" if not left else output.json_text(list(left)) + "\n")
    return 0


def metadata(store: Store, given: Given, arguments: list[str]) -> int:
    """Print the metadata of each argument."""
    from holdfs.core.errors import NotAnId

    found: dict[str, str] = {}
    for ref in arguments:
        try:
            found[ref] = store.metadata(ref).removesuffix("\n")
        except NotAnId:
            continue
    if given.flag("json"):
        output.json({**found})
    elif given.flag("quiet"):
        output.out("".join(f"{found.get(ref, '')}\n" for ref in arguments))
    else:
        output.out("".join(f"{ref}: {found.get(ref, '')}\n" for ref in arguments))
    return 0 if all(ref in found for ref in arguments) else 1


def set_metadata(store: Store, given: Given, arguments: list[str]) -> int:
    """Replace the metadata of the argument."""
    from holdfs.core.errors import InvalidValue, LayerNotKnown, NotAnId, NotKnown, StoreReadOnly

    text = given.text("metadata")
    if path := given.text("metadata-file"):
        from holdfs.core.cli import reading_input

        text = reading_input.text_of(path)
    if not text:
        raise InvalidValue("give the metadata with -m or -f", words="no new metadata provided")
    ref = arguments[0]
    try:
        kind, record_id = store.find(ref)
        store.set_metadata(kind, record_id, text)
    except (LayerNotKnown, NotKnown, StoreReadOnly) as error:
        raise NotAnId(ref) from error
    if given.flag("json"):
        output.json("")
    return 0


def exists(store: Store, given: Given, arguments: list[str]) -> int:
    """Say of each argument whether it is there; status 0 if all are, of the kinds asked for."""
    from holdfs.core.errors import NotKnown

    snapshot = store.snapshot()
    asked: list[Kind] = []
    for option, kind in (("layer", "layers"), ("image", "images"), ("container", "containers")):
        if given.flag(option):
            asked.append(kind)  # type: ignore[arg-type]  # one of the three

    def is_a(kind: Kind, ref: str) -> bool:
        try:
            store.full_id(kind, getattr(snapshot, kind), ref)
        except NotKnown:
            return False
        return True

    kinds: tuple[Kind, ...] = ("layers", "images", "containers")
    found: dict[str, bool] = {ref: any(is_a(kind, ref) for kind in kinds) for ref in arguments}
    if given.flag("json"):
        output.json({**found})
    elif not given.flag("quiet"):
        lines = (f"{ref}: {'true' if there else 'false'}\n" for ref, there in found.items())
        output.out("".join(lines))
    fits = all(is_a(kind, ref) for ref in arguments for kind in asked)
    return 0 if all(found.values()) and fits else 1
