"""
Rows about getting content out: diffs, changes, copies of trees, and the peak memory of each.

Output goes through a pipe to `cat`: GNU tar does not even read what it would write to /dev/null.
"""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from tests.bench.content import fresh_disk, tar_of_source
from tests.bench.measure import Row, peak_mib, time_and_peak, time_command
from tests.bench.sizes import IS_SMALL, SOURCE
from tests.peers import GoStore

HOLDCTL = str(Path(sys.executable).parent / "holdctl")

_TIMEOUT_S = 300
#: Every so many-th file of a layer is another one in its child.
_CHANGED_EVERY = 200
_MANY_ENTRIES = 20_000 if IS_SMALL else 300_000
_LARGE_SIZE = (256 if IS_SMALL else 2048) << 20


T = TypeVar("T")


@dataclass(frozen=True)
class Filled:
    """A store on a disk of its own, with SOURCE as its one layer."""

    go: GoStore
    disk: Path
    layer_id: str

    def ours(self, *args: str) -> list[str]:
        """Return the command line of holdctl for this store."""
        return [HOLDCTL, *self._where(), *args]

    def theirs(self, *args: str) -> list[str]:
        """Return the same of containers-storage."""
        return [self.go.program, *self._where(), *args]

    def run(self, *args: str) -> str:
        """Return what holdctl says, its end of line taken off."""
        done = subprocess.run(
            self.ours(*args), check=True, stdout=subprocess.PIPE, text=True, timeout=_TIMEOUT_S
        )
        return done.stdout.strip()

    def directory(self, layer_id: str = "") -> Path:
        """Return where a layer's files are."""
        parts = {"overlay": ("overlay", layer_id or self.layer_id, "diff")}
        return Path(
            self.go.graph,
            *parts.get(self.go.driver, (self.go.driver, "dir", layer_id or self.layer_id)),
        )

    def _where(self) -> list[str]:
        store = self.go
        return ["--graph", store.graph, "--run", store.run_root, "--storage-driver", store.driver]


@contextmanager
def filled(driver: str, kind: str = "ext4") -> Iterator[Filled]:
    """Give a store that has the layer; files of one name only, as in a layer of a distribution."""
    with fresh_disk(kind) as disk:
        store = Filled(GoStore(f"{disk}/graph", f"{disk}/run", driver), disk, "")
        layer_id = store.run("create-layer").split()[0]
        store.run("applydiff", "-f", tar_of_source(), layer_id)
        subprocess.run(["sync"], check=True, timeout=_TIMEOUT_S)
        yield Filled(store.go, disk, layer_id)


def piped(command: Sequence[str]) -> list[str]:
    """Return the command with a reader at the other end of its output."""
    return ["bash", "-o", "pipefail", "-c", f"{shlex.join(command)} | cat"]


def in_rounds(programs: Sequence[Callable[[], T]], pairs: int) -> list[list[T]]:
    """Return the samples of several, which begin in turn."""
    samples: list[list[T]] = [[] for _ in programs]
    order = list(range(len(programs)))
    for _ in range(pairs):
        for index in order:
            samples[index].append(programs[index]())
        order = order[1:] + order[:1]
    return samples


def _drop_caches() -> None:
    subprocess.run(["sync"], check=True, timeout=_TIMEOUT_S)
    Path("/proc/sys/vm/drop_caches").write_text("3\n")


def _cold(command: Sequence[str]) -> float:
    _drop_caches()
    # What starts a program is not what is measured: the programs themselves are in the cache, all
    # that they load for a diff included, for which they are asked for one of an empty store.
    with tempfile.TemporaryDirectory(prefix="holdfs-bench-empty-") as top:
        where = ["--graph", f"{top}/graph", "--run", f"{top}/run", "--storage-driver", "vfs"]
        for program in (
            [HOLDCTL, *where, "diff", "none"],
            ["containers-storage", *where, "diff", "none"],
            ["tar", "--version"],
        ):
            subprocess.run(program, check=False, capture_output=True, timeout=_TIMEOUT_S)
    return time_command(command)


# -- diff --------------------------------------------------------------------------------------


def _diff(name: str, words: str, limits: Sequence[float], pairs: int) -> Iterator[Row]:
    measure = _cold if name == "diff-cold" else time_command
    with filled("overlay") as store:
        if name == "diff-generated":
            for path in Path(store.go.graph, "overlay-layers").glob("*.tar-split.gz"):
                path.unlink()
        commands = [
            piped(store.ours("diff", store.layer_id)),
            piped(store.theirs("diff", store.layer_id)),
            piped(["tar", "-C", str(store.directory()), "--numeric-owner", "-cf", "-", "."]),
        ]
        # This warms all of them.
        peaks = [peak_mib(command) for command in commands]
        ours, go, tar = in_rounds([partial(measure, command) for command in commands], pairs)
    yield Row(
        name=name,
        what=f"holdctl diff of {SOURCE}, {words}, beside containers-storage",
        against="containers-storage diff",
        ours=ours,
        peer=go,
        limit=limits[0],
        notes={"peak": f"{peaks[0]:.0f} and {peaks[1]:.0f} MiB"},
    )
    if len(limits) > 1:
        yield Row(
            name=name,
            what=f"holdctl diff of {SOURCE}, {words}, beside GNU tar",
            against="GNU tar -c",
            ours=ours,
            peer=tar,
            limit=limits[1],
            notes={"peak": f"{peaks[0]:.0f} and {peaks[2]:.0f} MiB"},
        )


# -- changes -----------------------------------------------------------------------------------


def _change_some(top: Path) -> None:
    """Append to every so many-th file, delete its neighbor and put a new one beside it."""
    number = 0
    for directory, _, names in os.walk(top):
        for name in sorted(names):
            path = Path(directory, name)
            if path.is_symlink() or not path.is_file():
                continue
            number += 1
            if number % _CHANGED_EVERY == 0:
                with path.open("ab") as f:
                    f.write(b"changed\n")
                path.with_name(f"{name[:200]}.new").write_bytes(b"new\n")
            elif number % _CHANGED_EVERY == 1:
                path.unlink()


def changes(pairs: int) -> Iterator[Row]:
    """What a vfs layer changes, and the same as a tar; both trees are read for that."""
    with filled("vfs") as store:
        child = store.run("create-layer", store.layer_id).split()[0]
        _change_some(store.directory(child))
        for word, what in (("changes", "changes"), ("diff", "diff without tar-split")):
            commands = [piped(store.ours(word, child)), piped(store.theirs(word, child))]
            # This warms both.
            peaks = [peak_mib(command) for command in commands]
            ours, go = in_rounds([partial(time_command, each) for each in commands], pairs)
            yield Row(
                name="changes",
                what=f"holdctl {what}, vfs, child of {SOURCE}",
                against=f"containers-storage {word}",
                ours=ours,
                peer=go,
                limit=0.25,
                notes={"peak": f"{peaks[0]:.0f} and {peaks[1]:.0f} MiB"},
            )


# -- copies ------------------------------------------------------------------------------------


def _copy(store: Filled, program: str) -> tuple[float, float]:
    """Make a copy, which is taken away then; return how long that took, and the peak memory."""
    target = store.disk / "copy"
    commands = {
        "holdctl": store.ours("create-layer", "-i", "c" * 64, store.layer_id),
        "go": store.theirs("create-layer", "-i", "c" * 64, store.layer_id),
        "cp": ["cp", "-a", "--reflink=auto", str(store.directory()), str(target)],
    }
    try:
        return time_and_peak(commands[program])
    finally:
        if program == "cp":
            subprocess.run(["rm", "-rf", str(target)], check=True, timeout=_TIMEOUT_S)
        else:
            store.run("delete-layer", "c" * 64)
        subprocess.run(["sync", "-f", str(store.disk)], check=True, timeout=_TIMEOUT_S)


def vfs_child(pairs: int) -> Iterator[Row]:
    """A child of a vfs layer, which is a copy of it, on the three file systems."""
    for kind, limit in (("ext4", 0.38), ("xfs", 0.30), ("btrfs", 0.42)):
        with filled("vfs", kind) as store:
            programs = [partial(_copy, store, each) for each in ("holdctl", "go", "cp")]
            # What is copied was written only now, and is warm.
            ours, go, cp = in_rounds(programs, pairs)
        for peer, against, most in (
            (go, "containers-storage create-layer", limit),
            (cp, "cp -a --reflink=auto", 0.6),
        ):
            yield Row(
                name="vfs-child",
                what=f"holdctl create-layer, vfs on {kind}, beside {against.split()[0]}",
                against=against,
                ours=[took for took, _ in ours],
                peer=[took for took, _ in peer],
                limit=most,
                notes={
                    "peak": " and ".join(
                        f"{max(peak for _, peak in each):.0f}" for each in (ours, peer)
                    )
                    + " MiB"
                },
            )


# -- memory ------------------------------------------------------------------------------------


def _memory_row(what: str, command: Sequence[str]) -> Row:
    return Row(
        name="export-memory",
        what=f"peak memory of holdctl {what}",
        ours=[peak_mib(command)],
        unit="MiB",
        limit=96,
    )


def memory(_pairs: int) -> Iterator[Row]:
    """Peak memory where there are very many entries, and one very large file."""
    with fresh_disk("xfs") as disk:
        store = Filled(GoStore(f"{disk}/graph", f"{disk}/run", "vfs"), disk, "")
        layer_id = store.run("create-layer").split()[0]
        many = store.directory(layer_id)
        for number in range(_MANY_ENTRIES):
            if number % 1000 == 0:
                (top := many / f"directory-{number // 1000}").mkdir()
            os.mknod(f"{top}/file-{number}", 0o644)
        with (many / "large").open("wb") as f:
            f.truncate(_LARGE_SIZE)
        for word in ("changes", "diff", "diffsize"):
            words = f"{word}, {_MANY_ENTRIES:,} entries and a file of {_LARGE_SIZE >> 20:,} MiB"
            yield _memory_row(words, store.ours(word, layer_id))
        words = f"create-layer, copy of {_MANY_ENTRIES:,} entries"
        yield _memory_row(words, store.ours("create-layer", layer_id))


ROWS = {
    "diff-warm": partial(_diff, "diff-warm", "with tar-split, warm", (0.20, 0.95)),
    "diff-cold": partial(_diff, "diff-cold", "with tar-split, caches cold", (0.27, 0.70)),
    "diff-generated": partial(_diff, "diff-generated", "without tar-split", (0.25,)),
    "changes": changes,
    "vfs-child": vfs_child,
    "export-memory": memory,
}
