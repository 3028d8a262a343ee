"""
Ending a long call of the engine when the user says so.

Python acts on a signal between two of its own steps, and one call of the engine may wait for a
silent peer for ever. The interpreter's wake-up descriptor tells the engine that there is a signal.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def interrupt_fd() -> Iterator[int]:
    """
    Give a descriptor that can be read once a signal has come that Python has to act on.

    It is -1 where none can come: in all threads but the main one, and where an event loop has its
    own descriptor for that.
    """
    if threading.current_thread() is not threading.main_thread():
        yield -1
        return
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        kept = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        try:
            if kept != -1:
                signal.set_wakeup_fd(kept)
            yield reader if kept == -1 else -1
        finally:
            signal.set_wakeup_fd(kept)
    finally:
        os.close(reader)
        os.close(writer)
