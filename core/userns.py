"""
Going on in a user namespace of one's own, as a user without privileges must to work with layers.

    caller ──fork──► child: unshare, waits for its maps, goes on as root of the namespace
      │                 ▲
      ╰── writes them ──╯     0 is the caller, 1… the ranges of /etc/subuid and /etc/subgid
      enter: waits, and ends as the child does

Source: containers/storage, pkg/unshare; spec cli 6.14.
"""

import errno
import os
import pwd
import signal
import subprocess

from holdfs.core.errors import StoreError
from holdfs.core.formats.idmap import Maps, parse_sub_ids
from holdfs.core.formats.records import IdMap
from holdfs.native.userns import unshare_user

#: Tells what runs in the namespace whose store it is to look for, as podman does.
_CONFIGURED = "_CONTAINERS_USERNS_CONFIGURED"
_ROOTLESS_UID = "_CONTAINERS_ROOTLESS_UID"
_ROOTLESS_GID = "_CONTAINERS_ROOTLESS_GID"

#: What to tell a user who has none.
NO_SUB_IDS = (
    "you have no subordinate IDs, so what others than you own in the store can't be read or made;"
    " as root: usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST USER"
)


class NamespaceFailed(StoreError):
    """There is no user namespace to be had here."""

    errno = errno.EPERM

    def __init__(self, message: str) -> None:
        super().__init__(message, words=message)


def is_inside() -> bool:
    """Whether this process was put into a user namespace for a store, by us or by a Go tool."""
    return _CONFIGURED in os.environ


def has_sub_ids() -> bool:
    """Whether the caller has IDs beside his own to map, of users and of groups."""
    user = _user_name(os.geteuid())
    return all(_ranges(path, user) for path in ("/etc/subuid", "/etc/subgid"))


def enter() -> int | None:
    """
    Go on in a child process, in a user namespace.

    Returns:
        None in the child. In the caller, once the child has ended: its exit status.

    Raises:
        NamespaceFailed: In the caller, and the child is gone.
    """
    child = fork()
    return _wait(child) if child else None


def fork(death_signal: int = signal.SIGKILL) -> int:
    """
    Return as fork(2) does, the child in a user namespace.

    Args:
        death_signal: What the child gets when the caller ends.

    Raises:
        NamespaceFailed: In the caller, and the child is gone.
    """
    uid, gid = os.geteuid(), os.getegid()
    user = _user_name(uid)
    maps = {
        "uid": (IdMap(container_id=0, host_id=uid, size=1), *_ranges("/etc/subuid", user)),
        "gid": (IdMap(container_id=0, host_id=gid, size=1), *_ranges("/etc/subgid", user)),
    }
    unshared_fd, tell_unshared_fd = os.pipe()
    mapped_fd, tell_mapped_fd = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(unshared_fd)
        os.close(tell_mapped_fd)
        _become_root(tell_unshared_fd, mapped_fd, uid, gid, death_signal)
        return 0
    os.close(tell_unshared_fd)
    os.close(mapped_fd)
    try:
        try:
            said = os.read(unshared_fd, 4096)
            if said != b"ready":
                raise NamespaceFailed(f"no user namespace can be made: {os.fsdecode(said)}")
            for kind, ranges in maps.items():
                _write_map(kind, child, ranges, is_root=uid == 0)
            os.write(tell_mapped_fd, b"mapped")
        finally:
            os.close(unshared_fd)
            # Closed unwritten, it tells the child that there is nothing to go on with.
            os.close(tell_mapped_fd)
    except BaseException:
        os.waitpid(child, 0)
        raise
    return child


def _become_root(tell_fd: int, mapped_fd: int, uid: int, gid: int, death_signal: int) -> None:
    try:
        unshare_user(death_signal)
    except OSError as error:
        os.write(tell_fd, os.fsencode(error.strerror or str(error)))
        os._exit(1)
    os.write(tell_fd, b"ready")
    os.close(tell_fd)
    if os.read(mapped_fd, 16) != b"mapped":
        os._exit(1)
    os.close(mapped_fd)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    # (What is mounted in here stays here: the kernel cuts shared mounts off in such a namespace.)
    os.environ.update({_CONFIGURED: "done", _ROOTLESS_UID: str(uid), _ROOTLESS_GID: str(gid)})


def _wait(child: int) -> int:
    """Return the child's exit status; what interrupts the terminal's programs is the child's."""
    kept = [signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGQUIT)]
    try:
        _, status = os.waitpid(child, 0)
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGQUIT), kept, strict=True):
            signal.signal(number, handler)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


# -- maps --------------------------------------------------------------------------------------


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _ranges(path: str, user: str) -> Maps:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            found = parse_sub_ids(file.read(), user)
    except FileNotFoundError:
        return ()
    # 0 is the caller's own ID.
    return tuple(IdMap(m.container_id + 1, m.host_id, m.size) for m in found)


def _write_map(kind: str, pid: int, ranges: Maps, *, is_root: bool) -> None:
    lines = [f"{m.container_id} {m.host_id} {m.size}" for m in ranges]
    if not is_root and len(ranges) > 1:
        # Only these may map what is not the caller's own; they look at the same files.
        command = [f"new{kind}map", str(pid), *" ".join(lines).split()]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=30)
        except FileNotFoundError as error:
            raise NamespaceFailed(f"{command[0]} is not installed (Debian: uidmap)") from error
        except subprocess.CalledProcessError as error:
            said = os.fsdecode(error.stderr).strip()
            raise NamespaceFailed(f"{command[0]} failed: {said}") from error
        return
    if not is_root and kind == "gid":
        # The kernel's condition for a group map written without privileges: user_namespaces(7).
        with open(f"/proc/{pid}/setgroups", "w", encoding="ascii") as file:
            file.write("deny")
    with open(f"/proc/{pid}/{kind}_map", "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")
