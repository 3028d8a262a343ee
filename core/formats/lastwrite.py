"""
The last-writer token in a lock file.

    bytes  0- 7  Unix time in ns, little endian
           8-15  a counter of this process, little endian
          16-19  process ID, little endian
          20-63  random

Whoever reads compares the bytes and takes nothing from them: older tools write other contents, and
an empty file means that nobody has written yet.

Source: containers/storage, pkg/lockfile/lastwrite.go; spec 6.3.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

TOKEN_SIZE: Final = 64
_numbers = iter(range(1, 1 << 62))


def new_token() -> bytes:
    """Return 64 bytes that no writer has used before."""
    numbers = ((time.time_ns(), 8), (next(_numbers), 8), (os.getpid(), 4))
    return b"".join(n.to_bytes(size, "little") for n, size in numbers) + os.urandom(44)
