"""
Mount overlays in a process that sees an older kernel: a filter lets one system call fail.

    python old_kernel.py CALL_NUMBER ERRNO TOP COUNT…

For each COUNT, mounts that many lowers of TOP and prints how many files the mount shows.
"""

import ctypes
import os
import struct
import sys

from holdfs.native import mount as m

_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2
_RET_ALLOW = 0x7FFF0000
_RET_ERRNO = 0x00050000


def let_fail(call_number: int, code: int) -> None:
    """From now on the system call fails with the errno, for this process and for good."""
    filter_ = b"".join(
        struct.pack("HBBI", *instruction)
        for instruction in (
            (0x20, 0, 0, 0),  # load the number
            (0x15, 0, 1, call_number),  # another one: skip the next
            (0x06, 0, 0, _RET_ERRNO | code),
            (0x06, 0, 0, _RET_ALLOW),
        )
    )
    buffer = ctypes.create_string_buffer(filter_, len(filter_))
    program = struct.pack("HxxxxxxP", len(filter_) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0),
    ):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


def main() -> None:
    call_number, code, top, *counts = sys.argv[1:]
    let_fail(int(call_number), int(code))
    for count in counts:
        m.mount_overlay(
            top,
            "merged",
            lowers=[f"lower{n}" for n in range(int(count))],
            upper="upper",
            work="work",
            flags=m.MS_NODEV,
        )
        print(len([name for name in os.listdir(f"{top}/merged") if name.startswith("f")]))
        assert os.statvfs(f"{top}/merged").f_flag & m.MS_NODEV
        m.umount(f"{top}/merged")


if __name__ == "__main__":
    main()
