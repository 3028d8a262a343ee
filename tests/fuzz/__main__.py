"""
python -m tests.fuzz [SECONDS] [TARGET …]

Feeds the readers of foreign bytes with what nobody would write, under clang's sanitizers, each for
so many seconds (60 if not said), and once more, under the one that finds data races, what has
threads. What breaks one stays in `.fuzz/`, with the report.
"""

import gzip
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from holdfs.native.untar import UntarError
from tests.native.tarbytes import END, member
from tests.native.tarcases import BAD, GOOD, SPARSE, WHITEOUTS
from tests.native.unpacking import unpack

_HERE: Final = Path(__file__).resolve().parent
_TOP: Final = _HERE.parents[1]
_WORK: Final = _TOP / ".fuzz"
_SOURCES: Final = _TOP / "native" / "src"
_TAR_SOURCES: Final = (
    *sorted(_SOURCES.glob("tar/*.c")),
    _SOURCES / "remove.c",
    _SOURCES / "below.c",
)
_SCAN_SOURCES: Final = (_SOURCES / "scan.c", _SOURCES / "json.c")
_TAR_LIBRARIES: Final = ("-lisal", "-lcrypto", "-lzstd", "-llzma", "-lbz2", "-lz")
_MEMORY: Final = "address,undefined"
_RACES: Final = "thread"


class Target(NamedTuple):
    """One program: its harness is NAME.c, up to a dash."""

    name: str
    sanitizers: str
    sources: tuple[Path, ...]
    libraries: tuple[str, ...] = ()
    defined: tuple[str, ...] = ()


TARGETS: Final = (
    Target("scan", _MEMORY, _SCAN_SOURCES),
    Target("scan-halves", _RACES, _SCAN_SOURCES, defined=("-DHALVES_FROM=64",)),
    Target("untar", _MEMORY, _TAR_SOURCES, _TAR_LIBRARIES),
    Target("split", _MEMORY, _TAR_SOURCES, _TAR_LIBRARIES),
    Target("untar-threads", _RACES, _TAR_SOURCES, _TAR_LIBRARIES),
)


def _built(target: Target) -> Path:
    program = _WORK / target.name
    harness = _HERE / f"{target.name.partition('-')[0]}.c"
    command = [
        *("clang", "-std=gnu11", "-g", "-O1", f"-I{_SOURCES}", *target.defined),
        f"-fsanitize=fuzzer,{target.sanitizers}",
        "-fno-sanitize-recover=undefined",
        *map(str, (harness, *target.sources)),
        *(*target.libraries, "-lpthread", "-o", str(program)),
    ]
    subprocess.run(command, check=True)
    return program


def _seeds(target: Target) -> Iterator[bytes]:
    """Yield what to begin with: what tests have of each kind, good and bad."""
    if target.name.startswith("scan"):
        for path in sorted((_TOP / "tests" / "data").rglob("*.json")):
            yield path.read_bytes()
        return
    tars = [*GOOD.values(), *WHITEOUTS.values(), *SPARSE.values()]
    if target.name == "split":
        tars += [member("d/", mode=0o755) + member("d/f", data=b"hello\n") + END]
        for tar in tars:
            yield from _split_of(tar)
        return
    for tar in (*tars, *(tar for tar, _ in BAD.values())):
        yield from (bytes([how]) + tar for how in (0, 6))


def _split_of(tar: bytes) -> Iterator[bytes]:
    with (
        tempfile.TemporaryDirectory(prefix="holdfs-fuzz-") as directory,
        suppress(UntarError),  # some are for other whiteouts than these
    ):
        yield gzip.decompress(unpack(tar, Path(directory)).split.read_bytes())


def _run(target: Target, seconds: int) -> bool:
    """Fuzz one target; whether nothing broke."""
    corpus = _WORK / f"{target.name}.corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(_seeds(target)):
        (corpus / f"seed-{number}").write_bytes(seed)
    command = [
        str(_built(target)),
        str(corpus),
        f"-max_total_time={seconds}",
        f"-artifact_prefix={_WORK}/{target.name}-",
        *("-max_len=65536", "-timeout=30", "-rss_limit_mb=4096", "-print_final_stats=1"),
    ]
    log = _WORK / f"{target.name}.log"
    # They make their directories where they run, and one that breaks leaves them.
    with log.open("wb") as out, tempfile.TemporaryDirectory(prefix="holdfs-fuzz-") as place:
        done = subprocess.run(
            command,
            cwd=place,
            stdout=out,
            stderr=out,
            timeout=seconds + 120,
            env={
                **os.environ,
                "UBSAN_OPTIONS": "print_stacktrace=1",
                # The fuzzer's own counters are not atomic.
                "TSAN_OPTIONS": f"halt_on_error=1,suppressions={_HERE / 'races.txt'}",
            },
        )
    said = log.read_text(errors="replace")
    runs = next(
        (line.split()[-1] for line in said.splitlines() if "number_of_executed" in line), "?"
    )
    verdict = "nothing broke" if done.returncode == 0 else f"BROKEN, see {log}"
    print(f"{target.name}: {runs} inputs in {seconds} s, {verdict}", flush=True)
    if done.returncode != 0:
        print(f"again by: {shlex.join([*command[:1], f'{_WORK}/{target.name}-…'])}", flush=True)
    return done.returncode == 0


def main(words: list[str]) -> int:
    """Return 0 if nothing broke, 1 if something did, 2 for a target that does not exist."""
    seconds = int(words.pop(0)) if words and words[0].isdecimal() else 60
    known = {target.name: target for target in TARGETS}
    if unknown := [word for word in words if word not in known]:
        print(
            f"no such target: {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr
        )
        return 2
    outcomes = [_run(known[name], seconds) for name in words or known]
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
