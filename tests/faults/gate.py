"""
A gate in front of the system calls of one process: each that changes anything is shown first.

    child                                  here
    mkdirat("…/web") ── kernel stops it ──► verdict(call) ──► let it through, fail it, or SIGKILL

It is the kernel's own (seccomp, user notification), so nothing of ours is replaced: the child runs
the code that everybody runs, up to one chosen call. A call that is failed or killed at has not been
made. Threads that the child starts stand behind the gate as well.
"""

import ctypes
import fcntl
import os
import struct
from dataclasses import dataclass
from typing import Final

#: Calls that change a file system or what is mounted, by their numbers on x86_64. Those that take a
#: path: where it stands among the arguments.
_CHANGING: Final = {
    1: ("write", None), 18: ("pwrite64", None), 20: ("writev", None), 74: ("fsync", None),
    75: ("fdatasync", None), 77: ("ftruncate", None), 82: ("rename", 1), 83: ("mkdir", 0),
    84: ("rmdir", 0), 86: ("link", 1), 87: ("unlink", 0), 88: ("symlink", 1), 90: ("chmod", 0),
    91: ("fchmod", None), 92: ("chown", 0), 93: ("fchown", None), 94: ("lchown", 0),
    133: ("mknod", 0), 165: ("mount", 1), 166: ("umount2", 0), 188: ("setxattr", 0),
    189: ("lsetxattr", 0), 190: ("fsetxattr", None), 258: ("mkdirat", 1), 259: ("mknodat", 1),
    260: ("fchownat", 1), 263: ("unlinkat", 1), 264: ("renameat", 3), 265: ("linkat", 3),
    266: ("symlinkat", 2), 268: ("fchmodat", 1), 280: ("utimensat", 1), 285: ("fallocate", None),
    306: ("syncfs", None), 316: ("renameat2", 3), 326: ("copy_file_range", None),
    428: ("open_tree", 1), 429: ("move_mount", 3), 430: ("fsopen", 0), 431: ("fsconfig", None),
    432: ("fsmount", None), 442: ("mount_setattr", 1),
}  # fmt: skip
_OPENAT: Final = 257
#: Each gives a descriptor, and fails when the process has too many.
_OPENING: Final = frozenset({"openat", "create", "open_tree", "fsopen", "fsmount"})
#: What a full disk refuses.
_TAKING_SPACE: Final = frozenset({
    "create", "write", "pwrite64", "writev", "fallocate", "ftruncate", "copy_file_range", "mkdir",
    "mkdirat", "mknod", "mknodat", "link", "linkat", "symlink", "symlinkat", "setxattr",
    "lsetxattr", "fsetxattr", "rename", "renameat", "renameat2",
})  # fmt: skip

_SECCOMP: Final = 317
_SET_MODE_FILTER: Final = 1
_NEW_LISTENER: Final = 8
_ALLOW: Final = 0x7FFF0000
_NOTIFY: Final = 0x7FC00000
_IOCTL_RECEIVE: Final = 0xC0502100
_IOCTL_SEND: Final = 0xC0182101
_CONTINUE: Final = 1

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Call:
    """
    A system call that waits at the gate.

    Attributes:
        name: As the kernel calls it; an openat that may make or empty a file is `create`.
        where: The path it is given, or that its descriptor leads to.
        changes: False for an openat that only opens.
    """

    name: str
    where: str
    changes: bool = True

    @property
    def opens(self) -> bool:
        return self.name in _OPENING

    @property
    def takes_space(self) -> bool:
        return self.name in _TAKING_SPACE

    def __str__(self) -> str:
        return f"{self.name} {os.path.basename(self.where) or self.where}"


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def close_gate() -> int:
    """
    Put this process behind a gate, for the rest of its life.

    Returns:
        The descriptor that shows the calls. Whoever watches gets it, and this process closes it: if
        the watcher ends, the calls fail with ENOSYS.
    """
    numbers = (*_CHANGING, _OPENAT)
    code = [struct.pack("HBBI", 0x20, 0, 0, 0)]  # load the call's number
    for left, number in zip(range(len(numbers), 0, -1), numbers, strict=True):
        code.append(struct.pack("HBBI", 0x15, left, 0, number))  # equal: to the last line
    code.append(struct.pack("HBBI", 0x06, 0, 0, _ALLOW))
    code.append(struct.pack("HBBI", 0x06, 0, 0, _NOTIFY))
    lines = ctypes.create_string_buffer(b"".join(code))
    program = _Program(len(code), ctypes.addressof(lines))
    fd: int = _libc.syscall(_SECCOMP, _SET_MODE_FILTER, _NEW_LISTENER, ctypes.byref(program))
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "seccomp")
    return fd


@dataclass(frozen=True, slots=True)
class Waiting:
    """One stopped call; answered by `let_through` or `fail`, or by killing the process."""

    listener: int
    ticket: int
    call: Call

    def let_through(self) -> None:
        self._answer(0, _CONTINUE)

    def fail(self, number: int) -> None:
        """Make the call return this errno, without being made."""
        self._answer(-number, 0)

    def _answer(self, error: int, flags: int) -> None:
        answer = struct.pack("QqiI", self.ticket, 0, error, flags)
        fcntl.ioctl(self.listener, _IOCTL_SEND, bytearray(answer))


def next_call(listener: int) -> Waiting:
    """Return the call that waits; there has to be one (the listener polls as readable)."""
    told = bytearray(80)
    fcntl.ioctl(listener, _IOCTL_RECEIVE, told)
    ticket, tid, _, number, _, _, *arguments = struct.unpack("QIIiIQ6Q", told)
    return Waiting(listener, ticket, _describe(tid, number, arguments))


def _describe(tid: int, number: int, arguments: list[int]) -> Call:
    if number == _OPENAT:
        makes = bool(arguments[2] & (os.O_CREAT | os.O_TRUNC))
        return Call("create" if makes else "openat", _text(tid, arguments[1]), makes)
    name, at = _CHANGING[number]
    if at is not None:
        return Call(name, _text(tid, arguments[at]))
    fd = arguments[2] if name == "copy_file_range" else arguments[0]
    where = _fd_path(tid, fd)
    # The test's own output, and what Python says on its way out.
    return Call(name, where, fd not in (1, 2))


def _fd_path(tid: int, fd: int) -> str:
    try:
        return os.readlink(f"/proc/{tid}/fd/{fd}")
    except OSError:
        return f"fd {fd}"


def _text(tid: int, address: int) -> str:
    if not address:
        return ""
    with open(f"/proc/{tid}/mem", "rb", buffering=0) as memory:
        # To the end of the page: behind it there may be nothing.
        memory.seek(address)
        data = memory.read(4096 - address % 4096)
        if b"\0" not in data:
            data += memory.read(4096)
    return os.fsdecode(data.split(b"\0", 1)[0])
