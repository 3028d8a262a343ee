"""The small store of `scene`, mounted, and what the Go tools say of it."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.mount.daemons import PATIENCE_S, Daemon, eventually
from tests.mount.scene import Scene


class Shop:
    """
    base ← top ← image shop ← container web, and a layer `loose`: see `Scene`.

    Attributes:
        root: The mount point.
    """

    def __init__(self, scene: Scene, daemon: Daemon) -> None:
        self.scene = scene
        self.daemon = daemon
        self.root = daemon.root
        self.go = scene.go
        self.layers = daemon.root / "layers"
        self.images = daemon.root / "images"
        self.containers = daemon.root / "containers"

    def go_object(self, kinds: str, ref: str) -> dict[str, Any]:
        """Return the record that `containers-storage layers|images|containers` shows for it."""
        listed: list[dict[str, Any]] = self.go.json(kinds) or []
        for found in listed:
            if ref == found["id"] or ref in (found.get("names") or ()):
                return found
        raise AssertionError(f"containers-storage knows none of the {kinds} as {ref}")

    def go_names(self, kinds: str, ref: str) -> list[str]:
        """Return the names that containers-storage shows for an object."""
        return list(self.go_object(kinds, ref).get("names") or ())

    def go_ids(self, kinds: str) -> set[str]:
        """Return the IDs that `containers-storage layers|images|containers` lists."""
        return {found["id"] for found in self.go.json(kinds) or ()}

    def catch_up(self) -> None:
        """Wait until the mount shows what somebody else has just changed in the store."""
        for kind in ("layers", "images", "containers"):
            eventually(partial(self._is_shown, kind), f"the mount shows older {kind}")

    def _is_shown(self, kind: str) -> bool:
        path = f"{self.go.graph}/overlay-{kind}/{kind}.json"
        return os.stat(path).st_mtime_ns == os.stat(self.root / kind).st_mtime_ns

    def sh(self, script: str) -> str:
        """Run a shell script in the mount and return what it prints; it has to succeed."""
        done = self.try_sh(script)
        assert 0 == done.returncode, done.stderr
        return done.stdout

    def try_sh(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a shell script in the mount."""
        return subprocess.run(
            ["bash", "-c", script],
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
            stdin=subprocess.DEVNULL,
        )

    def errors(self) -> list[str]:
        """Return the lines of `errors`."""
        return (self.root / "errors").read_text().splitlines()

    @contextmanager
    def refused(self, number: int, operation: str, path: str | Path = "") -> Iterator[None]:
        """Expect this errno, and one line in `errors` that names operation and path."""
        before = len(self.errors())
        with pytest.raises(OSError) as caught:
            yield
        assert errno.errorcode[number] == errno.errorcode[caught.value.errno or 0]
        new = self.errors()[before:]
        assert 1 == len(new), new
        _, said, where, name, reason = new[0].split("  ", 4)
        shown = os.path.relpath(path, self.root) if os.path.isabs(path) else str(path)
        assert (operation, shown, errno.errorcode[number]) == (said, where, name)
        assert reason
