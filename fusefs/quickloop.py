"""
Let pyfuse3 take the next request without a turn of trio's loop, when there is one.

pyfuse3 as it comes waits for each request in trio: a lock handed from task to task, an epoll_ctl
and two epoll_waits, some 60 of the 88 µs of a stat. But requests come in bursts (a `cat` makes
six), and a task that has just answered one may look itself whether the next is there:

    trio ─► wait ─► request ─► answer ─► look ─► request ─► answer ─► look … nothing ─► trio

The seam is the name `trio` in pyfuse3, which `pyfuse3.asyncio` replaces too. What we put there is
trio itself but for the lock and `lowlevel.wait_readable`.
"""

import os
import select
import time
from collections import deque
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

import trio

#: How long to look for a next request. A caller that goes on comes back within this; and longer
#: would be felt by others who want the processor.
_LOOK_S: Final = 150e-6
#: After this much serving in a row, everything else in the loop gets its turn.
_TURN_S: Final = 2e-3


class _Seam(ModuleType):
    """trio, with some names changed."""

    def __init__(self, real: ModuleType, **changed: object) -> None:
        super().__init__(real.__name__)
        self._real = real
        self.__dict__.update(changed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class _Turns:
    """
    Who waits for the next request, and how. One task does, holding the lock; the others queue.

    `busy` are the tasks that have a request and have not come back for the next: with
    `main(min_tasks=max_tasks)` every one comes back.
    """

    def __init__(self) -> None:
        self.busy: set[trio.lowlevel.Task] = set()
        self._poll = select.poll()
        self._fd = -1
        self._turn_ends = 0.0
        # With one processor it is the caller that we would keep from going on.
        self._look_s = _LOOK_S if len(os.sched_getaffinity(0)) > 1 else 0.0

    async def wait_readable(self, fd: int) -> None:
        """As trio's, but look first; with no checkpoint if there is something."""
        # Not while a handler waits for a thread: only trio's loop brings it the result.
        if self.busy or not self._look(fd):
            await trio.lowlevel.wait_readable(fd)
            self._turn_ends = time.monotonic() + _TURN_S
        self.busy.add(trio.lowlevel.current_task())

    def _look(self, fd: int) -> bool:
        if fd != self._fd:
            self._poll = select.poll()
            self._poll.register(fd, select.POLLIN)
            self._fd = fd
        now = time.monotonic()
        if now >= self._turn_ends:
            return False
        stop = min(now + self._look_s, self._turn_ends)
        while not self._poll.poll(0):
            if time.monotonic() >= stop:
                return False
        return True


class _Lock:
    """
    trio.Lock without the turn of the loop at each acquisition.

    It is not handed over: who releases it and comes back at once finds it free, and one who waits
    was woken for nothing. That one gets it when the last owner is in a handler that waits.
    """

    def __init__(self, turns: _Turns) -> None:
        self._turns = turns
        self._is_held = False
        self._waiting: deque[trio.lowlevel.Task] = deque()

    async def __aenter__(self) -> None:
        task = trio.lowlevel.current_task()
        self._turns.busy.discard(task)  # it has answered what it had
        while self._is_held:
            self._waiting.append(task)
            await trio.lowlevel.wait_task_rescheduled(self._give_up(task))
        self._is_held = True

    async def __aexit__(self, *_: object) -> None:
        self._is_held = False
        if self._waiting:
            trio.lowlevel.reschedule(self._waiting.popleft())

    def _give_up(self, task: trio.lowlevel.Task) -> Callable[[object], trio.lowlevel.Abort]:
        def give_up(_: object) -> trio.lowlevel.Abort:
            self._waiting.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        return give_up


def install(pyfuse3: ModuleType) -> None:
    """
    Let pyfuse3 wait our way. To be called before its `main`, run with min_tasks=max_tasks.

    A pyfuse3 that has no such seam stays as it is: slower, and right.
    """
    if getattr(pyfuse3, "trio", None) is not trio:
        return
    turns = _Turns()
    lowlevel = _Seam(trio.lowlevel, wait_readable=turns.wait_readable)
    vars(pyfuse3)["trio"] = _Seam(trio, Lock=lambda: _Lock(turns), lowlevel=lowlevel)
