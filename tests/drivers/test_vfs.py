"""vfs keeps the promises of every driver, and what only it promises."""

import pytest

from holdfs.drivers import open_driver
from holdfs.drivers.base import DriverError, MountOptions
from tests.conftest import GraphRun
from tests.drivers.conformance_stores import StoresConformance
from tests.drivers.suite import layer_id
from tests.needs import needs

pytestmark = needs("root")


class TestVfs(StoresConformance):
    driver_name = "vfs"


def test_mount_options_but_ro_are_refused(graph_run: GraphRun) -> None:
    driver = open_driver("vfs", graph_root=graph_run.graph, run_root=graph_run.run, options=())
    driver.create(layer_id(1), "")

    assert driver.mount_point(layer_id(1)) == driver.mount(
        layer_id(1), MountOptions(options=("ro",))
    )
    with pytest.raises(DriverError, match="vfs driver does not support mount options"):
        driver.mount(layer_id(1), MountOptions(options=("nodev",)))


@pytest.mark.parametrize(
    "option, message",
    [
        ("vfs.mountopt=nodev", "vfs driver does not support mount options"),
        ("vfs.nonsense=1", 'unknown option "nonsense" ("vfs.nonsense=1")'),
        (".imagestore=/somewhere", "vfs: can't stat imageStore dir /somewhere"),
        ("vfs.sync=filesystem", "sync"),
        ("vfs.ignore_chown_errors=perhaps", "ignore_chown_errors"),
    ],
)
def test_options_it_does_not_have_are_refused_by_name(
    graph_run: GraphRun, option: str, message: str
) -> None:
    with pytest.raises(DriverError) as raised:
        open_driver("vfs", graph_root=graph_run.graph, run_root=graph_run.run, options=[option])

    assert message in str(raised.value)


def test_options_of_other_drivers_are_passed_over(graph_run: GraphRun) -> None:
    open_driver(
        "vfs",
        graph_root=graph_run.graph,
        run_root=graph_run.run,
        options=["overlay.mountopt=nodev", "vfs.ignore_chown_errors=false", ".imagestore="],
    )
