"""
One store, and everyone who works on it: the Go tools, holdctl, and our Store in this process.

    live.go          containers-storage 1.43
    live.holdctl     ours as a program
    live.store       ours in this process, open all the time
"""

import base64
import gzip
import json
import os
import re
import shutil
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from holdfs.core.config import load_options
from holdfs.core.formats.records import to_json
from holdfs.core.store import Store
from tests.cli.holdctl import Holdctl
from tests.conftest import GraphRun
from tests.peers import Buildah, GoStore, Podman

KINDS = ("layers", "images", "containers")
LOCK_TIMEOUT_S = 20.0


class Live:
    """All views of one store."""

    def __init__(self, roots: GraphRun, driver: str) -> None:
        self.roots = roots
        self.driver = driver
        self.go = GoStore(*roots, driver)
        self.holdctl = Holdctl(*roots, driver)
        self.podman = Podman(*roots, driver)
        self.buildah = Buildah(*roots, driver)

    @cached_property
    def store(self) -> Store:
        return self.open()

    def open(self, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> Store:
        """Open the store once more."""
        options = load_options(
            graph_root=self.roots.graph, run_root=self.roots.run, driver=self.driver
        )
        return Store.open(options, lock_timeout_s=lock_timeout_s)

    # -- the disk --------------------------------------------------------------------------------

    def path(self, kind: str, name: str = "") -> Path:
        """Return a file of the directory of a kind; `mountpoints` is one."""
        if kind == "mountpoints":
            return Path(self.roots.run, f"{self.driver}-layers", name or "mountpoints.json")
        return Path(self.roots.graph, f"{self.driver}-{kind}", name or f"{kind}.json")

    def file(self, kind: str) -> bytes:
        """Return the bytes of a kind's JSON file; b"" if there is none."""
        try:
            return self.path(kind).read_bytes()
        except FileNotFoundError:
            return b""

    def records(self, kind: str) -> dict[str, Any]:
        """Return a kind's records as they are on disk, by ID."""
        return {record["id"]: record for record in json.loads(self.file(kind) or b"[]")}

    def mounts(self) -> list[dict[str, Any]]:
        """Return the mount table as it is on disk."""
        found: list[dict[str, Any]] = json.loads(self.file("mountpoints") or b"[]")
        return found

    def count(self, layer_id: str) -> int:
        """Return the mount count on disk."""
        return sum(entry["count"] for entry in self.mounts() if entry["id"] == layer_id)

    # -- views -----------------------------------------------------------------------------------

    def gos_view(self, kind: str) -> bytes:
        """Return what the Go tool lists, one JSON line."""
        return self.go.run_bytes(kind, "--json").stdout.replace(b"null\n", b"[]\n")

    def our_view(self, kind: str) -> bytes:
        """Return the same from our store."""
        records = getattr(self.store.snapshot(), kind)
        return b"[" + b",".join(to_json(records.one(i)) for i in records) + b"]\n"


def assert_same_views(live: Live) -> None:
    """See that our store and the Go tool tell the same of every record."""
    for kind in KINDS:
        assert live.gos_view(kind) == live.our_view(kind)


def copy(live: Live, to: GraphRun) -> Live:
    """Return an equal store in other roots. The one copied has nothing mounted."""
    for source, target in zip(live.roots, to, strict=True):
        shutil.rmtree(target)
        shutil.copytree(source, target, symlinks=True)
    return Live(to, live.driver)


class Comparable:
    """
    A store's content with what must differ between two equal stores left out, by name:

        IDs that were generated, and times of creation: numbered as they first appear, unless they
        are those of the common base. Tokens of lock files. The paths of the roots. The order of
        mountpoints.json, which has none (Go's is that of the layers).
    """

    def __init__(self, live: Live, base: bytes = b"") -> None:
        self._live = live
        self._base = base
        self._known: dict[bytes, bytes] = {}

    def content(self) -> dict[str, object]:
        """Return JSON files as text, and all other files with mode and content, by path."""
        found: dict[str, object] = {
            f"{kind}.json": self._plain(self._live.file(kind)) for kind in KINDS
        }
        order = list(self._live.records("layers"))
        mounts = sorted(self._live.mounts(), key=lambda entry: order.index(entry["id"]))
        found["mountpoints.json"] = self._plain(json.dumps(mounts).encode())
        driver = self._live.driver
        for kind in KINDS:
            for path in _below(Path(self._live.roots.graph, f"{driver}-{kind}")):
                if path.suffix in (".json", ".lock") or path.name.startswith(".tmp-"):
                    continue
                name = self._plain(os.fsencode(path.relative_to(self._live.roots.graph)))
                mode = f"{path.lstat().st_mode:o}"
                data = path.read_bytes() if path.is_file() else b""
                found[name] = (mode, _tar_split(data) if path.suffix == ".gz" else data)
        for name in sorted(os.listdir(_layer_home(self._live))):
            found[self._plain(b"driver/" + os.fsencode(name))] = True
        return found

    def _plain(self, data: bytes) -> str:
        data = data.replace(os.fsencode(self._live.roots.graph), b"GRAPH")
        data = re.sub(rb'(?<="created":")[^"]+', self._number, data)
        return os.fsdecode(re.sub(rb"(?<![:0-9a-f])[0-9a-f]{64}(?![0-9a-f])", self._number, data))

    def _number(self, match: re.Match[bytes]) -> bytes:
        if match[0] in self._base:
            return match[0]
        kind = b"time" if b"T" in match[0] else b"id"
        return self._known.setdefault(match[0], b"%s-%d" % (kind, len(self._known)))


def _tar_split(data: bytes) -> list[object]:
    """Return what a tar-split file says, however it is compressed and its bytes are cut."""
    said: list[object] = [b""]
    for line in gzip.decompress(data).splitlines():
        entry = json.loads(line)
        if entry["type"] == 1:
            said += [{key: entry[key] for key in entry if key != "position"}, b""]
        else:
            segment = said.pop()
            assert isinstance(segment, bytes)
            said.append(segment + base64.b64decode(entry["payload"]))
    return said


def _layer_home(live: Live) -> str:
    home = f"{live.roots.graph}/{live.driver}"
    if live.driver == "btrfs":
        return f"{home}/subvolumes"
    return f"{home}/dir" if live.driver == "vfs" else home


def _below(top: Path) -> Iterator[Path]:
    if top.is_dir():
        yield from sorted(top.rglob("*"))
