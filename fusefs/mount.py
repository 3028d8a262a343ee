"""
The life of one mount: from the store and the options to the last unmount.

    stack, undone in reverse:   store ► watch ► automount ► FUSE session
                                                             │
    nursery, while mounted:       requests (pyfuse3) ────────┤ its end ends all
                                  changes of the store ──► operations.refresh()
                                  mounts of ours that nobody uses any more
                                  SIGTERM, SIGINT, SIGHUP ──► the session's end

From `pyfuse3.init` on, this process must not touch its own mount point: it would wait for itself.
"""

import errno
import logging
import os
import resource
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from typing import Final

import pyfuse3
import trio

from holdfs.core.store import Store
from holdfs.core.watch import Watch
from holdfs.fusefs import quickloop
from holdfs.fusefs.automount import Automount
from holdfs.fusefs.cover import Cover
from holdfs.fusefs.daemon import END_SIGNALS, Readiness
from holdfs.fusefs.mountpoint import MountError
from holdfs.fusefs.operations import Operations
from holdfs.fusefs.outside import Outside
from holdfs.fusefs.settings import Choice, Settings, fsname_option
from holdfs.fusefs.starting import check, log_options, options_of
from holdfs.native import memory

log = logging.getLogger(__name__)

#: How many requests may be waited for at once; pyfuse3's own figure.
_TASKS: Final = 99
#: How long pyfuse3's own thread is waited for at the end: it may wait for the lock of a directory
#: whose owner waits for an answer that he will not get before the session is closed.
_NOTIFYING_S: Final = 2.0
#: The files of records are of this size and more, and are replaced at every change of the store.
_LARGE: Final = 256 << 10
#: After a failed look at the store (no descriptors, no memory) we look again.
_RETRY_S: Final = 1.0


def run(choice: Choice, ready: Readiness, outside: Outside | None = None) -> None:
    """
    Mount, say so, and serve until somebody unmounts or a signal comes.

    Args:
        outside: Who mounts and unmounts for us where this process, in a user namespace, can't; it
            has made all checks, too.

    Raises:
        MountError, StoreError, DriverError, OSError: It could not be mounted; nothing is left.
    """
    memory.return_blocks(_LARGE)
    settings = choice.settings
    options = check(choice) if outside is None else options_of(choice)
    _allow_descriptors()
    with ExitStack() as stack:
        store = Store.open(options, lock_timeout_s=settings.lock_timeout_s)
        watch = stack.enter_context(_open_watch(store, is_optional=settings.strict))
        cover = None if outside is None else Cover(settings.mount_point)
        automount = stack.enter_context(closing(_automount(store, settings, cover)))
        operations = Operations(store, automount, settings)
        early = _collect_end_signals()
        _init_session(operations, choice, store.graph_root, outside)
        stack.callback(pyfuse3.close)
        stack.callback(_end_notifying)
        log.info("serving %s at %s", store.graph_root, settings.mount_point)
        if outside is None:
            log_options(settings)
        trio.run(_serve, operations, watch, automount, ready, early, outside)
        log.info("unmounted")


def _end_notifying() -> None:
    """
    Wait for pyfuse3's thread that tells the kernel which entries to forget, as `main` has asked it
    to end: closing frees the session under it, which is an error in the log at best.
    """
    for thread in threading.enumerate():
        if thread.name.endswith("(_notify_loop)"):
            thread.join(_NOTIFYING_S)


def _allow_descriptors() -> None:
    """Let as many files be open as the system lets us: each that somebody reads may be one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _serve(
    operations: Operations,
    watch: Watch | None,
    automount: Automount,
    ready: Readiness,
    early: Sequence[int],
    outside: Outside | None,
) -> None:
    numbers = [number for number in END_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    with trio.open_signal_receiver(*numbers) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_end_on_signal, signals)
            if outside is not None:
                nursery.start_soon(_end_with, outside)
            changed, changes = trio.open_memory_channel[None](1)
            nursery.start_soon(_expire, automount, changes)
            if watch is not None:
                nursery.start_soon(_follow, watch, operations, changed)
            # Before: who is told at once uses the mount, or unmounts it, at once.
            await quickloop.install(pyfuse3)
            ready.ready()
            if early:
                pyfuse3.terminate()
            # Equal, so that no task ends for having nothing to do: see quickloop.
            await pyfuse3.main(min_tasks=_TASKS, max_tasks=_TASKS)
            nursery.cancel_scope.cancel()


def _collect_end_signals() -> list[int]:
    """
    Return the list in which every signal lands that would end us, for as long as nobody receives
    it: between the mount and its receiver, and from the receiver's end to ours, it would kill us
    and leave a dead mount. One that is ignored (nohup) stays ignored.
    """
    early: list[int] = []
    for number in END_SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _frame: early.append(number))
    return early


async def _end_on_signal(signals: AsyncIterator[int]) -> None:
    async for number in signals:
        log.info("%s: unmounting", signal.Signals(number).name)
        # Requests that are being answered are answered still; then pyfuse3.main returns.
        pyfuse3.terminate()


async def _end_with(outside: Outside) -> None:
    await trio.lowlevel.wait_readable(outside.fileno())
    log.info("the supervisor ends: unmounting")
    pyfuse3.terminate()


async def _follow(
    watch: Watch, operations: Operations, changed: trio.MemorySendChannel[None]
) -> None:
    """Bring the tree up to date after each change of the store; what comes meanwhile is one."""
    is_behind = False
    while True:
        if not is_behind:
            await trio.lowlevel.wait_readable(watch.fileno())
        try:
            is_behind |= watch.wait(0)
            if is_behind:
                await operations.refresh()
                _tell(changed)
            is_behind = False
        except Exception:
            # Whatever it is, the mount goes on: its user may be the one who can mend it.
            log.exception("the store could not be looked at after a change; trying again")
            is_behind = True
            await trio.sleep(_RETRY_S)


def _tell(changed: trio.MemorySendChannel[None]) -> None:
    try:
        changed.send_nowait(None)
    except trio.WouldBlock:
        pass  # it is told already


async def _expire(automount: Automount, changes: trio.MemoryReceiveChannel[None]) -> None:
    """Take down what is idle or deleted. Sleeps with no timer while nothing of ours is mounted."""
    limiter = trio.CapacityLimiter(1)
    while True:
        await trio.lowlevel.wait_readable(automount.fileno())
        try:
            pause_s = await trio.to_thread.run_sync(automount.expire, limiter=limiter)
        except Exception:
            log.exception("idle mounts could not be taken down; trying again")
            pause_s = _RETRY_S
        with trio.move_on_after(pause_s):
            await changes.receive()


def _automount(store: Store, settings: Settings, cover: Cover | None) -> Automount:
    return Automount(store, idle_s=settings.idle_s, read_only=settings.read_only, cover=cover)


def _open_watch(store: Store, *, is_optional: bool) -> AbstractContextManager[Watch | None]:
    try:
        return Watch(store.watch_paths())
    except OSError as error:
        if is_optional:
            log.warning("no inotify (%s): `events` shows nothing", error)
            return nullcontext()
        hint = ""
        if error.errno in (errno.EMFILE, errno.ENOSPC):
            hint = "; raise fs.inotify.max_user_instances and max_user_watches, or use -o strict"
        raise MountError(f"the store can't be watched: {error}{hint}") from error


def _session_options(choice: Choice, graph_root: str) -> set[str]:
    # default_permissions: the kernel holds to the modes we show, for users let in by allow_other,
    # and asks nothing more. root it lets through; what root may not do either, the tree refuses.
    options = {*pyfuse3.default_options, *choice.fuse_options}
    for word in ("subtype=holdfs", fsname_option(graph_root)):
        key = word.partition("=")[0] + "="
        if not any(option.startswith(key) for option in options):
            options.add(word)
    return options


def _init_session(
    operations: Operations, choice: Choice, graph_root: str, outside: Outside | None
) -> None:
    options = _session_options(choice, graph_root)
    target = choice.settings.mount_point
    if outside is not None:
        # libfuse would add the first three. That nothing stays is the supervisor's affair.
        words = ["rw", "nosuid", "nodev", *sorted(options - {"auto_unmount"})]
        target = f"/dev/fd/{outside.mount(','.join(words))}"
    with _stderr_kept() as said:
        try:
            pyfuse3.init(operations, target, options)
        except RuntimeError as error:
            reason = said() or str(error)
            raise MountError(
                f"{choice.settings.mount_point} could not be mounted: {reason}"
            ) from error


@contextmanager
def _stderr_kept() -> Iterator[Callable[[], str]]:
    """
    Keep what C code and its children write to stderr, and give a function for its last line.

    libfuse says why it failed there and nowhere else.
    """
    kept, before = os.memfd_create("stderr"), os.dup(2)
    try:
        os.dup2(kept, 2)
        yield lambda: _last_line(kept)
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(kept)


def _last_line(fd: int) -> str:
    lines = os.fsdecode(os.pread(fd, 4096, 0)).split("\n")
    line = next((line for line in reversed(lines) if line), "")
    return line.removeprefix("fuse: ").removeprefix("fusermount3: ")
