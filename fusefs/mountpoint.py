"""
Say whether the tree can be mounted at a directory, and clear what a crashed daemon left there.

All of it happens before the mount: afterwards the daemon must not touch its own mount point (it
would wait for its own answer) and asks /proc/self/mountinfo instead.
"""

import errno
import os
import re
import select
import signal
import stat
import subprocess
from collections.abc import Iterable
from typing import Final, NamedTuple

from holdfs.native import mount

#: As the mount table writes a mount of ours: the kernel's type, a dot, our subtype.
FUSE_TYPE: Final = "fuse.holdfs"

#: How long a file system may take to answer before we call it dead.
_ANSWER_TIMEOUT_S: Final = 10.0
_UNMOUNT_TIMEOUT_S: Final = 10.0
#: What a mount answers whose daemon is gone; the latter to who asks while the kernel sees its end.
_DEAD: Final = (errno.ENOTCONN, errno.ECONNABORTED)
#: Without these a mount can't even be taken away again: everybody would wait for us, and we too.
_NEEDED: Final = ("/proc", "/dev")
#: Requests are of 1 MiB at most; so two of them are answered while a reader takes the third.
_READ_AHEAD_KIB: Final = "2048"


class MountError(Exception):
    """The tree can't be mounted there. The message is for the user: what, and the way out."""


class Mount(NamedTuple):
    """One line of mountinfo (proc(5)): what is mounted, and as what; `device` is its very own."""

    point: str
    fs_type: str
    source: str
    #: "major:minor"
    device: str


def read_mounts() -> list[Mount]:
    """Return all mounts of this mount namespace in the order they were made; asks no mount."""
    with open("/proc/self/mountinfo", "rb") as f:
        return [_parse_mount(line) for line in f.read().splitlines()]


def mount_at(point: str) -> Mount | None:
    """Return the mount that shows at exactly this path (the last one made there)."""
    return next((found for found in reversed(read_mounts()) if found.point == point), None)


def _parse_mount(line: bytes) -> Mount:
    # ID parent major:minor root POINT options [optional fields…] - TYPE SOURCE options
    before, after = line.split(b" - ", 1)
    fs_type, source = after.split(b" ")[:2]
    fields = before.split(b" ")
    point, device = _unescape(fields[4]), fields[2].decode("ascii")
    return Mount(point, _unescape(fs_type), _unescape(source), device)


def _unescape(word: bytes) -> str:
    """The kernel writes blanks, tabs, newlines and backslashes in octal."""
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), word))


def canonical(path: str) -> str:
    """
    Return the path as the kernel's mount table has it, with no symlinks in it.

    Something mounted at the path itself is not asked: it may be dead, or hang.
    """
    path = os.path.abspath(path)
    plain = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    return plain if mount_at(plain) else os.path.realpath(path)


def answer(path: str, timeout_s: float = _ANSWER_TIMEOUT_S) -> int:
    """
    Return the errno of a look at `path`, 0 for none, ETIMEDOUT if it does not end in time.

    A child process asks, because a call that hangs can be ended only by killing who asks. So call
    this only in a process without threads.
    """
    child = os.fork()
    if child == 0:
        code = errno.EIO
        try:
            os.stat(path)
            # The kernel answers a stat from its cache, also for a daemon that is dead; never this.
            os.statvfs(path)
            code = 0
        except OSError as error:
            code = error.errno or errno.EIO
        finally:
            os._exit(code)
    pidfd = os.pidfd_open(child)
    try:
        in_time = bool(select.select([pidfd], [], [], timeout_s)[0])
        if not in_time:
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    finally:
        os.close(pidfd)
    return os.waitstatus_to_exitcode(status) if in_time else errno.ETIMEDOUT


def check(point: str, store_roots: Iterable[str]) -> None:
    """
    Return if the tree can be mounted at `point`; a dead mount of ours there is taken away first.

    A directory that is not empty will do, as for every FUSE program: its content shows again after
    the unmount.

    Args:
        point: From `canonical`.
        store_roots: Directories that the store uses, present or not.

    Raises:
        MountError: It can't be mounted there.
    """
    while there := mount_at(point):
        code = answer(point)
        if code in _DEAD and there.fs_type == FUSE_TYPE:
            unmount_dead(point)
        elif code in (*_DEAD, errno.ETIMEDOUT):
            raise MountError(
                f"{point} is a {there.fs_type} mount that does not answer; "
                f"clear it with: fusermount3 -u -z {point}"
            )
        elif there.fs_type == FUSE_TYPE:
            raise MountError(
                f"holdfs is already mounted at {point}, showing {there.source}; "
                f"unmount it first, or choose another directory"
            )
        else:
            break
    _check_directory(point)
    for root in map(os.path.realpath, store_roots):
        if _contains(root, point):
            raise MountError(f"{point} is inside the store {root}; mount elsewhere")
        if _contains(point, root):
            raise MountError(f"a mount at {point} would hide the store {root}; mount elsewhere")
    for needed in _NEEDED:
        if _contains(point, needed):
            raise MountError(
                f"a mount at {point} would hide {needed}, which holdfs needs; mount elsewhere"
            )


def check_device() -> None:
    """
    Return if the kernel's FUSE device can be opened, by us or by fusermount3 for us.

    Raises:
        MountError: It can't.
    """
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC))
    except PermissionError as error:
        if os.geteuid() != 0:
            return  # fusermount3 may, and says so if it may not
        raise MountError(
            "no permission to open /dev/fuse; start the container with --device /dev/fuse"
        ) from error
    except OSError as error:
        raise MountError(
            f"no /dev/fuse ({error.strerror}): load the kernel's module with `modprobe fuse`, or"
            " start the container with --device /dev/fuse"
        ) from error


def widen_read_ahead(point: str) -> None:
    """
    Let the kernel ask our mount for more at once of what it reads ahead, if it lets us.

    It has 128 KiB at first, and what it says at the mount can only be made less. Of no effect on
    files that are open already, but for the one whose open(2) is being answered.
    """
    try:
        found = mount_at(point)
        if found is None or found.fs_type != FUSE_TYPE:
            return
        with open(f"/sys/class/bdi/{found.device}/read_ahead_kb", "w", encoding="ascii") as f:
            f.write(_READ_AHEAD_KIB)
    except OSError:
        pass  # not root, /sys is read-only or not there, no descriptors: reading is slower then


def unmount_dead(point: str) -> None:
    """
    Take away a mount whose daemon is gone, also while somebody has its files open.

    Raises:
        MountError: We may not.
    """
    try:
        if os.geteuid() == 0:
            mount.umount(point)
        else:
            fusermount(point)
    except (OSError, subprocess.SubprocessError) as error:
        raise MountError(
            f"a dead mount of holdfs is at {point} and can't be taken away ({error}); "
            f"as its owner or root: fusermount3 -u -z {point}"
        ) from error


def fusermount(point: str) -> None:
    """
    Unmount as an ordinary user may, with the rights that fusermount3 has; also while it is in use.

    Raises:
        OSError, subprocess.SubprocessError: It did not.
    """
    subprocess.run(
        ["fusermount3", "-u", "-z", "--", point],
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_UNMOUNT_TIMEOUT_S,
    )


def _check_directory(point: str) -> None:
    try:
        if not stat.S_ISDIR(os.stat(point).st_mode):
            raise MountError(f"the mount point {point} is not a directory")
    except FileNotFoundError as error:
        raise MountError(
            f"the mount point {point} does not exist; make it with: mkdir -p {point}"
        ) from error
    except OSError as error:
        raise MountError(f"the mount point {point} can't be used: {error.strerror}") from error


def _contains(directory: str, path: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")
