"""
python -m tests.bench [QUICK] [row …]

Measures the rows asked for, or all, prints their lines as they come, and how long each row takes to
standard error. What is measured goes to tests/bench/results/, row by row, in the place of what the
row had there. A row that fails is recorded with its error, and the others go on.

QUICK takes fewer pairs and writes nothing: its figures are for whoever is at work on a row. Without
names of rows it takes smaller sizes too (tests/bench/sizes.py).
"""

import pkgutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from importlib import import_module

import tests.bench
from tests.bench import report
from tests.bench.measure import Row

#: What every module `rows_*` measures: a row's name, and what yields its lines for so many pairs.
ROWS: dict[str, Callable[[int], Iterator[Row]]] = {
    name: measure
    for module in pkgutil.iter_modules(tests.bench.__path__)
    if module.name.startswith("rows_")
    for name, measure in import_module(f"tests.bench.{module.name}").ROWS.items()
}
_PAIRS = 5
_QUICK_PAIRS = 3


def main(words: list[str]) -> int:
    """Return 0 if all is reached, 1 if a figure is missed or a row failed, 2 for no such row."""
    is_quick = "QUICK" in words
    wanted = [word for word in words if word != "QUICK"] or list(ROWS)
    if unknown := [word for word in wanted if word not in ROWS]:
        print(f"no such row: {', '.join(unknown)}; there are {', '.join(ROWS)}", file=sys.stderr)
        return 2
    began = time.monotonic()
    is_good = True
    for name in wanted:
        outcome = _measured(name, _QUICK_PAIRS if is_quick else _PAIRS)
        is_good &= not outcome.error and all(row.is_reached for row in outcome.lines)
        print(f"{name}: {outcome.took_s:.1f} s", file=sys.stderr, flush=True)
        # Row by row: what follows may be broken off.
        if not is_quick:
            report.write(outcome, ROWS)
    print(f"all: {time.monotonic() - began:.1f} s", file=sys.stderr)
    return 0 if is_good else 1


def _measured(name: str, pairs: int) -> report.Outcome:
    """Measure one row to its end, or as far as it gets."""
    began = time.monotonic()
    lines: list[Row] = []
    error = ""
    try:
        for line in ROWS[name](pairs):
            lines.append(line)
            print(report.shown(line), flush=True)
    except Exception as e:  # whatever it is: the other rows are worth having
        traceback.print_exc()
        error = f"{type(e).__name__}: {e}"
    return report.Outcome(name, lines, time.monotonic() - began, error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
