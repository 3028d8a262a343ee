"""The seam through which pyfuse3 waits: tested before it is used, and left alone when in doubt."""

import os
import select
from types import ModuleType
from typing import Any

import pytest
import trio

from holdfs.fusefs import quickloop


def _library() -> Any:
    """Return what stands for pyfuse3: a module with the name that it waits by."""
    library = ModuleType("library")
    vars(library)["trio"] = trio
    return library


def test_the_seam_is_trio_but_for_how_it_waits() -> None:
    library = _library()

    async def main() -> bool:
        return await quickloop.install(library)

    assert trio.run(main)
    assert library.trio is not trio
    assert library.trio.Lock is not trio.Lock
    assert library.trio.lowlevel.wait_readable is not trio.lowlevel.wait_readable
    assert library.trio.open_nursery is trio.open_nursery
    assert library.trio.lowlevel.checkpoint is trio.lowlevel.checkpoint


def test_all_stays_as_it_comes_where_the_loop_can_not_be_told() -> None:
    library = _library()

    async def main() -> bool:
        # Two of them: which is the one that trio sleeps on?
        with select.epoll():
            return await quickloop.install(library)

    assert not trio.run(main)
    assert library.trio is trio


def test_all_stays_as_it_comes_in_a_library_that_waits_otherwise() -> None:
    library = ModuleType("library")

    async def main() -> bool:
        return await quickloop.install(library)

    assert not trio.run(main)
    assert not hasattr(library, "trio")


def test_all_stays_as_it_comes_where_ready_tasks_are_not_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = _library()
    monkeypatch.setattr(quickloop._Ready, "task_scheduled", lambda self, task: None)

    async def main() -> bool:
        return await quickloop.install(library)

    assert not trio.run(main)
    assert library.trio is trio


def test_who_waits_is_woken_and_lets_others_run_meanwhile() -> None:
    library = _library()
    reader, writer = os.pipe()
    order = []

    async def wait() -> None:
        await library.trio.lowlevel.wait_readable(reader)
        order.append("readable")

    async def main() -> None:
        assert await quickloop.install(library)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.sleep(0.01)
            # From a thread, which wakes the loop itself.
            await trio.to_thread.run_sync(order.append, "a thread is done")
            os.write(writer, b"x")

    try:
        trio.run(main)
    finally:
        os.close(reader)
        os.close(writer)
    assert ["a thread is done", "readable"] == order


def test_the_end_of_the_mount_ends_the_wait() -> None:
    library = _library()
    reader, writer = os.pipe()

    async def main() -> None:
        assert await quickloop.install(library)
        async with trio.open_nursery() as nursery:

            async def end() -> None:
                library.trio.lowlevel.notify_closing(reader)

            nursery.start_soon(end)
            with pytest.raises(trio.ClosedResourceError):
                await library.trio.lowlevel.wait_readable(reader)

    try:
        trio.run(main)
    finally:
        os.close(reader)
        os.close(writer)


def test_the_lock_is_held_by_one_at_a_time_and_had_by_all() -> None:
    library = _library()
    inside, most, done = 0, 0, []

    async def main() -> None:
        assert await quickloop.install(library)
        lock = library.trio.Lock()

        async def hold(number: int) -> None:
            nonlocal inside, most
            async with lock:
                inside += 1
                most = max(most, inside)
                await trio.lowlevel.checkpoint()
                inside -= 1
            done.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(hold, number)

    trio.run(main)
    assert 1 == most
    assert list(range(5)) == sorted(done)
