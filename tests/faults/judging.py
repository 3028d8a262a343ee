"""Whether what a store holds after a fault is what it may hold."""

from tests.faults.acts import Act
from tests.faults.states import Roots, State, broken, find_litter, temporary


def differences(state: State, act: Act, before: State, after: State) -> list[str]:
    """Return in words what is neither as before the act nor as after it."""
    found = []
    for key in sorted({*state, *before, *after}):
        if (key.startswith("layer stray") and act.strays) or key.startswith(act.parts):
            continue
        if state.get(key) not in (before.get(key), after.get(key)):
            found.append(
                f"{key} is {state.get(key)!r}, was {before.get(key)!r}, "
                f"was to be {after.get(key)!r}"
            )
    if act.whole and not found and state not in (before, after):
        done = [k for k in after if state.get(k) == after[k] != before.get(k)]
        left = [k for k in {*before, *after} if state.get(k) == before.get(k) != after.get(k)]
        found.append(f"half done: {sorted(done)} are as after, {sorted(left)} as before")
    return found


def complaints(
    roots: Roots, state: State, act: Act, before: State, after: State, *, may_leave: bool
) -> list[str]:
    """
    Return in words everything that is wrong with a store that has been recovered.

    Args:
        may_leave: Temporary files, and what the act may leave. So it is after a kill.
    """
    found = differences(state, act, before, after)
    litter = find_litter(roots)
    if may_leave:
        passing = set(temporary(litter))
        passing |= {path for path in litter if any(name in path for name in act.litter)}
        litter = [path for path in litter if path not in passing]
    found += [f"{path} belongs to nothing" for path in litter]
    if not {"delete-container", "wipe"} & {act.name}:
        found += broken(roots)
    return found


def report(wrong: dict[str, list[str]]) -> str:
    """Return what is wrong after which fault, to be read."""
    return "\n".join(f"{fault}\n    " + "\n    ".join(found) for fault, found in wrong.items())
