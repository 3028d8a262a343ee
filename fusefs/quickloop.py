"""
Let pyfuse3 take the next request without a turn of trio's loop.

pyfuse3 as it comes waits for each request in trio: a lock handed from task to task, an epoll_ctl
and two epoll_waits, some 60 of the 88 µs of a stat, and 200 µs when all was asleep. The seam is the
name `trio` in pyfuse3, which `pyfuse3.asyncio` replaces too. What we put there is trio itself but
for the lock, `lowlevel.wait_readable`, which waits as follows, and what ends that wait:

    answered ─► look: a request? ─────────────────────────► take it
                  │ nothing for 150 µs, or something for trio
                  ▼
                let trio do all that there is to do
                  ▼
                sleep in poll(FUSE, trio's epoll) ─ FUSE ─► take it
                  └─ something for trio, or a deadline: let it do that, and sleep again

An epoll descriptor can be polled itself. So whatever would wake trio (a thread that is done, a
signal, inotify) wakes us, and a request that waits in a thread holds up nobody.
"""

import logging
import math
import os
import select
import time
from collections import deque
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

import trio
from trio.lowlevel import Abort, Task

log = logging.getLogger(__name__)

#: How long to look for a next request. A caller that goes on comes back within this; and longer
#: would be felt by others who want the processor.
_LOOK_S: Final = 150e-6
#: After this much serving in a row, everything else in the loop gets its turn.
_TURN_S: Final = 2e-3
#: A sleep until a deadline ends this much after it, so that trio finds it over.
_LATER_MS: Final = 1
#: How long the self-test waits for what must have happened already.
_TEST_MS: Final = 1000


async def install(pyfuse3: ModuleType) -> bool:
    """
    Let pyfuse3 wait our way. To be called before its `main`, run with min_tasks=max_tasks.

    Returns:
        False if pyfuse3, trio or the system is not as we know it, which a test finds out: then all
        stays as it comes, slower and right.
    """
    if getattr(pyfuse3, "trio", None) is not trio:
        return False
    ready = _Ready()
    trio.lowlevel.add_instrument(ready)
    epoll_fd = await _tested_epoll_fd(ready)
    if epoll_fd is None:
        trio.lowlevel.remove_instrument(ready)
        log.info("this trio has to be waited for in its own way: requests take longer")
        return False
    waiting = _Waiting(epoll_fd, ready)
    lowlevel = _Seam(
        trio.lowlevel,
        wait_readable=waiting.wait_readable,
        notify_closing=waiting.notify_closing,
    )
    vars(pyfuse3)["trio"] = _Seam(trio, Lock=_Lock, lowlevel=lowlevel)
    return True


class _Seam(ModuleType):
    """trio, with some names changed."""

    def __init__(self, real: ModuleType, **changed: object) -> None:
        super().__init__(real.__name__)
        self._real = real
        self.__dict__.update(changed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class _Ready(trio.abc.Instrument):
    """The tasks that are to run: trio's own count leaves out those of the round that is on."""

    def __init__(self) -> None:
        self.tasks: set[Task] = set()

    def task_scheduled(self, task: Task) -> None:
        self.tasks.add(task)

    def before_task_step(self, task: Task) -> None:
        self.tasks.discard(task)


async def _tested_epoll_fd(ready: _Ready) -> int | None:
    """Return what trio's loop sleeps on, if it behaves as we need it; else None."""
    fds = [fd for fd in map(int, os.listdir("/proc/self/fd")) if _is_epoll(fd)]
    if len(fds) != 1:
        return None
    # Twice: then all have run that were to run before `ready` was there.
    await trio.lowlevel.checkpoint()
    await trio.lowlevel.checkpoint()
    poll, called = select.poll(), trio.Event()
    poll.register(fds[0], select.POLLIN)
    trio.lowlevel.current_trio_token().run_sync_soon(called.set)
    wakes_us = bool(poll.poll(_TEST_MS))
    await called.wait()
    trio.lowlevel.reschedule(trio.lowlevel.current_task())
    counts = ready.tasks == {trio.lowlevel.current_task()}
    await trio.lowlevel.wait_task_rescheduled(lambda _: Abort.FAILED)
    return fds[0] if wakes_us and counts and not ready.tasks else None


def _is_epoll(fd: int) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{fd}") == "anon_inode:[eventpoll]"
    except FileNotFoundError:
        return False  # what the list of them was read from


class _Waiting:
    """
    How the next request is waited for, by the one task that holds the lock.

    Args:
        epoll_fd: What trio's loop sleeps on.
    """

    def __init__(self, epoll_fd: int, ready: _Ready) -> None:
        self._epoll_fd = epoll_fd
        self._ready = ready
        self._poll = select.poll()
        self._fd = -1
        self._is_closing = False
        self._turn_ends = 0.0
        # With one processor it is the caller that we would keep from going on.
        self._look_s = _LOOK_S if len(os.sched_getaffinity(0)) > 1 else 0.0

    async def wait_readable(self, fd: int) -> None:
        """As trio's, but with no checkpoint if there is something already."""
        if fd != self._fd:
            self._poll = select.poll()
            self._poll.register(fd, select.POLLIN)
            self._poll.register(self._epoll_fd, select.POLLIN)
            self._fd = fd
        if not self._look():
            await self._sleep()
            self._turn_ends = time.monotonic() + _TURN_S

    def notify_closing(self, _fd: int) -> None:
        """As trio's, for the one descriptor that is waited for here."""
        self._is_closing = True

    def _look(self) -> bool:
        """Return whether a request comes; False also if others are to have their turn."""
        now = time.monotonic()
        stop = min(now + self._look_s, self._turn_ends)
        while now < self._turn_ends:
            if ready := self._poll.poll(0):
                return len(ready) == 1 and ready[0][0] == self._fd
            now = time.monotonic()
            if now >= stop:
                break
        return False

    async def _sleep(self) -> None:
        """Return when there is a request; meanwhile trio does what there is to do."""
        while True:
            await trio.lowlevel.checkpoint()
            while self._ready.tasks:
                await trio.lowlevel.checkpoint()
            # Nobody runs from here to the end of poll, which comes if somebody is to.
            await trio.lowlevel.checkpoint_if_cancelled()
            if self._is_closing:
                raise trio.ClosedResourceError("the mount is being ended")
            left_s = trio.lowlevel.current_statistics().seconds_to_next_deadline
            left_ms = None if left_s == math.inf else max(left_s, 0) * 1000 + _LATER_MS
            if any(fd == self._fd for fd, _ in self._poll.poll(left_ms)):
                return


class _Lock:
    """
    trio.Lock without the turn of the loop at each acquisition.

    It is not handed over: who releases it and comes back at once finds it free, and one who waits
    was woken for nothing. That one gets it when the last owner is in a handler that waits. No other
    is woken until that one has had its look.
    """

    def __init__(self) -> None:
        self._is_held = False
        self._is_one_woken = False
        self._waiting: deque[Task] = deque()

    async def __aenter__(self) -> None:
        task = trio.lowlevel.current_task()
        while self._is_held:
            self._waiting.append(task)
            await trio.lowlevel.wait_task_rescheduled(self._give_up(task))
            self._is_one_woken = False
        self._is_held = True

    async def __aexit__(self, *_: object) -> None:
        self._is_held = False
        if self._waiting and not self._is_one_woken:
            self._is_one_woken = True
            trio.lowlevel.reschedule(self._waiting.popleft())

    def _give_up(self, task: Task) -> Callable[[object], Abort]:
        def give_up(_: object) -> Abort:
            self._waiting.remove(task)
            return Abort.SUCCEEDED

        return give_up
