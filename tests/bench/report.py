"""
The table of results: as Markdown for people, as JSON for the next run, which keeps the rows that it
does not measure again.

No host names and no paths go in: only what tells how much a figure is worth.
"""

import datetime
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.bench import plots
from tests.bench.measure import Row

RESULTS = Path(__file__).parent / "results"
_README = Path(__file__).parents[2] / "README.md"
#: Between these two lines the project's README is written by a full run.
_BEGIN, _END = "<!-- made by make bench -->", "<!-- end of what make bench makes -->"
_ENOUGH_FOR_QUARTILES = 5
_HEAD = """\
# How fast holdfs is

Made by `make bench`. Each figure with a peer is a ratio of medians, ours to the peer's, of runs in
turn on the same data; below 1 we are faster. Times and memory are medians too, with the quartiles
between which half of the samples lie.

![Cost against number of objects](growth.svg)

![Unpacking and export](layers.svg)

| what | against | ours | theirs | figure | at most | |
|---|---|---:|---:|---:|---:|---|
"""


def facts() -> dict[str, str]:
    """Return what the figures depend on: machine and versions."""
    tool = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "containers-storage"],
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
    ).stdout
    libfuse = subprocess.run(
        ["pkg-config", "--modversion", "fuse3"],
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
    ).stdout.strip()
    return {
        "date": datetime.date.today().isoformat(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "processors": str(os.cpu_count()),
        "Python": platform.python_version(),
        "pyfuse3": version("pyfuse3"),
        "trio": version("trio"),
        "libfuse": libfuse or "unknown",
        "containers-storage": tool or "unknown",
    }


def as_json(rows: Iterable[Row]) -> dict[str, dict[str, Any]]:
    """Return the rows by what they measure, with their samples."""
    about = facts()
    return {
        row.what: {
            "row": row.name,
            "against": row.against,
            "ours": list(row.ours),
            "peer": list(row.peer),
            "unit": row.unit,
            "figure": row.figure,
            "limit": row.limit,
            "notes": row.notes,
            "curves": row.curves,
            "facts": about,
        }
        for row in rows
    }


def write(rows: Iterable[Row]) -> None:
    """Put the rows in the place of their older selves."""
    path = RESULTS / "results.json"
    kept: dict[str, dict[str, Any]] = json.loads(path.read_bytes()) if path.exists() else {}
    fresh = as_json(rows)
    measured = {entry["row"] for entry in fresh.values()}
    kept = {what: entry for what, entry in kept.items() if entry["row"] not in measured} | fresh
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (RESULTS / "README.md").write_text(as_markdown(kept), encoding="utf-8")
    (RESULTS / "growth.svg").write_text(plots.growth(kept), encoding="utf-8")
    (RESULTS / "layers.svg").write_text(plots.layers(kept), encoding="utf-8")
    text = _README.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    after = rest.partition(_END)[2]
    made = f"{before}{_BEGIN}\n{as_section(kept)}{_END}{after}"
    _README.write_text(made, encoding="utf-8")


def as_markdown(entries: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the whole page."""
    lines = [line(what, entry) for what, entry in entries.items()]
    runs = {json.dumps(entry["facts"]): entry["facts"] for entry in entries.values()}
    about = [", ".join(f"{key} {value}" for key, value in run.items()) for run in runs.values()]
    return (
        _HEAD
        + "\n".join(lines)
        + "\n\nMeasured with:\n\n"
        + "\n".join(f"- {a}" for a in about)
        + "\n"
    )


def as_section(entries: Mapping[str, Mapping[str, Any]]) -> str:
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
        for what, entry in entries.items()
        if entry["peer"]
    )
    return f"\n{pictures}| what | against | our time of theirs |\n|---|---|---:|\n{rows}\n"


def line(what: str, entry: Mapping[str, Any]) -> str:
    """Return one row of the Markdown table."""
    unit, limit, figure = entry["unit"], entry["limit"], entry["figure"]
    has_peer = bool(entry["peer"])
    notes = "; ".join(f"{key} {value}" for key, value in entry["notes"].items())
    cells = (
        what + (f" ({notes})" if notes else ""),
        entry["against"] or "-",
        _spread(entry["ours"], unit),
        _spread(entry["peer"], unit) if has_peer else "-",
        f"{figure:.3f}" if has_peer else _amount(figure, unit),
        f"{limit:.3f}" if has_peer else _amount(limit, unit),
        "reached" if figure <= limit else "**missed**",
    )
    return "| " + " | ".join(cells) + " |"


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
