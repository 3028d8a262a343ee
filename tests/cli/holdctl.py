"""holdctl on one store, called as containers-storage is in tests/peers.py."""

import sys
from pathlib import Path

from tests.peers import GoStore


class Holdctl(GoStore):
    """Ours. It takes the same options, which is the point."""

    program = str(Path(sys.executable).with_name("holdctl"))
