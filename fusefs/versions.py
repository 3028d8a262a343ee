"""
What `holdfs --version` says: us, what we stand on, and the protocol that this kernel speaks.

The kernel tells its version of FUSE in the first request of a mount and nowhere else. So one is
made where nobody sees it, in a mount namespace that ends with the child process that has it.
"""

import ctypes
import importlib.metadata
import os
import select
import struct
from collections.abc import Iterator
from typing import Final

from holdfs.native import mount

_CLONE_NEWNS: Final = 0x00020000
_CLONE_NEWUSER: Final = 0x10000000
#: fuse_in_header, of which length and opcode come first; then fuse_init_in. See linux/fuse.h.
_HEADER: Final = struct.Struct("=II32x")
_INIT: Final = struct.Struct("=II")
_FUSE_INIT: Final = 26
_SMALLEST_BUFFER: Final = 8192 + 4096  # FUSE_MIN_READ_BUFFER, and some
_TIMEOUT_S: Final = 5.0


def version_text() -> str:
    """Return the versions, a line each."""
    lines = [f"holdfs {importlib.metadata.version('holdfs')}"]
    for package in ("pyfuse3", "trio"):
        try:
            lines.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            lines.append(f"{package} is missing")
    lines.append(f"libfuse {_libfuse_version()}")
    lines.append(f"Linux {os.uname().release}, FUSE protocol {_kernel_protocol()}")
    return "\n".join([*lines, ""])


def _libfuse_version() -> str:
    try:
        library = ctypes.CDLL("libfuse3.so.3")
    except OSError:
        return "is missing"
    library.fuse_pkgversion.restype = ctypes.c_char_p
    return str(library.fuse_pkgversion().decode())


def _kernel_protocol() -> str:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, ".".join(map(str, _ask_kernel())).encode())
        except OSError as error:
            os.write(writer, f"unknown ({error.strerror})".encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said or "unknown"


def _ask_kernel() -> Iterator[int]:
    """Return major and minor version. Leaves this process in namespaces of its own."""
    fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    _enter_namespaces()
    mount.mount("none", "/", flags=mount.MS_REC | mount.MS_PRIVATE)
    # At any directory: nobody will go there.
    owner = "rootmode=40000,user_id=0,group_id=0"
    mount.mount("holdfs", "/proc", "fuse", data=f"fd={fd},{owner}")
    if not select.select([fd], [], [], _TIMEOUT_S)[0]:
        raise TimeoutError(0, "the kernel does not answer")
    request = os.read(fd, _SMALLEST_BUFFER)
    _, opcode = _HEADER.unpack_from(request)
    if opcode != _FUSE_INIT:
        raise OSError(0, "another request came first")
    return iter(_INIT.unpack_from(request, _HEADER.size))


def _enter_namespaces() -> None:
    uid, gid = os.geteuid(), os.getegid()
    is_root = uid == 0
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS | (0 if is_root else _CLONE_NEWUSER)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    if is_root:
        return
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as f:
            f.write(text)
