"""Mounts through the faces of mount.c, on the real kernel."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfs.native import mount as m
from holdfs.native.expiring import Expiry, umount_expire
from tests.mounts import mounts_below
from tests.needs import needs

pytestmark = needs("root", "overlay")

_FSOPEN, _FSCONFIG = 430, 431


@pytest.fixture
def overlay_top(tmp_path: Path) -> Callable[[int], str]:
    """Give a function that makes lowers 0…count-1 with a file f<n> each, upper, work and merged."""

    def make(count: int) -> str:
        for n in range(count):
            (tmp_path / f"lower{n}").mkdir()
            (tmp_path / f"lower{n}" / f"f{n}").touch()
        for name in ("upper", "work", "merged"):
            (tmp_path / name).mkdir()
        return str(tmp_path)

    return make


def _lowers(count: int) -> list[str]:
    return [f"lower{n}" for n in range(count)]


def test_an_overlay_shows_all_lowers_and_takes_writes(
    overlay_top: Callable[[int], str],
) -> None:
    top = overlay_top(3)

    m.mount_overlay(top, "merged", lowers=_lowers(3), upper="upper", work="work")

    Path(top, "merged", "new").touch()
    shown = sorted(os.listdir(f"{top}/merged"))
    m.umount(f"{top}/merged")
    assert ["f0", "f1", "f2", "new"] == shown
    assert ["new"] == os.listdir(f"{top}/upper")


def test_500_lowers_can_be_mounted_and_501_not(overlay_top: Callable[[int], str]) -> None:
    top = overlay_top(501)

    m.mount_overlay(top, "merged", lowers=_lowers(500))
    shown = len(os.listdir(f"{top}/merged"))
    m.umount(f"{top}/merged")

    assert 500 == shown
    with pytest.raises(OSError, match="limit is 500") as raised:
        m.mount_overlay(top, "merged", lowers=_lowers(501))
    assert errno.EINVAL == raised.value.errno


def test_names_too_long_for_the_call_are_given_relative_to_the_home(
    overlay_top: Callable[[int], str], tmp_path: Path
) -> None:
    top = overlay_top(0)
    home = f"{top}/{'long' * 60}/{'name' * 50}"
    os.makedirs(f"{home}/lower0/inside")
    os.makedirs(f"{home}/lower1")

    m.mount_overlay(home, f"{top}/merged", lowers=_lowers(2))

    shown = os.listdir(f"{top}/merged")
    m.umount(f"{top}/merged")
    assert ["inside"] == shown


def test_the_threads_of_the_process_keep_their_directory(
    overlay_top: Callable[[int], str],
) -> None:
    top = overlay_top(2)
    before = os.getcwd()

    m.mount_overlay(top, "merged", lowers=_lowers(2))
    m.umount(f"{top}/merged")

    assert before == os.getcwd()


def test_flags_become_those_of_the_mount(overlay_top: Callable[[int], str]) -> None:
    top = overlay_top(2)
    flags = m.MS_NODEV | m.MS_NOSUID | m.MS_NOEXEC | m.MS_NOATIME | m.MS_RDONLY

    m.mount_overlay(top, "merged", lowers=_lowers(2), flags=flags | m.MS_SYNCHRONOUS)

    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        line = next(line for line in file if f"{top}/merged " in line)
    m.umount(f"{top}/merged")
    assert {"ro", "nosuid", "nodev", "noexec", "noatime"} == set(line.split()[5].split(","))
    assert "sync" in line.split()[-1].split(",")


@pytest.mark.parametrize(
    "names, said",
    [
        ({"options": ["nonsense=1"]}, "nonsense"),
        ({"options": ["nonsense"]}, "nonsense"),
        ({"work": "nowhere"}, "nowhere"),
    ],
)
def test_a_failure_says_what_the_kernel_says(
    overlay_top: Callable[[int], str], names: dict[str, object], said: str
) -> None:
    top = overlay_top(1)
    given: dict[str, object] = {"lowers": ["lower0"], "upper": "upper", "work": "work"}

    with pytest.raises(OSError, match=said) as raised:
        m.mount_overlay(top, "merged", **{**given, **names})  # type: ignore[arg-type]

    assert f"{top}/merged" == raised.value.filename
    assert [] == mounts_below(top)


def test_a_missing_home_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        m.mount_overlay(f"{tmp_path}/none", "merged", lowers=["a", "b"])

    assert f"{tmp_path}/none" == raised.value.filename


@pytest.mark.parametrize(
    "call_number, code",
    [
        pytest.param(_FSOPEN, errno.ENOSYS, id="without-the-calls"),
        pytest.param(_FSCONFIG, errno.EINVAL, id="without-lowers-one-by-one"),
    ],
)
def test_an_older_kernel_takes_as_many_lowers(
    overlay_top: Callable[[int], str], call_number: int, code: int
) -> None:
    # Full names in a page, then names relative to the home, then numbers of descriptors.
    counts = ["1", "5", "250", "490"]
    top = overlay_top(490)
    script = Path(__file__).with_name("old_kernel.py")

    done = subprocess.run(
        [sys.executable, str(script), str(call_number), str(code), top, *counts],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (counts, "") == (done.stdout.split(), done.stderr)


def test_data_of_a_mount_quotes_a_label() -> None:
    options = ("context=system_u:object_r:container_file_t:s0:c1,c2", "metacopy=on")

    assert (
        "lowerdir=a:b,upperdir=u,workdir=w,"
        'context="system_u:object_r:container_file_t:s0:c1,c2",metacopy=on'
        == m.overlay_data(["a", "b", "u", "w"], True, options)
    )


def test_an_idle_mount_expires_at_the_second_call(overlay_top: Callable[[int], str]) -> None:
    top = overlay_top(2)
    m.mount_overlay(top, "merged", lowers=_lowers(2))

    with open(f"{top}/merged/f0", "rb"):
        assert Expiry.BUSY == umount_expire(f"{top}/merged")
    assert Expiry.MARKED == umount_expire(f"{top}/merged")
    os.stat(f"{top}/merged/f0")
    assert Expiry.MARKED == umount_expire(f"{top}/merged")
    assert Expiry.UNMOUNTED == umount_expire(f"{top}/merged")
    with pytest.raises(OSError) as raised:
        umount_expire(f"{top}/merged")
    assert errno.EINVAL == raised.value.errno


def test_unmounting_detaches_what_is_in_use_unless_told_not_to(
    overlay_top: Callable[[int], str],
) -> None:
    top = overlay_top(2)
    m.mount_overlay(top, "merged", lowers=_lowers(2))
    with open(f"{top}/merged/f0", "rb") as file:
        with pytest.raises(OSError) as raised:
            m.umount(f"{top}/merged", detach=False)
        assert errno.EBUSY == raised.value.errno

        m.umount(f"{top}/merged")

        assert b"" == file.read()
    assert [] == os.listdir(f"{top}/merged")


def test_unmounting_follows_no_link(overlay_top: Callable[[int], str]) -> None:
    top = overlay_top(2)
    m.mount_overlay(top, "merged", lowers=_lowers(2))
    os.symlink("merged", f"{top}/link")

    with pytest.raises(OSError) as raised:
        m.umount(f"{top}/link")

    assert errno.EINVAL == raised.value.errno
    assert m.is_mount_point(f"{top}/merged")
    m.umount(f"{top}/merged")


def test_a_mount_point_is_known_also_if_it_is_the_same_file_system(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("b")

    m.bind(f"{tmp_path}/a", f"{tmp_path}/b")

    known = [m.is_mount_point(f"{tmp_path}/{name}") for name in ("a", "b", "link", "none", "b/c")]
    m.umount(f"{tmp_path}/b")
    assert [False, True, False, False, False] == known
    assert not m.is_mount_point(f"{tmp_path}/b")


def test_a_read_only_bind_can_not_be_written(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()

    m.bind(f"{tmp_path}/a", f"{tmp_path}/b", read_only=True, flags=m.MS_NODEV)

    with pytest.raises(OSError) as raised:
        (tmp_path / "b" / "f").touch()
    (tmp_path / "a" / "f").touch()
    flags = os.statvfs(tmp_path / "b").f_flag
    m.umount(f"{tmp_path}/b")
    assert errno.EROFS == raised.value.errno
    assert flags & os.ST_RDONLY and flags & m.MS_NODEV


def test_what_is_mounted_below_a_private_mount_stays_there(tmp_path: Path) -> None:
    for name in ("top/home/a", "peer"):
        (tmp_path / name).mkdir(parents=True)
    top, peer = f"{tmp_path}/top", f"{tmp_path}/peer"
    m.bind(top, top)
    subprocess.run(["mount", "--make-shared", top], check=True, timeout=20)
    m.mount(top, peer, flags=m.MS_BIND)  # a peer: sees what is mounted below a shared mount
    m.bind(f"{top}/home", f"{top}/home")

    m.mount("none", f"{top}/home/a", "tmpfs", data="size=64k")

    found = mounts_below(str(tmp_path))
    for path in (f"{top}/home/a", f"{top}/home", peer, top):
        m.umount(path)
    assert f"{top}/home/a" in found
    assert f"{peer}/home/a" not in found


def test_file_systems_are_told_by_their_number(overlay_top: Callable[[int], str]) -> None:
    top = overlay_top(2)
    m.mount_overlay(top, "merged", lowers=_lowers(2))

    found = m.fs_type(f"{top}/merged")
    m.umount(f"{top}/merged")

    assert m.OVERLAY_MAGIC == found
    assert 0x9FA0 == m.fs_type("/proc")
    with pytest.raises(FileNotFoundError):
        m.fs_type(f"{top}/none")


def test_syncfs_wants_an_open_descriptor(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    m.syncfs(fd)
    os.close(fd)

    with pytest.raises(OSError) as raised:
        m.syncfs(fd)

    assert errno.EBADF == raised.value.errno


def test_a_mount_that_fails_names_its_target(tmp_path: Path) -> None:
    with pytest.raises(OSError) as raised:
        m.mount("none", f"{tmp_path}/none", "tmpfs")

    assert (errno.ENOENT, f"{tmp_path}/none") == (raised.value.errno, raised.value.filename)


def test_no_descriptor_is_left_open(overlay_top: Callable[[int], str]) -> None:
    top = overlay_top(2)
    before = os.listdir("/proc/self/fd")

    m.mount_overlay(top, "merged", lowers=_lowers(2))
    m.umount(f"{top}/merged")
    with pytest.raises(OSError):
        m.mount_overlay(top, "merged", lowers=_lowers(2), options=["nonsense"])

    assert before == os.listdir("/proc/self/fd")
