"""A template store for each driver, and copies of it to do faults to."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

import holdfs.drivers.overlay.open
import holdfs.drivers.vfs  # noqa: F401  # loaded here, so that no act opens a module's file
from tests.faults.acts import ACTS, Act, copy_store, make_template, open_store
from tests.faults.child import let_through, run_gated
from tests.faults.gate import Call
from tests.faults.states import Roots, State, read_state
from tests.mounts import unmount_below

#: Acts whose faults are done in every test run; the others in `make faults`.
_QUICK = {
    ("create-layer", "overlay"),
    ("import-layer", "overlay"),
    ("replace-image-data", "overlay"),
    ("mount-image", "vfs"),
}


def every_act() -> list[object]:
    """Return the parameters `act, driver`: all of them, most marked `whole`."""
    return [
        pytest.param(
            act,
            driver,
            id=f"{act.name}-{driver}",
            marks=[] if (act.name, driver) in _QUICK else pytest.mark.whole,
        )
        for act in ACTS
        for driver in act.drivers
    ]


class Bench:
    """
    A template store, and fresh copies of it.

    Attributes:
        known: IDs of everything in the template.
        directory: Where all of them are.
    """

    def __init__(self, top: Path, driver: str) -> None:
        self.directory = top
        self._number = 0
        self._template = Roots(f"{top}/template/graph", f"{top}/template/run", driver)
        make_template(self._template)
        unmount_below(str(top))
        kinds = ("layers", "images", "containers")
        self.known = frozenset(r["id"] for k in kinds for r in self._template.records(k))
        self.outcomes = cache(self._outcomes)

    @contextmanager
    def fresh(self) -> Iterator[Roots]:
        """Give a copy of the template, for as long as it is needed."""
        self._number += 1
        top = f"{self.directory}/{self._number}"
        roots = Roots(f"{top}/graph", f"{top}/run", self._template.driver)
        copy_store(self._template, roots)
        try:
            yield roots
        finally:
            unmount_below(top)
            shutil.rmtree(top)

    def state(self, roots: Roots) -> State:
        return read_state(roots, self.known)

    def _outcomes(self, act: Act) -> tuple[State, State, list[Call]]:
        """Return the states before and after the act done well, and the calls it makes."""
        with self.fresh() as roots:
            act.before(open_store(roots))
            before = self.state(roots)
            done = run_gated(lambda: gated(act, roots), let_through)
            assert done.error is None, done.error
            return before, self.state(roots), done.calls


def gated(act: Act, roots: Roots) -> Callable[[], object]:
    """Open the store and return the act on it, as `run_gated` wants it."""
    store = open_store(roots)
    return lambda: act.run(store)


Benches = Callable[[str], Bench]


@pytest.fixture(scope="session")
def benches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Benches]:
    """Give a function that returns the bench of a driver."""
    top = Path(os.path.realpath(tmp_path_factory.mktemp("faults")))
    # In memory: every one of thousands of stores would wait for the disk a hundred times. The calls
    # are the same ones.
    subprocess.run(["mount", "-t", "tmpfs", "holdfs-faults", str(top)], check=True, timeout=60)

    @cache
    def bench(driver: str) -> Bench:
        return Bench(top / driver, driver)

    yield bench
    unmount_below(str(top))
