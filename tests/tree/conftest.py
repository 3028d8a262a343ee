"""A tree on a real store, without a kernel."""

from collections.abc import Callable

import pytest

from holdfs.core.config import load_options
from holdfs.core.store import Store
from holdfs.fusefs.settings import Settings
from holdfs.fusefs.tree.node import Directory, Node, Plan
from holdfs.fusefs.tree.root import Root
from holdfs.fusefs.tree.tree import Tree
from tests.conftest import GraphRun


class NoMounts:
    """A stand-in where nothing is ever mounted, for trees that nobody looks into."""

    def target(self, kind: str, object_id: str) -> str:
        return f"/nowhere/{kind}/{object_id}"

    def release(self, kind: str, object_id: str) -> None:
        pass


class Grove:
    """A tree, its root, and a clock that a test moves."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.now = 1000.0
        self.tree = Tree(store, NoMounts(), settings, lambda: self.now)
        self.root = Root()

    def find(self, path: str) -> Node | None:
        """Return the node of a path, as the kernel would come to it; links are not followed."""
        self.tree.load()
        node: Node | None = self.root
        for name in path.split("/") if path else ():
            if not isinstance(node, Directory):
                return None
            node = node.lookup(self.tree.view, name)
        return node

    def directory(self, path: str) -> Directory:
        found = self.find(path)
        assert isinstance(found, Directory), path
        return found

    def names(self, path: str) -> list[str]:
        """Return a listing."""
        return list(self.directory(path).names(self.tree.view))

    def do(self, plan: Plan | None) -> None:
        """Carry out a plan."""
        if plan is not None:
            if plan.step is not None:
                plan.step()
            self.tree.load()
            if plan.after is not None:
                plan.after()


@pytest.fixture
def grove(graph_run: GraphRun) -> Grove:
    """Give the tree of an empty store."""
    options = load_options(graph_root=graph_run.graph, run_root=graph_run.run, driver="vfs")
    return Grove(Store.open(options, lock_timeout_s=10), Settings(mount_point="/mnt/store"))


@pytest.fixture
def chain(grove: Grove) -> Callable[[], None]:
    """Give a function that makes base ← top ← image shop ← container web."""

    def make() -> None:
        store = grove.store
        store.create_layer(names=["base"], layer_id="b" * 64)
        store.create_layer(names=["top"], layer_id="d" * 64, parent="base")
        store.create_image(names=["shop", "q/shop"], image_id="e" * 64, layer="top")
        store.create_container(names=["web"], container_id="f" * 64, image="shop")

    return make
