"""
python -m tests.bench [QUICK] [row …]

Measures the rows asked for, or all, prints them as they come and writes tests/bench/results/.
QUICK takes fewer samples and writes nothing: its figures are for whoever is at work on a row.
"""

import pkgutil
import sys
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
    """Return 0 if every figure is reached, 1 if not, 2 for a row that does not exist."""
    is_quick = "QUICK" in words
    wanted = [word for word in words if word != "QUICK"] or list(ROWS)
    if unknown := [word for word in wanted if word not in ROWS]:
        print(f"no such row: {', '.join(unknown)}; there are {', '.join(ROWS)}", file=sys.stderr)
        return 2
    measured: list[Row] = []
    for name in wanted:
        for row in ROWS[name](_QUICK_PAIRS if is_quick else _PAIRS):
            measured.append(row)
            [(what, entry)] = report.as_json([row]).items()
            print(report.line(what, entry), flush=True)
        # Row by row: what follows may fail.
        if not is_quick:
            report.write(measured)
    return 0 if all(row.is_reached for row in measured) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
