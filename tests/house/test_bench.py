"""What `make bench` reports: which runs count, what replaces what, where a miss is explained."""

import re

import pytest

from tests.bench import __main__ as bench
from tests.bench import report
from tests.bench.measure import Row
from tests.bench.report import Outcome
from tests.house.sources import TOP

HERE = {"date": "2026-01-01", "commit": "abc", "machine": "x86_64"}
NOTHING: dict[str, dict[str, object]] = {"rows": {}, "lines": {}}


def row(name: str, what: str, seconds: float) -> Row:
    return Row(name=name, what=what, ours=[seconds], peer=[1.0], against="tar", limit=0.5)


def after(*outcomes: Outcome, about: dict[str, str] = HERE) -> dict[str, dict[str, object]]:
    results = NOTHING
    for outcome in outcomes:
        results = report.merged(results, outcome, about)
    return results


def line_of(page: str, what: str) -> str:
    [line] = [line for line in page.splitlines() if line.startswith(f"| {what} ")]
    return line


def runs_of(*seconds: float) -> str:
    outcomes = [Outcome("apply", [row("apply", "a layer", each)], 1) for each in seconds]
    return line_of(report.as_markdown(after(*outcomes)), "a layer")


def test_a_figure_is_reached_if_each_of_the_last_three_runs_reached_it() -> None:
    assert "| 0.300 | - | 0.500 | reached |" in runs_of(0.3)
    assert "| 0.100 | 0.200, 0.300 | 0.500 | reached |" in runs_of(0.9, 0.2, 0.3, 0.1)
    assert "| 0.100 | 0.600, 0.300 | 0.500 | **missed** 1 of 3 |" in runs_of(0.6, 0.3, 0.1)
    assert "| 0.600 | - | 0.500 | **missed** |" in runs_of(0.6)


def test_runs_on_another_machine_or_with_other_versions_do_not_count() -> None:
    first = after(Outcome("apply", [row("apply", "a layer", 0.9)], 1))
    again = Outcome("apply", [row("apply", "a layer", 0.1)], 1)

    def before(about: dict[str, str]) -> object:
        line = report.merged(first, again, about)["lines"]["a layer"]
        return line["before"]

    assert [0.9] == before(HERE | {"date": "2026-01-02", "commit": "def"})
    assert [] == before(HERE | {"machine": "aarch64"})


def test_a_row_replaces_its_own_lines_in_their_place_and_leaves_the_others() -> None:
    results = after(
        Outcome("a", [row("a", "one", 0.1), row("a", "two", 0.1)], 1),
        Outcome("b", [row("b", "other", 0.1)], 1),
        Outcome("a", [row("a", "one", 0.2), row("a", "three", 0.1)], 7),
    )

    assert ["one", "three", "other"] == list(results["lines"])
    assert {"a": 7, "b": 1} == {name: one["took_s"] for name, one in results["rows"].items()}  # type: ignore[index]


def test_a_row_that_failed_is_shown_with_its_error_and_no_older_figures() -> None:
    results = after(
        Outcome("a", [row("a", "one", 0.1), row("a", "two", 0.1)], 1),
        Outcome(
            "a", [row("a", "one", 0.1)], 1, "PeerFailed: /tmp/x/tool -f /tmp/y: status 1\nmore"
        ),
    )

    page = report.as_markdown(results)

    assert ["one"] == list(results["lines"])
    assert "**failed**: PeerFailed: tool -f y: status 1" in line_of(page, "row a")


def test_the_other_rows_are_measured_after_one_has_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_pairs: int) -> object:
        yield row("bad", "before the end", 0.1)
        raise OSError("no room")

    rows = {"bad": fail, "good": lambda _pairs: iter([row("good", "what came of it", 0.1)])}
    monkeypatch.setattr(bench, "ROWS", rows)
    written: list[Outcome] = []
    monkeypatch.setattr(report, "write", lambda outcome, _names: written.append(outcome))

    assert 1 == bench.main(["bad", "good"])
    assert [("bad", 1, "OSError: no room"), ("good", 1, "")] == [
        (outcome.name, len(outcome.lines), outcome.error) for outcome in written
    ]
    said = capsys.readouterr()
    assert "what came of it" in said.out
    assert ["bad", "good", "all"] == re.findall(r"^(\w+): [\d.]+ s$", said.err, re.MULTILINE)


def test_every_row_with_a_note_exists_and_so_does_the_note() -> None:
    headings = re.findall(r"^#+ (.+)$", (TOP / "tests/bench/NOTES.md").read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    assert set() == set(report.NOTES) - set(bench.ROWS)
    assert set() == set(report.NOTES.values()) - anchors
