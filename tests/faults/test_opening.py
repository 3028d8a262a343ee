"""Opening a store for the first time, killed or failing at each system call; then once more."""

import errno
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from holdfs.drivers.base import DriverError
from tests.faults.acts import open_store
from tests.faults.child import KILL, let_through, run_gated
from tests.faults.conftest import Benches
from tests.faults.gate import Call
from tests.faults.states import Roots, find_litter
from tests.mounts import unmount_below
from tests.needs import needs
from tests.peers import GoStore

pytestmark = [
    needs("root", "overlay", "containers-storage", "seccomp"),
    pytest.mark.whole,
    pytest.mark.timeout(600),
]


def _opening(roots: Roots) -> Callable[[], object]:
    return lambda: open_store(roots)


def _verdict(at: int, verdict: int, made: Sequence[Call]) -> int:
    return verdict if len(made) == at and made[-1].changes else 0


@pytest.mark.parametrize("verdict", [KILL, errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_a_store_that_could_not_be_opened_can_be_opened_next(
    driver: str, verdict: int, benches: Benches
) -> None:
    top = benches(driver).directory / f"opening{verdict}"

    def fresh() -> Roots:
        if top.exists():
            unmount_below(str(top))
            shutil.rmtree(top)
        top.mkdir()
        return Roots(f"{top}/graph", f"{top}/run", driver)

    count = len(run_gated(partial(_opening, fresh()), let_through).calls)
    assert count > 10
    for at in range(1, count + 1):
        roots = fresh()
        done = run_gated(partial(_opening, roots), partial(_verdict, at, verdict))
        if done.error is not None:
            kinds = {"OSError", "DriverError", "StoreError"}
            assert kinds & set(done.error.kinds), done.error
            assert done.error.filename or "OSError" not in done.error.kinds, done.error
        _use(roots, str(done.calls[-1]))
    shutil.rmtree(fresh().graph, ignore_errors=True)


def _use(roots: Roots, fault: str) -> None:
    try:
        store = open_store(roots)
    except (DriverError, OSError) as error:
        raise AssertionError(f"not to be opened after {fault}") from error
    go = GoStore(roots.graph, roots.run, roots.driver)
    base = store.create_layer(names=["base"])
    go.run("create-layer", "--name", "top", base.id)
    path = Path(store.mount("top"))
    (path / "file").write_text("x")
    go.run("unmount", store.layer_of("top"))
    assert [] == find_litter(roots), fault
    go.run("delete-layer", "top")
    store.delete_layer("base")
    assert [] == store.driver.list_layers()
