"""Roots on btrfs for the tests of its driver, and what opens them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from holdfs.core.config import load_options
from holdfs.core.store import Store
from holdfs.drivers import open_driver
from holdfs.drivers.base import Driver
from tests.conftest import GraphRun
from tests.mounts import unmount_below


@contextmanager
def btrfs_roots(top: str) -> Iterator[GraphRun]:
    """Give an empty pair of roots in the directory `top`, on btrfs; removed at the end."""
    with TemporaryDirectory(prefix="holdfs", dir=top) as directory:
        roots = GraphRun(f"{directory}/graph", f"{directory}/run")
        for root in roots:
            os.mkdir(root, 0o700)
        yield roots
        left = unmount_below(directory)
        assert not left, f"left mounted: {left}"


def open_btrfs(roots: GraphRun, *options: str) -> Driver:
    """Open the store's btrfs driver with these options."""
    return open_driver("btrfs", graph_root=roots.graph, run_root=roots.run, options=options)


def open_btrfs_store(roots: GraphRun) -> Store:
    """Open the store on its btrfs driver."""
    return Store.open(load_options(graph_root=roots.graph, run_root=roots.run, driver="btrfs"))
