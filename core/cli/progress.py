"""
How far long work has come, for whoever watches: from its second second on, gone at its end.

    importing  ━━━━━━━━━━━╸━━━━━━━━━━━  212.3/400.1 MB  0:00:04

It is on stderr, and only if that is a terminal: what a command prints, and where, is the same with
and without. rich is loaded when there is something to show, which most commands are too quick for.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Final

_QUICK_S: Final = 1.0
_REFRESH_S: Final = 0.1


class shown:
    """Shows what is done in the `with` block, which prints nothing itself."""

    def __init__(
        self,
        doing: str,
        done: Callable[[], int] | None = None,
        total: Callable[[], int] | int = 0,
        *,
        counts_bytes: bool = True,
        apart_from: int = -1,
    ) -> None:
        """
        Args:
            doing: What is said to be done: "importing".
            done: How much is done, asked from another thread; None where nobody can tell.
            total: Of how much; 0 as long as that is not known.
            apart_from: Where the command writes meanwhile: nothing is shown on top of it.
        """
        self._doing = doing
        self._done = done
        self._total = total if callable(total) else lambda: total
        self._counts_bytes = counts_bytes
        self._is_watched = os.isatty(2) and not (apart_from >= 0 and os.isatty(apart_from))

    def __enter__(self) -> None:
        if self._is_watched:
            import threading

            self._ended = threading.Event()
            self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
            self._thread.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._is_watched:
            self._ended.set()
            self._thread.join()

    def _run(self) -> None:
        if self._ended.wait(_QUICK_S):
            return
        from rich import progress
        from rich.console import Console

        columns: list[progress.ProgressColumn] = [
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.TimeElapsedColumn(),
        ]
        if self._done is not None:
            amount = (
                progress.DownloadColumn() if self._counts_bytes else progress.MofNCompleteColumn()
            )
            columns.insert(2, amount)
        console = Console(stderr=True)
        with progress.Progress(
            *columns, console=console, transient=True, auto_refresh=False
        ) as bars:
            # Somebody who ends us with ^C or a signal wants the cursor to be there.
            console.show_cursor(True)
            task = bars.add_task(self._doing, total=None)
            while not self._ended.wait(_REFRESH_S):
                done = self._done() if self._done is not None else 0
                bars.update(task, completed=done, total=self._total() or None, refresh=True)


def size_of(fd: int) -> int:
    """Return how many bytes can be read from a file; 0 for what is none."""
    status = os.fstat(fd)
    return status.st_size if stat.S_ISREG(status.st_mode) else 0
