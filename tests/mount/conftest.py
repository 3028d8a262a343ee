"""Places to mount at, daemons that serve, stores to mount from."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import GraphRun
from tests.mount.daemons import Daemon, serving
from tests.mount.scene import Scene
from tests.mount.shop import Shop


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give an empty directory to mount at."""
    path = tmp_path / "mnt"
    path.mkdir()
    return path


@pytest.fixture
def daemon(graph_run: GraphRun, root: Path) -> Iterator[Daemon]:
    """Give a daemon that serves `graph_run`, an empty store until the test makes something."""
    with serving(*graph_run, root) as daemon:
        yield daemon


@pytest.fixture
def scene(stores: Callable[[], GraphRun]) -> Scene:
    """Give a small store on overlay."""
    return Scene(*stores(), "overlay")


@pytest.fixture
def vfs_scene(stores: Callable[[], GraphRun]) -> Scene:
    """Give the same store on vfs."""
    return Scene(*stores(), "vfs")


@pytest.fixture
def shop(scene: Scene, root: Path) -> Iterator[Shop]:
    """Give the small store, mounted."""
    with serving(scene.go.graph, scene.go.run_root, root) as daemon:
        yield Shop(scene, daemon)


@pytest.fixture
def loose(shop: Shop) -> Path:
    """Give the directory of a layer that nobody stands on."""
    return shop.layers / "loose"
