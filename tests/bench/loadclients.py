"""
python -I tests/bench/loadclients.py ROOT SECONDS CLIENTS < store.json

So many processes that read a mounted store, made by stores.py, as fast as they can, and check each
answer. Prints one JSON line a client: requests by kind, the longest of each, what was wrong.

Apart from the rest so that it starts quickly: nothing but the standard library is loaded.
"""

import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: No more of what is wrong is kept: one tells enough.
_KEPT = 5


class Client:
    """One reader: `calls` and `longest_s` by system call, `wrong` in words."""

    def __init__(self, root: str, store: dict[str, Any], seed: int) -> None:
        self._root = root
        self._store = store
        self._random = random.Random(seed)
        self.calls: dict[str, int] = {}
        self.longest_s: dict[str, float] = {}
        self.wrong: list[str] = []

    def run(self, seconds: float) -> None:
        kinds: list[tuple[Callable[[], None], int]] = [
            (self._image, 40),
            (self._layer, 30),
            (self._container, 20),
            (self._missing, 10),
            (self._health, 2),
            (self._listing, 1),
        ]
        functions, weights = zip(*kinds, strict=True)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            [look] = self._random.choices(functions, weights)
            try:
                look()
            except OSError as error:
                self._expect(f"{look.__name__} {error.filename}", None, error.strerror)

    # -- looks -----------------------------------------------------------------------------------

    def _image(self) -> None:
        number = self._random.randrange(self._store["images"])
        name = f"docker.io/library/app-{number:05d}:latest"
        with self._timed("readlink"):
            target = os.readlink(f"{self._root}/images/by-name/{name}")
        image_id = os.path.basename(target)
        directory = f"{self._root}/images/{image_id}"
        self._expect("names", f"{name}\n", self._read(f"{directory}/names"))
        with self._timed("stat"):
            status = os.stat(f"{directory}/metadata")
        self._expect("size", status.st_size, len(self._read(f"{directory}/metadata")))
        layer = self._store["layers_each"] * (number + 1) - 1
        with self._timed("readlink"):
            top = os.readlink(f"{directory}/top-layer")
        self._expect("top-layer", self._store["layer_ids"][layer], os.path.basename(top))

    def _layer(self) -> None:
        layer_id = self._random.choice(self._store["layer_ids"])
        directory = f"{self._root}/layers/{layer_id}"
        self._expect("id", f"{layer_id}\n", self._read(f"{directory}/id"))
        info = json.loads(self._read(f"{directory}/info.json"))
        self._expect("info.json", layer_id, info["id"])

    def _container(self) -> None:
        if not self._store["containers"]:
            return
        number = self._random.randrange(self._store["containers"])
        directory = f"{self._root}/containers/box-{number:05d}"  # an alias, never cached
        self._expect("names", f"box-{number:05d}\n", self._read(f"{directory}/names"))
        metadata = json.loads(self._read(f"{directory}/metadata"))
        self._expect("metadata", number, metadata["number"])

    def _missing(self) -> None:
        try:
            with self._timed("stat"):
                os.stat(f"{self._root}/images/none-{self._random.random()}")
        except FileNotFoundError:
            return
        self._expect("a name that nothing has", "ENOENT", "an entry")

    def _health(self) -> None:
        layer_id = self._random.choice(self._store["layer_ids"])
        self._expect("health", "ok\n", self._read(f"{self._root}/layers/{layer_id}/health"))

    def _listing(self) -> None:
        kind = self._random.choice(("images", "layers", "containers", "images/by-name/docker.io"))
        names: list[str] = []
        with self._timed("opendir"):
            entries = os.scandir(f"{self._root}/{kind}")
        with entries:
            while True:
                with self._timed("getdents"):
                    entry = next(entries, None)
                if entry is None:
                    break
                names.append(entry.name)
        self._expect(f"entries twice in {kind}", [], [] if len(names) == len(set(names)) else names)
        least = self._store.get(kind, 0)
        self._expect(f"entries of {kind}", least, min(least, len(names)))

    def _read(self, path: str) -> str:
        with self._timed("open"):
            fd = os.open(path, os.O_RDONLY)
        try:
            with self._timed("read"):
                return os.read(fd, 1 << 20).decode()
        finally:
            with self._timed("close"):
                os.close(fd)

    @contextmanager
    def _timed(self, call: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - start
            self.calls[call] = self.calls.get(call, 0) + 1
            self.longest_s[call] = max(took, self.longest_s.get(call, 0.0))

    def _expect(self, what: str, expected: object, seen: object) -> None:
        if expected != seen and len(self.wrong) < _KEPT:
            self.wrong.append(f"{what}: {str(seen)[:200]!r} instead of {str(expected)[:200]!r}")


def main(root: str, seconds: float, clients: int) -> int:
    store = json.load(sys.stdin)
    children = []
    for seed in range(clients):
        child = os.fork()
        if child == 0:
            client = Client(root, store, seed)
            client.run(seconds)
            line = json.dumps(
                {"calls": client.calls, "longest_s": client.longest_s, "wrong": client.wrong}
            )
            os.write(1, f"{line}\n".encode())  # one write: whole lines
            os._exit(0)
        children.append(child)
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
