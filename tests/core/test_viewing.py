"""A layer's tree opened for us alone: what is left when that fails."""

import os
from pathlib import Path
from typing import cast

import pytest

from holdfs.core.viewing import open_view
from holdfs.drivers.base import Driver
from tests.needs import needs


class Unmounted:
    """What a driver is where its mount has gone before it could be taken down."""

    def mount_view(self, layer_id: str, target: str) -> None:
        """Mount nothing."""


@needs("root")
def test_a_view_that_cannot_be_unmounted_leaves_no_descriptor(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")

    with pytest.raises(OSError, match="Invalid argument"):
        open_view(cast(Driver, Unmounted()), str(tmp_path), "layer")

    assert before == os.listdir("/proc/self/fd")
    assert [] == os.listdir(tmp_path)
