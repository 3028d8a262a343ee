"""A large store under load: nothing wrong is shown, nothing is lost, nothing is kept."""

from pathlib import Path

import pytest

from tests.bench.load import put_under_load
from tests.bench.stores import made
from tests.mount.daemons import eventually, serving
from tests.needs import needs

pytestmark = needs("root", "overlay", "fuse", "containers-storage")


@pytest.mark.parametrize("options", [(), ("strict",)], ids=["default", "strict"])
def test_readers_and_go_writers_at_once(root: Path, options: tuple[str, ...]) -> None:
    with (
        made(500, layers_each=2, containers=100) as store,
        serving(store.graph, store.run, root, *options) as daemon,
    ):
        # Once before it counts: threads are started, libraries loaded.
        put_under_load(store, daemon, clients=5, writers=1, seconds=1)
        before = len(daemon.fds())

        outcome = put_under_load(store, daemon, clients=20, writers=2, seconds=6)

        assert [] == outcome.wrong
        assert outcome.changes >= 6
        assert sum(outcome.calls.values()) > 1000
        assert {"getdents", "open", "read", "readlink", "stat"} <= set(outcome.longest_s)
        # The last clients have only just gone, as they had when it was counted before.
        eventually(lambda: len(daemon.fds()) <= before, f"{before} were open, now {daemon.fds()}")
        assert len(outcome.lags_s) == outcome.changes
