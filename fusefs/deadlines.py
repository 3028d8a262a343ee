"""A task that wakes when something in the mount alone is over; none runs while nothing is."""

import logging
from collections.abc import Awaitable, Callable

import trio

log = logging.getLogger(__name__)


class Deadlines:
    """
    Args:
        next_deadline: When to wake, on trio's clock as `clock` gives it; None for never.
        expire: What to do then. It moves the deadline on.
    """

    def __init__(
        self,
        next_deadline: Callable[[], float | None],
        expire: Callable[[], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        self._next_deadline = next_deadline
        self._expire = expire
        self._clock = clock
        self._is_running = False
        self._changed = trio.Event()

    def changed(self) -> None:
        """Look at the deadlines anew; to be called after each change that may have made one."""
        if self._is_running:
            self._changed.set()
        elif self._next_deadline() is not None:
            self._is_running = True
            # A system task: it ends with the loop, and no request waits for it.
            trio.lowlevel.spawn_system_task(self._run, name="holdfs deadlines")

    async def _run(self) -> None:
        try:
            while (deadline := self._next_deadline()) is not None:
                self._changed = trio.Event()
                with trio.move_on_after(max(deadline - self._clock(), 0.0)):
                    await self._changed.wait()
                    continue
                await self._expire()
        except Exception:
            # A system task that fails would take the mount with it.
            log.exception("what is over could not be let go")
        finally:
            self._is_running = False
