"""
The plots of the results, written as SVG by hand: a few lines, words and bars need no library.

    growth.svg   cost against number of objects, both axes by powers of ten; ours drawn through,
                 the Go tool's dashed
    layers.svg   one bar a program and row of unpacking and export
"""

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any, Final

Entries = Mapping[str, Mapping[str, Any]]

_WIDTH: Final = 900
_HEIGHT: Final = 520
#: Left, top, right, bottom of what is drawn in; at the right are the words for the lines.
_LEFT, _TOP, _RIGHT, _BOTTOM = 70, 40, 560, 460
_COLOURS: Final = ("#1b6ca8", "#c8553d", "#2a9134", "#8e44ad", "#b8860b", "#555555")
_OURS, _THEIRS = "#1b6ca8", "#c8a27a"
_BAR, _GAP = 16, 12
_LAYER_ROWS: Final = ("apply-", "diff", "export", "changes")


def growth(entries: Entries) -> str:
    """Return the plot of every row with curves; ours and theirs of one row in one colour."""
    curves = {what: entry["curves"] for what, entry in entries.items() if entry.get("curves")}
    points = [
        (float(count), seconds)
        for sides in curves.values()
        for side in sides.values()
        for count, seconds in side.items()
    ]
    if not points:
        return _svg(["<text x='20' y='40'>not measured yet</text>"], _HEIGHT)
    x_axis = _Axis([x for x, _ in points], _LEFT, _RIGHT)
    y_axis = _Axis([y for _, y in points], _BOTTOM, _TOP)
    drawn = [*_grid(x_axis, y_axis)]
    for at, (what, sides) in enumerate(curves.items()):
        colour = _COLOURS[at % len(_COLOURS)]
        for side, curve in sides.items():
            path = " ".join(
                f"{x_axis.at(float(count)):.1f},{y_axis.at(seconds):.1f}"
                for count, seconds in curve.items()
            )
            style = f"fill='none' stroke='{colour}' stroke-width='2'"
            dashes = "" if side == "ours" else " stroke-dasharray='6 4'"
            drawn.append(f"<polyline points='{path}' {style}{dashes}/>")
        words = what.partition(", ")[0]  # the size is on the axis
        drawn.append(_text(_RIGHT + 20, _TOP + 20 + 20 * at, words, colour=colour))
    below = _TOP + 40 + 20 * len(curves)
    drawn.append(_text(_RIGHT + 20, below, "drawn through: holdfs; dashed: containers-storage"))
    return _svg(drawn, _HEIGHT)


def layers(entries: Entries) -> str:
    """Return the plot of the rows on whole layers: the medians of ours and the peer's."""
    rows = {
        what: entry
        for what, entry in entries.items()
        if entry["peer"] and entry["unit"] == "s" and entry["row"].startswith(_LAYER_ROWS)
    }
    if not rows:
        return _svg(["<text x='20' y='40'>not measured yet</text>"], 80)
    longest = max(
        statistics.median(samples) for e in rows.values() for samples in (e["ours"], e["peer"])
    )
    drawn: list[str] = []
    y = 30
    for what, entry in rows.items():
        drawn.append(_text(20, y, what))
        sides = ((entry["ours"], _OURS, "holdfs"), (entry["peer"], _THEIRS, entry["against"]))
        for samples, colour, name in sides:
            seconds = statistics.median(samples)
            width = seconds / longest * (_RIGHT - 20)
            drawn.append(
                f"<rect x='20' y='{y + 6}' width='{width:.1f}' height='{_BAR}' fill='{colour}'/>"
            )
            drawn.append(_text(26 + width, y + 6 + _BAR - 4, f"{seconds:.2f} s, {name}"))
            y += _BAR + 4
        y += _GAP + _BAR
    return _svg(drawn, y)


class _Axis:
    """Values by powers of ten, between two places of the picture."""

    def __init__(self, values: Iterable[float], first: float, last: float) -> None:
        found = list(values)
        self.low = math.floor(math.log10(min(found)))
        self.high = max(math.ceil(math.log10(max(found))), self.low + 1)
        self._first = first
        self._last = last

    def at(self, value: float) -> float:
        """Return the place of a value."""
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self._first + share * (self._last - self._first)

    def powers(self) -> Iterator[float]:
        """Yield the powers of ten on the axis."""
        yield from (10.0**power for power in range(self.low, self.high + 1))


def _grid(x_axis: _Axis, y_axis: _Axis) -> Iterator[str]:
    line = "<line x1='{:.1f}' y1='{:.1f}' x2='{:.1f}' y2='{:.1f}' stroke='#dddddd'/>"
    for value in x_axis.powers():
        x = x_axis.at(value)
        yield line.format(x, _TOP, x, _BOTTOM)
        yield _text(x, _BOTTOM + 20, f"{value:,.0f}", anchor="middle")
    for value in y_axis.powers():
        y = y_axis.at(value)
        yield line.format(_LEFT, y, _RIGHT, y)
        yield _text(_LEFT - 8, y + 4, f"{value * 1000:,g} ms", anchor="end")
    yield _text((_LEFT + _RIGHT) / 2, _BOTTOM + 42, "images and layers in the store", "middle")


def _text(x: float, y: float, words: str, anchor: str = "start", colour: str = "#222222") -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' fill='{colour}'>"
        f"{escape(words)}</text>"
    )


def _svg(drawn: Iterable[str], height: float) -> str:
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {height}' "
        f"width='{_WIDTH}' height='{height}' font-family='sans-serif' font-size='12'>\n"
        f"<rect width='{_WIDTH}' height='{height}' fill='white'/>\n"
        + "\n".join(drawn)
        + "\n</svg>\n"
    )
