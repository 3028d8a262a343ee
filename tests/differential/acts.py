"""What an act is: the same thing done by the Go tool and by ours."""

from collections.abc import Callable
from typing import NamedTuple

from holdfs.core.store import Store
from tests.peers import GoStore


class Act(NamedTuple):
    """One act in both ways. The Go side may be several commands, for acts that 1.43 lacks."""

    name: str
    go: Callable[[GoStore], object]
    ours: Callable[[Store], object]


def in_turn(*acts: Callable[[Store], object]) -> Callable[[Store], object]:
    """Return one act made of several."""

    def act(store: Store) -> None:
        for each in acts:
            each(store)

    return act
