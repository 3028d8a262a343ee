"""A small store with everything that `rootfs` can lead to, and the Go tools' word on its mounts."""

import json
import os
import select
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from holdfs.core.config import load_options
from holdfs.core.store import Store
from holdfs.fusefs.automount import Automount
from tests.mount.daemons import PATIENCE_S
from tests.mounts import mounts_below
from tests.peers import GoStore


class Scene:
    """A store with base ← top ← image shop ← container web, and a layer `loose` on its own."""

    def __init__(self, graph: str, run: str, driver: str) -> None:
        self.go = GoStore(graph, run, driver)
        options = load_options(graph_root=graph, run_root=run, driver=driver)
        self.store = Store.open(options, lock_timeout_s=10)
        self.base = self.store.create_layer(names=["base"]).id
        self.top = self.store.create_layer(parent="base", names=["top"]).id
        self.loose = self.store.create_layer(names=["loose"]).id
        self.image = self.store.create_image(layer="top", names=["shop"]).id
        self.web = self.store.create_container(image="shop", names=["web"])
        path = Path(self.store.mount(self.top), "motd")
        path.write_text("from top\n")
        self.store.unmount(self.top)

    def automount(self, *, idle_s: float = 60, read_only: bool = False) -> Automount:
        return Automount(self.store, idle_s=idle_s, read_only=read_only)

    def count(self, layer_id: str) -> int:
        """How often the layer is mounted, as the mount table on disk says to the Go tools."""
        return sum(entry["count"] for entry in self.go_table() if entry["id"] == layer_id)

    def go_table(self) -> list[dict[str, Any]]:
        path = Path(self.go.run_root, f"{self.go.driver}-layers", "mountpoints.json")
        loaded: list[dict[str, Any]] = json.loads(path.read_bytes() or b"[]")
        return loaded

    def ours(self) -> list[str]:
        """Mount points that are in the run root, but for the directories mounted on themselves."""
        top = f"{os.path.realpath(self.go.run_root)}/holdfs/"
        return [p for p in mounts_below(self.go.run_root) if p.removeprefix(top).count("/") == 1]


def expire_until(automount: Automount, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "nothing expired"
        time.sleep(min(automount.expire(), 0.05))


def is_readable(automount: Automount) -> bool:
    return bool(select.select([automount], [], [], 0)[0])
