"""
The results: a table as Markdown for people, and JSON for the next run.

    rows     by name: how long it took, and the error that ended it, or ""
    lines    by what is measured: samples, figure, limit, and the figures of the runs before

A row that is measured replaces its own lines and leaves the others.
A line is reached if each of the last three runs on the same machine reached it.

No host names and no paths go in: only what tells how much a figure is worth.
"""

import datetime
import json
import os
import platform
import re
import statistics
import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from tests.bench import plots
from tests.bench.measure import Row

RESULTS = Path(__file__).parent / "results"
_README = Path(__file__).parents[2] / "README.md"
#: Between these two lines the project's README is written by a full run.
_BEGIN, _END = "<!-- made by make bench -->", "<!-- end of what make bench makes -->"
_ENOUGH_FOR_QUARTILES = 5
_RUNS = 3
#: What may differ between runs that are comparable.
_OF_THE_DAY = ("date", "commit")

#: Where NOTES.md says what limits a row.
NOTES: Final = {
    **dict.fromkeys(("apply-plain", "apply-gzip", "apply-zstd", "apply-btrfs"), "unpacking"),
    "apply-memory": "unpacking",
    **dict.fromkeys(("diff-warm", "diff-cold", "diff-generated"), "exporting-comparing-copying"),
    **dict.fromkeys(("changes", "vfs-child", "export-memory"), "exporting-comparing-copying"),
    **dict.fromkeys(("start-read", "start-write"), "start-up-and-records"),
    **dict.fromkeys(("read-10000", "write-10000", "growth"), "start-up-and-records"),
    "tree-write-10000": "writes-through-the-tree-10000-images",
    "cat-names": "cat-names-on-a-small-store",
    "ls-l": "ls--l-images-with-10000-images",
    "uncached-stat": "a-stat-and-a-read-that-reach-the-daemon",
    "open-read-close": "a-stat-and-a-read-that-reach-the-daemon",
    "read-diff": "difftar-and-ociblobs-through-the-tree",
    "read-rootfs": "files-through-rootfs",
    **dict.fromkeys(("load", "memory"), "the-daemon-under-load-and-its-memory"),
}
_HEAD = """\
# How fast holdfs is

Made by `make bench`. Each figure with a peer is a ratio of medians, ours to the peer's, of runs in
turn on the same data; below 1 we are faster. Times and memory are medians too, with the quartiles
between which half of the samples lie.
A line is reached if this run and the runs before, two at most, all reached it.

![Cost against number of objects](growth.svg)

![Unpacking and export](layers.svg)

| what | against | ours | theirs | figure | runs before | at most | |
|---|---|---:|---:|---:|---:|---:|---|
"""


@dataclass(frozen=True)
class Outcome:
    """What came of measuring one row; with an error, its lines up to there."""

    name: str
    lines: Sequence[Row]
    took_s: float
    error: str = ""


@cache
def facts() -> dict[str, str]:
    """Return what the figures depend on: machine and versions."""
    tool = _said("dpkg-query", "-W", "-f", "${Version}", "containers-storage")
    libfuse = _said("pkg-config", "--modversion", "fuse3")
    commit = _said("git", "-C", str(RESULTS), "rev-parse", "--short", "HEAD")
    return {
        "date": datetime.date.today().isoformat(),
        "commit": commit,
        "machine": platform.machine(),
        "kernel": platform.release(),
        "processors": str(os.cpu_count()),
        "Python": platform.python_version(),
        "pyfuse3": version("pyfuse3"),
        "trio": version("trio"),
        "libfuse": libfuse,
        "containers-storage": tool,
    }


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except FileNotFoundError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def write(outcome: Outcome, names: Collection[str]) -> None:
    """
    Put what came of a row in the place of what is there of it, and make the pages anew.

    Args:
        names: Of all rows that there are; what is there of others goes.
    """
    path = RESULTS / "results.json"
    kept = json.loads(path.read_bytes()) if path.exists() else {"rows": {}, "lines": {}}
    kept = {
        "rows": {name: row for name, row in kept["rows"].items() if name in names},
        "lines": {what: line for what, line in kept["lines"].items() if line["row"] in names},
    }
    results = merged(kept, outcome, facts())
    lines = results["lines"]
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (RESULTS / "README.md").write_text(as_markdown(results), encoding="utf-8")
    (RESULTS / "growth.svg").write_text(plots.growth(lines), encoding="utf-8")
    (RESULTS / "layers.svg").write_text(plots.layers(lines), encoding="utf-8")
    text = _README.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    after = rest.partition(_END)[2]
    made = f"{before}{_BEGIN}\n{as_section(lines)}{_END}{after}"
    _README.write_text(made, encoding="utf-8")


def merged(
    kept: Mapping[str, Mapping[str, Any]], outcome: Outcome, about: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """
    Return the results with those of one row in the place of its older ones.

    A line that the row did not come to is gone, so that no older figure stands for it.
    """
    old = kept["lines"]
    fresh = {
        row.what: _entry(row) | {"before": _before(old.get(row.what), about), "facts": about}
        for row in outcome.lines
    }
    took = {"took_s": round(outcome.took_s, 1), "error": _without_paths(outcome.error)}
    # In the place where its lines were, if it had any.
    lines: dict[str, Any] = {}
    for what, entry in old.items():
        if entry["row"] == outcome.name:
            lines |= fresh
        else:
            lines[what] = entry
    return {"rows": {**kept["rows"], outcome.name: took}, "lines": lines | fresh}


def _entry(row: Row) -> dict[str, Any]:
    return {
        "row": row.name,
        "against": row.against,
        "ours": list(row.ours),
        "peer": list(row.peer),
        "unit": row.unit,
        "figure": row.figure,
        "limit": row.limit,
        "notes": row.notes,
        "curves": row.curves,
    }


def _before(older: Mapping[str, Any] | None, about: Mapping[str, str]) -> list[float]:
    """Return the figures of the runs before, the latest one last; none of another machine."""
    if older is None or _of_machine(older["facts"]) != _of_machine(about):
        return []
    return [*older["before"], older["figure"]][1 - _RUNS :]


def _of_machine(about: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in about.items() if key not in _OF_THE_DAY}


def _without_paths(error: str) -> str:
    """Return an error's first line, in which only names of files stand for paths."""
    return re.sub(r"(?:/[^\s/:'\"]+)+/", "", error.partition("\n")[0])


def as_markdown(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the whole page."""
    rows, lines = results["rows"], results["lines"]
    failed = [
        f"| row {name} | - | - | - | - | - | - | **failed**: {row['error'].replace('|', '/')} |"
        for name, row in rows.items()
        if row["error"]
    ]
    runs = {json.dumps(entry["facts"]): entry["facts"] for entry in lines.values()}
    about = [", ".join(f"{key} {value}" for key, value in run.items()) for run in runs.values()]
    minutes = sum(row["took_s"] for row in rows.values()) / 60
    return (
        _HEAD
        + "\n".join([*(_line(what, entry) for what, entry in lines.items()), *failed])
        + f"\n\nMeasured in {minutes:.0f} minutes with:\n\n"
        + "\n".join(f"- {a}" for a in about)
        + "\n"
    )


def as_section(lines: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what the project's README shows: the plots, and the figures that have a peer."""
    pictures = "".join(
        f"![{words}](tests/bench/results/{name}.svg)\n\n"
        for name, words in (
            ("growth", "Cost against number of objects"),
            ("layers", "Unpacking and export"),
        )
    )
    rows = "".join(
        f"| {what} | {entry['against']} | {entry['figure']:.3f} |\n"
        for what, entry in lines.items()
        if entry["peer"]
    )
    return f"\n{pictures}| what | against | our time of theirs |\n|---|---|---:|\n{rows}\n"


def shown(row: Row) -> str:
    """Return a line of the table as it is shown while measuring, by itself."""
    return _line(row.what, _entry(row) | {"before": []})


def _line(what: str, entry: Mapping[str, Any]) -> str:
    unit, limit, before = entry["unit"], entry["limit"], entry["before"]
    has_peer = bool(entry["peer"])
    notes = "; ".join(f"{key} {value}" for key, value in entry["notes"].items())

    def figure(value: float) -> str:
        return f"{value:.3f}" if has_peer else _amount(value, unit)

    cells = (
        what + (f" ({notes})" if notes else ""),
        entry["against"] or "-",
        _spread(entry["ours"], unit),
        _spread(entry["peer"], unit) if has_peer else "-",
        figure(entry["figure"]),
        ", ".join(map(figure, before)) or "-",
        figure(limit),
        _verdict(entry["row"], [*before, entry["figure"]], limit),
    )
    return "| " + " | ".join(cells) + " |"


def _verdict(row: str, figures: Sequence[float], limit: float) -> str:
    missed = sum(figure > limit for figure in figures)
    if not missed:
        return "reached"
    often = f" {missed} of {len(figures)}" if missed < len(figures) else ""
    why = f", see [NOTES](../NOTES.md#{NOTES[row]})" if row in NOTES else ""
    return f"**missed**{often}{why}"


def _spread(samples: Sequence[float], unit: str) -> str:
    """Return the median, and the quartiles where there are enough samples for them."""
    median = _amount(statistics.median(samples), unit)
    if len(samples) < _ENOUGH_FOR_QUARTILES:
        return median
    low, _, high = statistics.quantiles(samples, n=4, method="inclusive")
    return f"{median} ({_amount(low, unit)} to {_amount(high, unit)})"


def _amount(value: float, unit: str) -> str:
    if unit != "s":
        return f"{value:.0f} {unit}"
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1e3:.1f} ms" if value >= 1e-3 else f"{value * 1e6:.2f} µs"
