"""
Rows about unpacking a layer: start to end beside the Go tool and GNU tar, and the peak memory.

Each run fills a file system of its own, made for it; making the layer that is filled is not timed.
"""

import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.content import fresh_disk, tar_of_source
from tests.bench.measure import Row, peak_mib, time_command
from tests.peers import GoStore

HOLDCTL = str(Path(sys.executable).parent / "holdctl")

#: What takes part in a round, in the order in which the first one goes.
_OURS, _GO, _TAR = "holdctl", "containers-storage", "tar"
_LAYER = "the-layer"

_MANY_ENTRIES = 1_000_000
_LARGE_SIZE = 2 << 30


@dataclass(frozen=True)
class Case:
    """One way to unpack SOURCE, and what our time may be of the Go tool's and of tar's."""

    words: str
    suffix: str
    disk: str
    driver: str
    of_go: float
    of_tar: float


_PLAIN = Case("plain", "", "ext4", "overlay", 0.20, 0.95)
_GZIP = Case("gzip", ".gz", "ext4", "overlay", 0.25, 0.40)
_ZSTD = Case("zstd", ".zst", "ext4", "overlay", 0.27, 0.80)
_BTRFS = Case("plain, btrfs", "", "btrfs", "btrfs", 0.33, 1.15)


def _command(program: str, case: Case, archive: str, disk: Path) -> list[str]:
    """Prepare the disk for one run, and return what is to be measured."""
    if program == _TAR:
        target = disk / "target"
        target.mkdir()
        return ["tar", "-C", str(target), "--numeric-owner", "-xf", archive]
    store = GoStore(f"{disk}/graph", f"{disk}/run", case.driver)
    # The same for both, so that neither finds more than the other.
    store.run("create-layer", "-n", _LAYER)
    return [
        HOLDCTL if program == _OURS else store.program,
        *("--graph", store.graph, "--run", store.run_root, "--storage-driver", case.driver),
        *("applydiff", "-f", archive, _LAYER),
    ]


def _run(program: str, case: Case, measure: Callable[[Sequence[str]], float]) -> float:
    archive = tar_of_source(case.suffix)
    with fresh_disk(case.disk) as disk:
        return measure(_command(program, case, archive, disk))


def _apply(case: Case, name: str, pairs: int) -> Iterator[Row]:
    samples: dict[str, list[float]] = {_OURS: [], _GO: [], _TAR: []}
    order = list(samples)
    for _ in range(pairs):
        for program in order:
            samples[program].append(_run(program, case, time_command))
        order = order[1:] + order[:1]  # so that none is always the one behind the same other
    peak = _run(_OURS, case, peak_mib), _run(_GO, case, peak_mib)
    for peer, against, limit in (
        (_GO, "containers-storage", case.of_go),
        (_TAR, "GNU tar -x", case.of_tar),
    ):
        yield Row(
            name=name,
            what=f"holdctl applydiff of /usr/share, {case.words}, beside {against}",
            against=against,
            ours=samples[_OURS],
            peer=samples[peer],
            limit=limit,
            notes={"peak": f"{peak[0]:.0f} and {peak[1]:.0f} MiB"} if peer == _GO else {},
        )


# -- memory ------------------------------------------------------------------------------------


def _write_members(path: Path, members: Iterable[tarfile.TarInfo]) -> None:
    """A tar of members without content. (tarfile would keep them all in memory.)"""
    with open(path, "wb") as f:
        for member in members:
            f.write(member.tobuf())
        f.write(bytes(2 * tarfile.BLOCKSIZE))


def _write_many_entries(path: Path) -> None:
    """A tar of very many empty files, a thousand to a directory."""
    names = (f"directory-{number // 1000}/file-{number}" for number in range(_MANY_ENTRIES))
    _write_members(path, map(tarfile.TarInfo, names))


def _write_large_file(path: Path) -> None:
    """A tar of one file that is far larger than any buffer."""
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar, open("/dev/zero", "rb") as zero:
        member = tarfile.TarInfo("large")
        member.size = _LARGE_SIZE
        tar.addfile(member, zero)


def _directory(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = tarfile.DIRTYPE
    return member


def _write_many_directories(path: Path) -> None:
    """A tar of nothing but directories with long names, whose times are set at the very end."""
    names = (f"{number:06d}-{'n' * 200}" for number in range(_MANY_ENTRIES // 10))
    _write_members(path, map(_directory, names))


def _peak_of(archive: str, disk: Path) -> float:
    return peak_mib(_command(_OURS, _PLAIN, archive, disk))


def memory(_pairs: int) -> Iterator[Row]:
    """Peak memory: of each compression, and of layers that are large in other ways."""
    for case in (_PLAIN, _GZIP, _ZSTD, _BTRFS):
        yield _memory_row(f"/usr/share, {case.words}", _run(_OURS, case, peak_mib))
    yield _long_window()
    for what, write in (
        (f"{_MANY_ENTRIES:,} empty files", _write_many_entries),
        (f"a file of {_LARGE_SIZE >> 30} GiB", _write_large_file),
        (f"{_MANY_ENTRIES // 10:,} directories with long names", _write_many_directories),
    ):
        # On xfs: it makes inodes as they are needed.
        with fresh_disk("xfs") as disk:
            archive = disk / "layer.tar"
            write(archive)
            yield _memory_row(what, _peak_of(str(archive), disk))


def _long_window() -> Row:
    """With a window of 128 MiB, which every decoder has to keep: the rest is what is bounded."""
    with fresh_disk() as disk:
        archive = disk / "layer.tar.zst"
        command = ["zstd", "-q", "-1", "--long=27", "-c"]
        # From a pipe: of a file it would note the size, and a window that is no larger.
        with open(tar_of_source(), "rb") as tar, archive.open("wb") as packed:
            cat = subprocess.Popen(["cat"], stdin=tar, stdout=subprocess.PIPE)
            subprocess.run(command, stdin=cat.stdout, stdout=packed, check=True, timeout=120)
            assert cat.wait() == 0
        return _memory_row("/usr/share, zstd --long=27", _peak_of(str(archive), disk), 128 + 48)


def _memory_row(what: str, peak: float, limit: float = 96) -> Row:
    return Row(
        name="apply-memory",
        what=f"peak memory of holdctl applydiff, {what}",
        ours=[peak],
        unit="MiB",
        limit=limit,
    )


ROWS = {
    "apply-plain": partial(_apply, _PLAIN, "apply-plain"),
    "apply-gzip": partial(_apply, _GZIP, "apply-gzip"),
    "apply-zstd": partial(_apply, _ZSTD, "apply-zstd"),
    "apply-btrfs": partial(_apply, _BTRFS, "apply-btrfs"),
    "apply-memory": memory,
}
