"""Opening overlay drivers in tests, and reading what they mounted."""

from holdfs.drivers import open_driver
from holdfs.drivers.base import Driver
from tests.conftest import GraphRun


def open_overlay(roots: GraphRun, *options: str) -> Driver:
    """Open the store's overlay driver with these options."""
    return open_driver("overlay", graph_root=roots.graph, run_root=roots.run, options=options)


def mount_line(point: str) -> str:
    """Return what mountinfo has about the mount at `point`."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return next(line for line in file if f" {point} " in line)
