"""The numbers 0 to 2, which belong to the streams whether there are any or not."""

from __future__ import annotations

import os


def occupy() -> None:
    """
    Open /dev/null in the place of each standard stream that we were started without.

    The next files to be opened would get these numbers: a child process writes its messages into
    them, and a daemon, which puts /dev/null there, loses them.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
