"""What others change is shown even while a change of ours takes long."""

import threading
from collections.abc import Callable

import trio

from holdfs.fusefs.session import Session
from holdfs.fusefs.settings import Settings
from tests.tree.conftest import Grove


def test_a_long_change_of_ours_does_not_hide_those_of_others(
    grove: Grove, chain: Callable[[], None]
) -> None:
    async def main() -> int:
        session = Session(grove.store, grove.tree.automount, Settings(mount_point="/mnt/store"))
        begun, done = threading.Event(), threading.Event()

        def step() -> None:
            begun.set()
            done.wait()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.change, step)
            try:
                await trio.to_thread.run_sync(begun.wait)
                chain()
                await session.refresh()
                return len(session.tree.view.records("images"))
            finally:
                done.set()

    assert 1 == trio.run(main)
