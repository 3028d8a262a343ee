"""
Mounting through a mount program, fuse-overlayfs or what behaves like it.

    <program> -o lowerdir=A:B,upperdir=…,workdir=…[,options][,uidmapping=…,gidmapping=…] <target>

Its daemon lives until the mount is undone.
Source: spec/store-format.md 8.5.
"""

import errno
import os
import shutil
import subprocess
from typing import Final

from holdfs.drivers.base import DriverError, IdMap
from holdfs.drivers.overlay.mounts import OverlayMount
from holdfs.native import mount as sys

DEFAULT_PROGRAM: Final = "fuse-overlayfs"
# It answers once the mount is there; this much only if the machine is in trouble.
_TIMEOUT_S: Final = 60
_FLAG_WORDS: Final = (
    (sys.MS_RDONLY, "ro"),
    (sys.MS_NOSUID, "nosuid"),
    (sys.MS_NODEV, "nodev"),
    (sys.MS_NOEXEC, "noexec"),
)


def find_default_program() -> str:
    """Return the path of fuse-overlayfs, "" if it is not installed."""
    return shutil.which(DEFAULT_PROGRAM) or ""


def mount_by_program(
    program: str,
    plan: OverlayMount,
    *,
    home: str,
    target: str,
    uidmap: IdMap,
    gidmap: IdMap,
    has_mask: bool,
) -> None:
    """
    Make a mount; it is undone as any other, and the program's daemon ends with it.

    Args:
        has_mask: Whether files are stored with another mode than their own.

    Raises:
        DriverError: The program can't be run, takes too long, or fails; with what it said.
    """
    words = [word for flag, word in _FLAG_WORDS if plan.flags & flag]
    words += [*_mapping_option("uid", uidmap), *_mapping_option("gid", gidmap)]
    if has_mask:
        # To the program: keep the real mode in an attribute that needs no privilege.
        words.append("xattr_permissions=2")
    _run(program, home=home, data=",".join([plan.data(home), *words]), target=target)


def _mapping_option(kind: str, ranges: IdMap) -> list[str]:
    if not ranges:
        return []
    if len(ranges) == 1 and ranges[0][2] == 1:
        return [f"squash_to_{kind}={ranges[0][1]}"]
    return [f"{kind}mapping=" + ":".join(f"{a}:{b}:{size}" for a, b, size in ranges)]


def _run(program: str, *, home: str, data: str, target: str) -> None:
    # What it says goes to a file in memory: its daemon may keep a pipe open.
    said_fd = os.memfd_create("said", os.MFD_CLOEXEC)
    try:
        done = subprocess.run(
            [program, "-o", data, target],
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=said_fd,
            stderr=said_fd,
            timeout=_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            size = os.fstat(said_fd).st_size
            said = os.pread(said_fd, min(size, 4096), 0).decode(errors="replace").strip()
            # What comes before is of options that it passed over.
            reason = said.rpartition("\n")[2] or f"status {done.returncode}"
            raise DriverError(
                f"mounting at {target} with {program}: {reason}",
                words=f"using mount program {program}: {said}: exit status {done.returncode}",
                errno_=errno.EIO,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DriverError(f"running {program}: {error}", errno_=errno.EIO) from error
    finally:
        os.close(said_fd)
