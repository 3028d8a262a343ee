"""
Reading ahead for who reads a diff from front to back: what he asks for next is there already.

    asked     |  off, size  | off + size  |                            two in a row of one size
    pieces                                |      |      |      |      |  are expected to go on

A piece is what one such request asks for, so it is handed out whole, and nothing is put together.
A request that was not expected ends it, and is answered as any other; two in a row begin it anew.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

#: At a time, each of 1 MiB at most, as the kernel asks for no more; two of them are being read.
PIECES: Final = 4
_THREADS: Final = 2
#: Smaller ones are no work, but for who asks so often.
_LEAST: Final = 128 << 10

Piece = Future[memoryview]


class Ahead:
    """
    Of one handle. For one thread, but for `stop`, after which nothing else is called.

    Args:
        read: Gives so many bytes from an offset on, fewer at the end. For any thread.
        size: Where the end is.
        places: How many may have threads and memory for this at once; without a place nothing is
            expected.
    """

    def __init__(
        self, read: Callable[[int, int], memoryview], size: int, places: threading.Semaphore
    ) -> None:
        self._read = read
        self._size = size
        self._places = places
        self._threads: ThreadPoolExecutor | None = None
        #: By offset.
        self._pieces: dict[int, Piece] = {}
        #: Of each request in the row; where the row ends so far, and where the pieces do.
        self._step = 0
        self._asked = 0
        self._planned = 0

    @property
    def has_threads(self) -> bool:
        """Whether `stop` has something to wait for."""
        return self._threads is not None

    def expect(self, off: int, size: int) -> Piece | None:
        """Return the piece for this request, read or not yet, if it was expected; plan the next."""
        piece = self._pieces.pop(off, None) if size <= self._step else None
        if piece is None:
            self._drop()
            is_next = off == self._asked and size == self._step >= _LEAST
            self._step, self._asked = size, off + size
            if not is_next:
                return None
            self._planned = self._asked
        # Two are asked for at once, and may come the other way round.
        self._asked = max(self._asked, off + size)
        stop = min(self._asked + PIECES * self._step, self._size)
        if self._planned < stop and (threads := self._own_threads()) is not None:
            for begin in range(self._planned, stop, self._step):
                self._pieces[begin] = threads.submit(self._read, begin, self._step)
                self._planned = begin + self._step
        return piece

    def stop(self) -> None:
        """End the threads; waits for what they are reading."""
        self._drop()
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
            self._threads = None
            self._places.release()

    def _own_threads(self) -> ThreadPoolExecutor | None:
        if self._threads is None and self._places.acquire(blocking=False):
            self._threads = ThreadPoolExecutor(_THREADS, "ahead")
        return self._threads

    def _drop(self) -> None:
        for piece in self._pieces.values():
            piece.cancel()
        self._pieces.clear()
