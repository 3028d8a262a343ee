"""A wall clock that jumps backward, in one of the programs that share a store."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfs.core.config import load_options
from holdfs.core.store import Store
from tests.conftest import GraphRun
from tests.needs import needs
from tests.peers import GoStore

pytestmark = needs("root", "overlay", "faketime", "containers-storage")

_CHANGE = """
import sys
from holdfs.core.config import load_options
from holdfs.core.store import Store
store = Store.open(load_options(graph_root=sys.argv[1], run_root=sys.argv[2], driver="overlay"))
for number in range(20):
    store.set_metadata("layers", "base", str(number))
print(store.create_layer(parent="base", names=["early"]).created)
"""


@pytest.mark.parametrize("offset", ["-3y", "-1s", "+3y"])
def test_changes_of_a_program_with_another_clock_are_seen(graph_run: GraphRun, offset: str) -> None:
    graph, run = graph_run
    store = Store.open(load_options(graph_root=graph, run_root=run, driver="overlay"))
    store.create_layer(names=["base"])
    store.snapshot()
    done = subprocess.run(
        ["faketime", "-f", offset, sys.executable, "-c", _CHANGE, graph, run],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
    assert "19" == store.metadata("base")
    assert "early" in store.snapshot().layers.by_name
    # And the other way round: one with the right clock comes after it.
    store.set_metadata("layers", "early", "ours")
    (found,) = [x for x in GoStore(graph, run).json("layers") if "early" in (x.get("names") or ())]
    assert "ours" == found["metadata"]


def test_an_index_with_an_older_time_than_before_is_read_anew(graph_run: GraphRun) -> None:
    graph, run = graph_run
    store = Store.open(load_options(graph_root=graph, run_root=run, driver="overlay"))
    store.create_layer(names=["base"])
    store.snapshot()
    path = Path(graph, "overlay-layers", "layers.json")
    other = path.with_name("other")
    other.write_bytes(path.read_bytes().replace(b'"base"', b'"bass"'))
    stat = path.stat()
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns - 10**18))
    other.rename(path)
    assert "bass" in store.snapshot().layers.by_name
    store.create_layer(parent="bass")
    assert 2 == len(store.snapshot().layers)


def test_deleting_everything_does_not_depend_on_the_order_of_times(graph_run: GraphRun) -> None:
    graph, run = graph_run
    store = Store.open(load_options(graph_root=graph, run_root=run, driver="overlay"))
    store.create_layer(names=["base"])
    done = subprocess.run(
        ["faketime", "-f", "-3y", sys.executable, "-c", _CHANGE, graph, run],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
    store.create_container(names=["late"])
    store.wipe()
    assert 0 == len(store.snapshot().layers)
    assert [] == store.driver.list_layers()
