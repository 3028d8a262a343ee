"""
Log lines on stderr, in logrus's form: errors always, all the rest with `--debug`.

    time="2026-11-24T07:02:31Z" level=debug msg="Root: /var/lib/containers/storage"
"""

from __future__ import annotations

import logging
import time

from holdfs.core.cli import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfs.core.config import StoreOptions


def set_up(*, debug: bool) -> None:
    """Send what the packages log to stderr; not twice, however often it is asked for."""
    logger = logging.getLogger("holdfs")
    if logger.handlers:
        return
    logger.addHandler(_Handler())
    logger.setLevel(logging.DEBUG if debug else logging.ERROR)
    logger.propagate = False


def settings(options: StoreOptions) -> None:
    """Say which store is about to be opened, as far as that is given."""
    logger = logging.getLogger("holdfs.core.cli")
    logger.debug("Root: %s", options.graph_root)
    logger.debug("Run Root: %s", options.run_root)
    logger.debug("Driver Name: %s", options.driver)
    logger.debug("Driver Options: [%s]", " ".join(options.driver_options))
    for warning in options.warnings:
        logger.warning("%s", warning)


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        level, message = record.levelname.lower(), record.getMessage()
        output.err(f"time={_quoted(_now())} level={level} msg={_quoted(message)}\n")


def _now() -> str:
    zone = time.strftime("%z")
    zone = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    return time.strftime("%Y-%m-%dT%H:%M:%S") + zone


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
