"""
Every operation, killed before each of its system calls that change anything, and taken up again.

Odd calls are recovered from by the Go tools, even ones by us; then both go on with the store.
"""

import os
from collections.abc import Sequence
from functools import partial

import pytest

from holdfs.core.errors import StoreError
from holdfs.core.gc import collect
from holdfs.core.lockfile import LockFile
from holdfs.core.store import Store
from tests.faults.acts import Act, open_store
from tests.faults.child import KILL, run_gated
from tests.faults.conftest import Bench, Benches, every_act, gated
from tests.faults.gate import Call
from tests.faults.judging import complaints, differences, report
from tests.faults.states import Roots, State, mounted_layers
from tests.needs import needs
from tests.peers import GoStore

pytestmark = needs("root", "overlay", "containers-storage", "seccomp")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("act", "driver"), every_act())
def test_a_store_goes_on_after_a_kill_at_any_moment(
    act: Act, driver: str, benches: Benches
) -> None:
    bench = benches(driver)
    before, after, calls = bench.outcomes(act)
    wrong: dict[str, list[str]] = {}
    for number in range(1, len(calls) + 1):
        with bench.fresh() as roots:
            act.before(open_store(roots))
            done = run_gated(partial(gated, act, roots), partial(_kill_at, number))
            if not done.was_killed:
                assert number > len(calls) - act.spread, f"it makes less than {number} calls"
                break
            if done.calls[-1].changes and (
                found := _look(bench, roots, act, before, after, with_go=bool(number % 2))
            ):
                wrong[f"{number}: {done.calls[-1]}"] = found
    assert {} == wrong, report(wrong)


def _kill_at(number: int, made: Sequence[Call]) -> int:
    return KILL if len(made) == number else 0


def _look(
    bench: Bench, roots: Roots, act: Act, before: State, after: State, *, with_go: bool
) -> list[str]:
    """Return in words what is wrong with the store after its writer was killed."""
    go = GoStore(roots.graph, roots.run, roots.driver)
    store = open_store(roots)
    found = _held_locks(store)
    if with_go:
        go.run("layers")
    if act.by_us or not with_go:
        with store.layers.edit():
            pass
    found += complaints(roots, bench.state(roots), act, before, after, may_leave=True)
    found += _listings_differ(store, go)
    found += _again(bench, roots, act, before, after)
    found += _go_on(store, go)
    return found


def _held_locks(store: Store) -> list[str]:
    held = []
    for lock in (
        store.graph_lock,
        store.layers.lock,
        store.images.lock,
        store.containers.lock,
        store.mount_table.lock,
    ):
        try:
            with LockFile(lock.path, timeout_s=0).writing():
                pass
        except StoreError as error:
            held.append(str(error))
    return held


def _listings_differ(store: Store, go: GoStore) -> list[str]:
    snapshot = store.snapshot()
    found = []
    for kind in ("layers", "images", "containers"):
        theirs = sorted(record["id"] for record in go.json(kind) or ())
        ours = sorted(getattr(snapshot, kind).ids)
        if ours != theirs:
            found.append(f"we list the {kind} {ours}, the Go tools {theirs}")
    return found


def _again(bench: Bench, roots: Roots, act: Act, before: State, after: State) -> list[str]:
    """Do the act once more: what was half done has to get done."""
    was = bench.state(roots)
    try:
        act.run(open_store(roots))
    except StoreError as error:
        if type(error).__name__ in act.again:
            return differences(bench.state(roots), act, before, after)
        return [f"again: {type(error).__name__}: {error}"]
    now = bench.state(roots)
    # Counting goes on if it was counted.
    if act.name.startswith(("mount", "unmount-one")) and was == after:
        return []
    left = {k for k in {*now, *after} if now.get(k) != after.get(k)}
    left = {key for key in left if not (act.strays and key.startswith("layer stray"))}
    return [f"again, {key} is {now.get(key)!r}, not {after.get(key)!r}" for key in sorted(left)]


def _go_on(store: Store, go: GoStore) -> list[str]:
    """Use the store, from both sides, to the end."""
    found = []
    made = go.out("create-layer", "--name", "made-by-go").split("\n")[0]
    child = store.create_layer(parent=made, names=["made-by-us"])
    image = store.create_image(layer=child.id, names=["made"], big_data=[("manifest", b"{}")])
    container = go.out("create-container", "made").split("\n")[0]
    path = store.mount(container)
    with open(f"{path}/written", "w", encoding="ascii") as file:
        file.write("x")
    go.run("unmount", container)
    store.delete_container(container)
    go.run("delete-image", image.id)
    for layer_id in list(store.snapshot().mounts):
        store.unmount(layer_id, force=True)
    if left := mounted_layers(Roots(store.graph_root, store.run_root, store.driver.name)):
        # Killed between mounting and counting: unmounting it all the same has to help.
        for layer_id in left:
            store.unmount(layer_id)
        left = mounted_layers(Roots(store.graph_root, store.run_root, store.driver.name))
        found += [f"layer {layer_id} stays mounted" for layer_id in left]
    store.wipe()
    collect(store)
    found += [f"{path} is left after all" for path in os.listdir(f"{store.graph_root}/tmp")]
    if left := store.driver.list_layers():
        found.append(f"after wiping, directories of {left} are left")
    assert os.path.isdir(store.driver.home)
    return found
