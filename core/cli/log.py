"""
Lines of `--debug`, on stderr, in logrus's form.

    time="2026-11-24T07:02:31Z" level=debug msg="Root: /var/lib/containers/storage"
"""

from __future__ import annotations

import time

from holdfs.core.cli import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfs.core.config import StoreOptions


def settings(options: StoreOptions) -> None:
    """Say which store is about to be opened, as far as that is given."""
    debug(f"Root: {options.graph_root}")
    debug(f"Run Root: {options.run_root}")
    debug(f"Driver Name: {options.driver}")
    debug(f"Driver Options: [{' '.join(options.driver_options)}]")


def debug(message: str) -> None:
    """Write one line of level debug."""
    output.err(f"time={_quoted(_now())} level=debug msg={_quoted(message)}\n")


def _now() -> str:
    zone = time.strftime("%z")
    zone = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    return time.strftime("%Y-%m-%dT%H:%M:%S") + zone


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
