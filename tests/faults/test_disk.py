"""A store on a file system of its own that is really full, or has become read-only."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfs.core.store import Store
from tests.faults.acts import ACTS, Act, make_template, open_store
from tests.faults.states import Roots, State, find_litter, read_state
from tests.needs import loop_mounted, needs
from tests.peers import GoStore

pytestmark = needs("root", "overlay-kernel", "ext4", "containers-storage")

#: What the run root alone holds, and what gives space back first.
_NEEDS_NO_SPACE = {
    "mount",
    "mount-again",
    "mount-image",
    "unmount",
    "unmount-one",
    "shutdown",
    "shutdown-by-force",
    "wipe",
}


@pytest.fixture(params=["overlay", "vfs"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Roots]:
    """Give the template store with its graph root on a small ext4; the run root is elsewhere."""
    with loop_mounted("ext4", str(tmp_path), "nodelalloc", size=8 << 20) as mount_point:
        roots = Roots(f"{mount_point}/graph", f"{tmp_path}/run", request.param)
        make_template(roots)
        yield roots


def _state(roots: Roots) -> State:
    known = {r["id"] for kind in ("layers", "images", "containers") for r in roots.records(kind)}
    return read_state(roots, frozenset(known))


def _fill(roots: Roots) -> str:
    """Take all space, to the last block, and return the file that has it."""
    path = os.path.join(os.path.dirname(roots.graph), "ballast")
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 16, 512, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError as error:
                assert errno.ENOSPC == error.errno
    return path


def _space_acts(driver: str) -> list[Act]:
    return [a for a in ACTS if driver in a.drivers and a.name not in _NEEDS_NO_SPACE]


def test_on_a_full_disk_every_change_is_refused_and_nothing_is_lost(disk: Roots) -> None:
    store = open_store(disk)
    before = _state(disk)
    ballast = _fill(disk)
    for act in _space_acts(disk.driver):
        with pytest.raises(OSError) as refused:
            act.run(store)
        assert (act.name, errno.ENOSPC) == (act.name, refused.value.errno)
        assert _says_where(refused.value, disk), act.name
        assert before == _state(disk), act.name
        assert [] == find_litter(disk), act.name
    os.unlink(ballast)
    store.create_layer(parent="top", names=["after"])
    GoStore(disk.graph, disk.run, disk.driver).run("delete-layer", "after")
    assert before == _state(disk)


def _says_where(error: OSError, roots: Roots) -> bool:
    # The tar engine names the member, and where it begins.
    return str(error.filename).startswith(roots.graph) or "at byte" in str(error)


def test_a_full_disk_can_be_read(disk: Roots) -> None:
    _fill(disk)
    store = open_store(disk)
    assert b"old\n" == store.read_big_data("images", "shop", "notes")
    path = Path(store.mount("top"))
    assert (path / "etc" / "00000001").read_text().startswith("made in")
    assert not store.unmount("top")


@pytest.mark.parametrize("disk", ["overlay"], indirect=True)
def test_on_a_full_disk_status_says_what_it_cannot_find_out(disk: Roots) -> None:
    store = open_store(disk)
    for path in Path(disk.run, "overlay").glob("volatile-*"):
        path.unlink()
    ballast = _fill(disk)

    assert "unknown (No space left on device)" == dict(store.status())["Supports volatile"]

    os.unlink(ballast)
    assert "true" == dict(store.status())["Supports volatile"]


@needs("fuse-overlayfs")
@pytest.mark.parametrize("disk", ["overlay"], indirect=True)
def test_a_disk_too_full_to_try_the_kernel_is_not_left_to_a_mount_program(disk: Roots) -> None:
    ballast = _fill(disk)
    # Enough for a note that from now on a mount program writes there.
    os.truncate(ballast, os.path.getsize(ballast) - 3 * os.statvfs(disk.graph).f_frsize)
    rebooted = Roots(disk.graph, f"{disk.run}-2", disk.driver)

    with pytest.raises(OSError, match="No space left on device"):
        open_store(rebooted)

    os.unlink(ballast)
    assert "true" == dict(open_store(rebooted).status())["Native Overlay Diff"]


def test_on_a_read_only_disk_every_change_is_refused_as_such(disk: Roots) -> None:
    store = open_store(disk)
    before = _state(disk)
    store.shutdown()
    _remount(disk, "ro")
    for act in (*_space_acts(disk.driver), *(act for act in ACTS if act.name == "wipe")):
        with pytest.raises(OSError) as refused:
            act.run(store)
        assert (act.name, errno.EROFS) == (act.name, refused.value.errno)
        assert _says_where(refused.value, disk), act.name
    assert before == _state(disk)
    _remount(disk, "rw")
    store.create_layer(parent="top", names=["after"])


def test_a_read_only_store_is_opened_and_read(disk: Roots) -> None:
    _remount(disk, "ro")
    store: Store = open_store(disk)
    assert ["shop", "solo", "plain"] == [
        store.snapshot().images.names_of(i)[0] for i in store.snapshot().images.ids
    ]
    assert b"old\n" == store.read_big_data("images", "shop", "notes")


def _remount(roots: Roots, how: str) -> None:
    mount_point = os.path.dirname(roots.graph)
    subprocess.run(["mount", "-o", f"remount,{how}", mount_point], check=True, timeout=60)
