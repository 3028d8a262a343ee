"""
Every operation, with an error from each of its system calls.

    once      one call fails; the next one would succeed
    full      from one call on, whatever needs space fails: cleaning up must do without

The operation raises one error that says what it is about, leaves nothing behind, and the same store
object goes on.
"""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import pytest

from holdfs.core.errors import StoreError
from holdfs.core.store import Store
from tests.faults.acts import Act, open_store
from tests.faults.child import Judge, Raised, raised, run_gated
from tests.faults.conftest import Bench, Benches, every_act
from tests.faults.gate import Call
from tests.faults.judging import complaints, differences, report
from tests.faults.states import Roots, State, mounted_layers
from tests.needs import needs

pytestmark = needs("root", "overlay", "seccomp")

_SPACE: Final = errno.ENOSPC


def _once(at: int, number: int) -> Judge:
    return lambda calls: number if len(calls) == at else 0


def _full_from(at: int) -> Judge:
    def judge(calls: Sequence[Call]) -> int:
        # A rename within a directory, over a name that is there, is what a full disk lets pass.
        refused = calls[-1].takes_space and not calls[-1].name.startswith("rename")
        return _SPACE if len(calls) >= at and refused else 0

    return judge


def _faults(calls: Sequence[Call]) -> Iterator[tuple[str, int, Judge]]:
    """Yield every fault to be done: what it is called, and the number of the call."""
    for at, call in enumerate(calls, 1):
        if call.changes:
            yield f"EIO at {at}: {call}", at, _once(at, errno.EIO)
        if call.changes and call.takes_space:
            yield f"ENOSPC at {at}: {call}", at, _once(at, errno.ENOSPC)
            yield f"full from {at}: {call}", at, _full_from(at)
        if call.opens:
            yield f"EMFILE at {at}: {call}", at, _once(at, errno.EMFILE)


def _removes(call: Call) -> bool:
    """Whether it is part of a removal: a directory is opened to be emptied."""
    return call.name.startswith(("unlink", "rmdir")) or (call.opens and not call.changes)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("act", "driver"), every_act())
def test_an_error_at_any_moment_is_told_and_leaves_the_store_usable(
    act: Act, driver: str, benches: Benches
) -> None:
    bench = benches(driver)
    before, after, calls = bench.outcomes(act)
    wrong: dict[str, list[str]] = {}
    for name, at, judge in _faults(calls):
        with bench.fresh() as roots:
            act.before(open_store(roots))
            found = _fail(bench, roots, act, judge, at, before, after)
            if found:
                wrong[name] = found
    assert {} == wrong, report(wrong)


def _fail(
    bench: Bench,
    roots: Roots,
    act: Act,
    judge: Judge,
    at: int,
    before: State,
    after: State,
) -> list[str]:
    """Return in words what is wrong after the act met the fault at this call."""
    stores: list[Store] = []
    descriptors: list[str] = []

    def prepare() -> Callable[[], object]:
        stores.append(open_store(roots))
        descriptors.extend(_descriptors())
        return lambda: act.run(stores[0])

    def look_back(error: BaseException | None) -> tuple[list[str], ...]:
        left = _left_in_process(descriptors)
        strict, lenient = (
            _recover(bench, roots, stores[0], act, before, after, may_leave=may_leave)
            for may_leave in (False, True)
        )
        again = _again(bench, roots, stores[0], act, before, after)
        return [*left, *again], strict, lenient

    done = run_gated(prepare, judge, look_back)
    said: tuple[list[str], list[str], list[str]] = done.said
    found, strict, lenient = said
    # What was to be removed may be left if removing it failed.
    met = done.calls[at - 1 : at]
    found += lenient if met and _removes(met[0]) else strict
    if done.error is not None:
        found += _unclear(done.error)
    return found


def _descriptors() -> list[str]:
    fds = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            fds.append(f"{fd} {os.readlink(f'/proc/self/fd/{fd}')}")
        except FileNotFoundError:
            pass  # that of the listing itself
    return sorted(fds)


def _left_in_process(descriptors: list[str]) -> list[str]:
    found = [f"descriptor {fd} is left open" for fd in set(_descriptors()) - set(descriptors)]
    if threading.active_count() != 1:
        found.append(f"threads: {threading.enumerate()}")
    # A thread that was joined may be on its way out still.
    deadline = time.monotonic() + 5
    while len(os.listdir("/proc/self/task")) != 1:
        if time.monotonic() > deadline:
            found.append("a thread of the kernel's is left")
            break
    return found


def _recover(
    bench: Bench,
    roots: Roots,
    store: Store,
    act: Act,
    before: State,
    after: State,
    *,
    may_leave: bool,
) -> list[str]:
    """Let the next writer do what is its part, and look."""
    with store.layers.edit():
        pass
    found = complaints(roots, bench.state(roots), act, before, after, may_leave=may_leave)
    counted = sorted(entry["id"] for entry in roots.table())
    found += [f"{i} is mounted and not counted" for i in mounted_layers(roots) if i not in counted]
    return found


def _again(
    bench: Bench, roots: Roots, store: Store, act: Act, before: State, after: State
) -> list[str]:
    """Do the act once more with the same store object."""
    was = bench.state(roots)
    try:
        act.run(store)
    except StoreError as error:
        if type(error).__name__ not in act.again:
            return [f"again: {raised(error)}"]
        return differences(bench.state(roots), act, before, after)
    if act.name.startswith(("mount", "unmount-one")) and was == after:
        return []
    now = bench.state(roots)
    left = {k for k in {*now, *after} if now.get(k) != after.get(k)}
    left = {key for key in left if not (act.strays and key.startswith("layer stray"))}
    found = [f"again, {key} is {now.get(key)!r}, not {after.get(key)!r}" for key in sorted(left)]
    fresh = open_store(roots).snapshot()
    return found + [
        f"the store object has {kind} that are not on disk, or lacks some"
        for kind in ("layers", "images", "containers")
        if getattr(fresh, kind).ids != getattr(store.snapshot(), kind).ids
    ]


def _unclear(error: Raised) -> list[str]:
    """Return what is wrong with an error as it reaches the caller."""
    # The tar engine's have all in their text: what was done, the member, and where it begins.
    of_engine = {"UntarError", "TarOutError"} & set(error.kinds)
    if "OSError" in error.kinds and not error.filename and not of_engine:
        return [f"does not say what it is about: {error}"]
    if not {"OSError", "StoreError", "DriverError"} & set(error.kinds):
        return [f"is no error for callers: {error}"]
    return []
