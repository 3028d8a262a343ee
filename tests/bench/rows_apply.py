"""
Rows about unpacking a layer: start to end beside the Go tool and GNU tar, and the peak memory.

Each run fills a file system of its own, made for it; making the layer that is filled is not timed.
"""

import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.content import fresh_disk, tar_of_source
from tests.bench.measure import Row, peak_mib, time_and_peak
from tests.bench.sizes import IS_SMALL, SOURCE
from tests.peers import GoStore

HOLDCTL = str(Path(sys.executable).parent / "holdctl")

#: What takes part in a round, in the order in which the first one goes.
_OURS, _GO, _TAR = "holdctl", "containers-storage", "tar"
_LAYER = "the-layer"

_MANY_ENTRIES = 50_000 if IS_SMALL else 1_000_000
#: In a member's name: what becomes a number.
_MARK = b"@" * 8
#: Where a header has the sum of its bytes.
_SUM_FROM, _SUM_TO = 148, 156
_LARGE_SIZE = (256 if IS_SMALL else 2048) << 20


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


def _run(program: str, case: Case) -> tuple[float, float]:
    archive = tar_of_source(case.suffix)
    with fresh_disk(case.disk) as disk:
        return time_and_peak(_command(program, case, archive, disk))


def _apply(case: Case, name: str, pairs: int) -> Iterator[Row]:
    samples: dict[str, list[float]] = {_OURS: [], _GO: [], _TAR: []}
    peaks = dict.fromkeys(samples, 0.0)
    order = list(samples)
    for _ in range(pairs):
        for program in order:
            took, peak = _run(program, case)
            samples[program].append(took)
            peaks[program] = max(peaks[program], peak)
        order = order[1:] + order[:1]  # so that none is always the one behind the same other
    for peer, against, limit in (
        (_GO, "containers-storage", case.of_go),
        (_TAR, "GNU tar -x", case.of_tar),
    ):
        yield Row(
            name=name,
            what=f"holdctl applydiff of {SOURCE}, {case.words}, beside {against}",
            against=against,
            ours=samples[_OURS],
            peer=samples[peer],
            limit=limit,
            notes={"peak": f"{peaks[_OURS]:.0f} and {peaks[peer]:.0f} MiB"},
        )
    yield _memory_row(name, f"{SOURCE}, {case.words}", peaks[_OURS])


# -- memory ------------------------------------------------------------------------------------


def _write_members(path: Path, like: tarfile.TarInfo, marks: Iterable[bytes]) -> None:
    """
    A tar of members without content, all as `like`, in whose name one of `marks` is for _MARK.

    tarfile would take a minute for a million of them, and keep them all in memory.
    """
    made = like.tobuf()
    extended, header = made[: -tarfile.BLOCKSIZE], made[-tarfile.BLOCKSIZE :]
    before, after = header[:_SUM_FROM], header[_SUM_TO:]
    # The sum of all bytes, with blanks where the sum is.
    rest = sum(header.replace(_MARK, b"")) - sum(header[_SUM_FROM:_SUM_TO]) + 8 * ord(" ")
    with open(path, "wb") as f:
        for mark in marks:
            f.write(extended.replace(_MARK, mark) + before.replace(_MARK, mark))
            f.write(b"%06o\0 " % (rest + sum(mark)) + after)
        f.write(bytes(2 * tarfile.BLOCKSIZE))


def _write_many_entries(path: Path) -> None:
    """A tar of very many empty files, a thousand to a directory."""
    marks = (b"%04d/%03d" % divmod(number, 1000) for number in range(_MANY_ENTRIES))
    _write_members(path, tarfile.TarInfo(f"directory-{_MARK.decode()}-file"), marks)


def _write_large_file(path: Path) -> None:
    """A tar of one file that is far larger than any buffer."""
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar, open("/dev/zero", "rb") as zero:
        member = tarfile.TarInfo("large")
        member.size = _LARGE_SIZE
        tar.addfile(member, zero)


def _write_many_directories(path: Path) -> None:
    """A tar of nothing but directories with long names, whose times are set at the very end."""
    like = tarfile.TarInfo(f"{_MARK.decode()}-{'n' * 200}")
    like.type = tarfile.DIRTYPE
    _write_members(path, like, (b"%08d" % number for number in range(_MANY_ENTRIES // 10)))


def _peak_of(archive: str, disk: Path) -> float:
    return peak_mib(_command(_OURS, _PLAIN, archive, disk))


def memory(_pairs: int) -> Iterator[Row]:
    """Peak memory of layers that are large in other ways than SOURCE."""
    yield _long_window()
    for what, write in (
        (f"{_MANY_ENTRIES:,} empty files", _write_many_entries),
        (f"a file of {_LARGE_SIZE >> 20:,} MiB", _write_large_file),
        (f"{_MANY_ENTRIES // 10:,} directories with long names", _write_many_directories),
    ):
        # On xfs: it makes inodes as they are needed.
        with fresh_disk("xfs") as disk:
            archive = disk / "layer.tar"
            write(archive)
            yield _memory_row("apply-memory", what, _peak_of(str(archive), disk))


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
        peak = _peak_of(str(archive), disk)
    return _memory_row("apply-memory", f"{SOURCE}, zstd --long=27", peak, 128 + 48)


def _memory_row(name: str, what: str, peak: float, limit: float = 96) -> Row:
    return Row(
        name=name,
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
