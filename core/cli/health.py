"""`check`, `gc`, `dedup`: looking after a store."""

from __future__ import annotations

from holdfs.core.cli import lifetime, output, progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfs.core.check import Report
    from holdfs.core.cli.options import Given
    from holdfs.core.store import Store


def gc(store: Store, given: Given, arguments: list[str]) -> int:
    """Remove files that belong to no record."""
    from holdfs.core import gc as collecting

    with progress.shown("collecting"):
        collecting.collect(store)
    lifetime.end(store)
    if given.flag("json"):
        output.json("")
    return 0


def dedup(store: Store, given: Given, arguments: list[str]) -> int:
    """Share the space of equal files."""
    from holdfs.core import dedup as sharing

    with progress.shown("comparing files"):
        count = sharing.dedup(store, given.text("hash-method") or "crc")
    if given.flag("json"):
        output.json({"Deduped": count})
    else:
        output.out(f"Deduplicated {count} bytes\n")
    return 0


def check(store: Store, given: Given, arguments: list[str]) -> int:
    """Report what is damaged, and remove it if asked to."""
    from holdfs.core import check as checking
    from holdfs.core.cli.durations import parse_duration
    from holdfs.core.repair import repair

    max_age_ns = checking.DEFAULT_MAX_AGE_NS
    if text := given.text("max"):
        max_age_ns = parse_duration(text)
    watch = checking.Progress()
    with progress.shown(
        "checking layers", lambda: watch.layers, lambda: watch.total, counts_bytes=False
    ):
        report = checking.check(
            store, max_age_ns=max_age_ns, contents=not given.flag("quick"), progress=watch
        )
    _say(report, given)
    force = given.flag("force")
    problem = ""
    if force or given.flag("repair"):
        with progress.shown("repairing"):
            failures = repair(store, report, force=force)
        output.err("".join(f"{failure}\n" for failure in failures))
        problem = failures[0] if failures else _left(report, force=force)
    elif report:
        problem = (
            f"{len(report.layers)} layer errors, "
            f"{len(report.read_only_layers)} read-only layer errors, "
            f"{len(report.images)} image errors, "
            f"{len(report.read_only_images)} read-only image errors, "
            f"{len(report.containers)} container errors"
        )
    lifetime.end(store)
    if problem:
        output.err(f"{problem}\n")
    return 1 if problem else 0


def _left(report: Report, *, force: bool) -> str:
    """Return what is said of problems that repair does not touch; "" if there are none."""
    containers = {} if force else report.containers
    if not (report.read_only_layers or report.read_only_images or containers):
        return ""
    said = (
        f"{len(report.read_only_layers)} read-only layer errors, "
        f"{len(report.read_only_images)} read-only image errors"
    )
    return said if force else f"{said}, {len(containers)} container errors"


def _say(report: Report, given: Given) -> None:
    groups = (
        ("Layers", "layer", report.layers),
        ("ROLayers", "read-only layer", report.read_only_layers),
        ("Images", "image", report.images),
        ("ROImages", "read-only image", report.read_only_images),
        ("Containers", "container", report.containers),
    )
    if given.flag("json"):
        # Contract: one empty object a problem.
        output.out(
            output.json_object(
                (key, {i: [{}] * len(lines) for i, lines in problems.items()})
                for key, _, problems in groups
            )
            + "\n"
        )
        return
    for _, head, problems in groups:
        for record_id, lines in problems.items():
            output.out(f"{head} {record_id}:\n" + "".join(f" {line}\n" for line in lines))
