"""
What a command line came to, made comparable: exit status, stdout, stderr.

What differs between two equal stores is named alike: the roots, the program, and IDs and times
that are not of the common base, which are numbered as they first appear.
"""

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from tests.differential.live import KINDS, Live
from tests.peers import Peer


class Outcome(NamedTuple):
    status: int
    stdout: str
    stderr: str


class Plainer:
    """Names alike what differs; one for each of the two stores."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._base = b"".join(map(live.file, KINDS)).decode()
        self._known: dict[str, str] = {}

    def run(self, tool: Peer, words: Sequence[str], input: str = "") -> Outcome:
        """Run a command of `tool` on the store; "{graph}" in a word is the store's graph root."""
        given = [word.replace("{graph}", self._live.roots.graph) for word in words]
        done = tool.run_bytes(*given, check=False, input=input)
        return Outcome(done.returncode, self.plain(done.stdout), self.plain(done.stderr))

    def plain(self, data: bytes) -> str:
        text = (
            os.fsdecode(data)
            .replace(self._live.roots.graph, "GRAPH")
            .replace(self._live.roots.run, "RUN")
            .replace("containers-storage", "holdctl")
        )
        text = re.sub(r'(?<="created":")[^"]+', self._number, text)
        return re.sub(r"(?<![:0-9a-f])[0-9a-f]{64}(?![0-9a-f])", self._number, text)

    def _number(self, match: re.Match[str]) -> str:
        if match[0] in self._base:
            return match[0]
        kind = "time" if "T" in match[0] else "id"
        return self._known.setdefault(match[0], f"{kind}-{len(self._known)}")
