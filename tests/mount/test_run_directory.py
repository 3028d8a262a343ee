"""The directory in which a daemon keeps its mounts, where it can't be made."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfs.fusefs.rundir import RunDirectory
from holdfs.native import mount
from tests.mounts import detach
from tests.needs import needs

pytestmark = needs("root")


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """Give a tmpfs, as /run is, on which directories can be made and nothing can be written."""
    top = tmp_path / "run"
    top.mkdir()
    mount.mount("tmpfs", str(top), "tmpfs", data="size=4k")
    try:
        (top / "ballast").write_bytes(bytes(4096))
        yield top
    finally:
        detach(str(top))


def test_a_full_run_root_leaves_no_directory_and_no_descriptor_behind(full: Path) -> None:
    before = os.listdir("/proc/self/fd")

    for _ in range(3):
        with pytest.raises(OSError) as refused:
            RunDirectory(str(full), timeout_s=1)
        assert errno.ENOSPC == refused.value.errno

    assert ["lock"] == os.listdir(full / "holdfs")
    assert len(before) == len(os.listdir("/proc/self/fd"))
    (full / "ballast").unlink()
    RunDirectory(str(full), timeout_s=1).remove()
    assert ["lock"] == os.listdir(full / "holdfs")
