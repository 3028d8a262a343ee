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

import itertools
import os
import struct
import time
from typing import Final

TOKEN_SIZE: Final = 64
_LAYOUT = struct.Struct("<QQI44s")
_counter = itertools.count(1)


def new_token() -> bytes:
    """Return 64 bytes that no writer has used before."""
    return _LAYOUT.pack(time.time_ns(), next(_counter), os.getpid(), os.urandom(44))
