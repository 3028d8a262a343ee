"""
What a test needs of the machine, found out by trying it.

    @needs("root", "overlay", "podman")
    def test_podman_sees_a_name_we_set(...): ...

A need that can't be met skips the test and says why. In CI (`CI=true`, or `HOLDFS_NO_SKIP=1`) it
fails instead: there everything is installed, and a test that quietly stops running is lost.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import pytest

from tests.mounts import detach

_TIMEOUT_S = 60


def needs(*names: str) -> pytest.MarkDecorator:
    """Mark a test (or, as `pytestmark`, a module) with what it needs: names of `PROBES`."""
    unknown = [name for name in names if name not in PROBES]
    if unknown:
        raise KeyError(f"no probe is called {unknown}; tests/needs.py has {sorted(PROBES)}")
    return pytest.mark.needs(*names)


@cache
def missing(name: str) -> str | None:
    """Return why this machine can't do `name`, or None if it can. Tried once per session."""
    try:
        return PROBES[name]()
    except OSError as e:
        return str(e)
    except subprocess.SubprocessError as e:
        return f"{e}: {_last_line(getattr(e, 'stderr', None))}"


def skips_are_failures() -> bool:
    """Whether this is a run in which every probe has to succeed."""
    return os.environ.get("CI") == "true" or os.environ.get("HOLDFS_NO_SKIP") == "1"


# -- the probes --------------------------------------------------------------------------------


def _root() -> str | None:
    return None if os.geteuid() == 0 else "not running as root"


def _fuse() -> str | None:
    os.close(os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC))
    return None if shutil.which("fusermount3") else "fusermount3 is not installed"


def _overlay() -> str | None:
    """Where the tests' temporary directories are, since that's where their stores will be."""
    with tempfile.TemporaryDirectory(prefix="holdfs-probe-") as top:
        return _try_overlay(top)


def _overlay_kernel() -> str | None:
    """On a tmpfs: says whether the kernel has overlay, whatever file system /tmp is on."""
    with tempfile.TemporaryDirectory(prefix="holdfs-probe-") as top:
        _call("mount", "-t", "tmpfs", "holdfs-probe", top)
        try:
            return _try_overlay(top)
        finally:
            detach(top)


def _try_overlay(top: str) -> str | None:
    lower, upper, work, merged = (f"{top}/{d}" for d in ("lower", "upper", "work", "merged"))
    for directory in (lower, upper, work, merged):
        os.mkdir(directory)
    with open(f"{lower}/file", "w", encoding="ascii") as f:
        f.write("lower")
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    _call("mount", "-t", "overlay", "holdfs-probe", "-o", options, merged)
    try:
        # A file system that can't be an upper one mounts, but read-only.
        os.unlink(f"{merged}/file")
        return None if os.listdir(upper) == ["file"] else "overlay made no whiteout"
    finally:
        detach(merged)


def _userns() -> str | None:
    _call("unshare", "--user", "--map-root-user", "true")
    return None


def _sub_ids() -> str | None:
    """What gives an ordinary user more than one ID: ranges for new users, and who may map them."""
    if not os.path.exists("/etc/subuid") or not os.path.exists("/etc/subgid"):
        return "no /etc/subuid and /etc/subgid, so useradd gives no ranges"
    missing = [name for name in ("newuidmap", "newgidmap", "useradd") if not shutil.which(name)]
    return f"{missing[0]} is not installed" if missing else None


def _idmap() -> str | None:
    """Whether overlay takes ID-mapped lowers, where the tests' temporary directories are."""
    with tempfile.TemporaryDirectory(prefix="holdfs-probe-") as top:
        for directory in ("graph", "run"):
            os.mkdir(f"{top}/{directory}")
        _call(
            "containers-storage", "--graph", f"{top}/graph", "--run", f"{top}/run",
            "--storage-driver", "overlay", "create-layer",
        )  # fmt: skip
        detach(f"{top}/graph/overlay")
        if os.path.exists(f"{top}/run/overlay/idmapped-lower-dir-true"):
            return None
        return "overlay takes no ID-mapped lowers"


def _seccomp() -> str | None:
    """What tests/faults/gate.py stands on: system calls shown to another process first."""
    if os.uname().machine != "x86_64":
        return f"the numbers of system calls are known for x86_64, not for {os.uname().machine}"
    with open("/proc/sys/kernel/seccomp/actions_avail", encoding="ascii") as f:
        return None if "user_notif" in f.read().split() else "seccomp has no user notification"


def _ext4() -> str | None:
    return _try_loop("ext4")


def _btrfs() -> str | None:
    return _try_loop("btrfs")


def _xfs() -> str | None:
    return _try_loop("xfs")


def _try_loop(kind: str) -> str | None:
    with tempfile.TemporaryDirectory(prefix="holdfs-probe-") as top, loop_mounted(kind, top):
        return None


@contextmanager
def loop_mounted(kind: str, directory: str, *options: str, size: int = 512 << 20) -> Iterator[str]:
    """
    Give an empty file system of its own, in a sparse file in `directory`; unmounted at the end.

    Args:
        kind: btrfs, xfs or ext4.
        options: For `mount -o`.
        size: In bytes; the least that mkfs.xfs takes is 300 MiB.

    Yields:
        Where it is mounted, below `directory`.
    """
    image, mount_point = f"{directory}/{kind}.img", f"{directory}/{kind}"
    os.mkdir(mount_point)
    with open(image, "wb") as f:
        f.truncate(size)
    _call(f"mkfs.{kind}", "-q", image)
    _call("mount", "-t", kind, "-o", ",".join(("loop", *options)), image, mount_point)
    try:
        yield mount_point
    finally:
        detach(mount_point)


def _tool(name: str, *args: str) -> Callable[[], str | None]:
    def probe() -> str | None:
        if not shutil.which(name):
            return f"{name} is not installed"
        _call(name, *args)
        return None

    return probe


def _bash_completion() -> str | None:
    path = "/usr/share/bash-completion/bash_completion"
    return None if os.path.exists(path) else "bash-completion is not installed"


def _installed(name: str) -> Callable[[], str | None]:
    """For a program that does nothing without a screen, not even show its version."""
    return lambda: None if shutil.which(name) else f"{name} is not installed"


def _call(*command: str) -> None:
    subprocess.run(
        command,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=_TIMEOUT_S,
    )


def _last_line(output: bytes | None) -> str:
    lines = (output or b"").decode(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line), "no message")


#: Every need by name. A probe returns None or the reason; what it raises is a reason too.
PROBES: dict[str, Callable[[], str | None]] = {
    "root": _root,
    "fuse": _fuse,
    "overlay": _overlay,
    "overlay-kernel": _overlay_kernel,
    "userns": _userns,
    "sub-ids": _sub_ids,
    "idmap": _idmap,
    "seccomp": _seccomp,
    "faketime": _installed("faketime"),
    "btrfs": _btrfs,
    "xfs": _xfs,
    "ext4": _ext4,
    # Without a command, or with any other, it would open the machine's own store.
    "containers-storage": _tool("containers-storage", "--help"),
    "podman": _tool("podman", "--version"),
    "buildah": _tool("buildah", "--version"),
    "fuse-overlayfs": _tool("fuse-overlayfs", "--version"),
    "skopeo": _tool("skopeo", "--version"),
    "umoci": _tool("umoci", "--version"),
    "busybox": _tool("busybox", "true"),
    "debootstrap": _tool("debootstrap", "--version"),
    "vim": _tool("vim", "--version"),
    "nano": _tool("nano", "--version"),
    "bash-completion": _bash_completion,
    "rsync": _tool("rsync", "--version"),
    "mc": _tool("mc", "--version"),
    "gio": _tool("gio", "version"),
    "xvfb": _tool("Xvfb", "-help"),
    "xdotool": _installed("xdotool"),
    "xclip": _tool("xclip", "-version"),
    "openbox": _tool("openbox", "--version"),
    "import": _tool("import", "-version"),
    "thunar": _installed("thunar"),
    "systemd-analyze": _tool("systemd-analyze", "--version"),
    "pcmanfm": _installed("pcmanfm"),
    "nautilus": _installed("nautilus"),
}
