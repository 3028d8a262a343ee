"""
The file `errors`: the last refusals, each in words, written before the caller has its errno.

    2026-11-24T07:03:11Z  rmdir  images/shop  EBUSY  image 5f2… is used by container 90e…
"""

import errno
import os
import re
import time
from collections import deque

_KEPT = 200
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Refusals:
    """The last 200 of them."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque(maxlen=_KEPT)
        self.changed_ns = time.time_ns()

    def add(self, operation: str, path: str, number: int, reason: str) -> None:
        """Add one line; what would break it in two is escaped."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        name = errno.errorcode.get(number, str(number))
        fields = (moment, operation, path or ".", name, reason or os.strerror(number))
        line = "  ".join(_CONTROL.sub(_escape, field) for field in fields)
        self._lines.append(line.encode("utf-8", "backslashreplace") + b"\n")
        self.changed_ns = time.time_ns()

    def text(self) -> bytes:
        """Return the whole file, oldest line first."""
        return b"".join(self._lines)


def _escape(match: re.Match[str]) -> str:
    return f"\\x{ord(match[0]):02x}"
