"""
Layers as a tree.

    (base)
    ├─471822ef75eb…
    │ name: base
    │ └─d9a6f23233a3…
    │   container: 90eea38e4e7d…
    └─4781a7b1553d…

A parent that is no layer here heads a tree of its own; `(base)` stands for "no parent".

Source: containers/storage, cmd/containers-storage/tree.go; spec cli 5.1.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Final

BASE: Final = "(base)"


def lines(parents: Mapping[str, str], notes: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """
    Yield the lines of all trees, the one whose root has the fewest children first.

    Args:
        parents: Each layer's parent, "" for none, in the order that siblings are shown in.
        notes: What stands below a layer's line.
    """
    children: dict[str, list[str]] = {}
    for layer_id, parent in parents.items():
        children.setdefault(parent or BASE, []).append(layer_id)
    roots = [parent for parent in children if parent not in parents]
    for root in sorted(roots, key=lambda root: len(children[root])):
        yield root
        yield from _below(root, children, notes)


def _below(
    root: str, children: Mapping[str, Sequence[str]], notes: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    # A stack of its own: a chain may be deeper than Python's.
    waiting = _numbered(children[root], "")
    while waiting:
        layer_id, indent, is_last = waiting.pop()
        yield f"{indent}{'└─' if is_last else '├─'}{layer_id}"
        indent += "  " if is_last else "│ "
        for note in notes.get(layer_id, ()):
            yield f"{indent}{note}"
        waiting += _numbered(children.get(layer_id, ()), indent)


def _numbered(siblings: Sequence[str], indent: str) -> list[tuple[str, str, bool]]:
    """Return siblings last first, each with its indent and whether it is the last."""
    last = len(siblings) - 1
    return [(siblings[i], indent, i == last) for i in range(last, -1, -1)]
