"""A tree, and what is done to it: everything that a difference can consist of."""

import os
import shutil
import socket
import struct

CAPABILITY = struct.pack("<IIIII", 0x02000001, 0x2000, 0, 0, 0)


def write(path: str, data: bytes = b"x", mode: int = 0o644) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)
    os.chmod(path, mode)


def build(top: str) -> None:
    """Fill an empty directory."""
    for i in range(5):
        write(f"{top}/a/f{i}", b"d" * i * 300)
    for name in (
        "a.b",
        "a/b/c/deep",
        "gone/x/y",
        "gone2",
        "opaque/old",
        "keep/k",
        "content",
        "dir to file/z",
    ):
        write(f"{top}/{name}")
    os.link(f"{top}/a/f1", f"{top}/a/f1 too")
    os.link(f"{top}/a/f1", f"{top}/f1 again")
    os.symlink("a", f"{top}/link")
    write(f"{top}/file to dir")


def change(top: str, *, is_overlay: bool) -> None:
    """Add, change and delete things of each kind."""
    shutil.rmtree(f"{top}/gone")
    os.unlink(f"{top}/gone2")
    shutil.rmtree(f"{top}/opaque")
    write(f"{top}/opaque/new", b"nn")
    write(f"{top}/content", b"changed!")
    shutil.rmtree(f"{top}/dir to file")
    write(f"{top}/dir to file", b"f")
    if not is_overlay:  # there, the changes command of 1.43 fails: stat …: not a directory
        os.unlink(f"{top}/file to dir")
        write(f"{top}/file to dir/in")
    for name in (
        "n" * 90 + "/" + "m" * 30 + "/f",
        "p" * 60 + "/" + "q" * 99,
        "l/" + "n" * 150,
        "ünï",
    ):
        write(f"{top}/{name}")
    write(f"{top}/big", b"z" * 3_000_000)
    os.chown(f"{top}/big", 1000, 70000)
    write(f"{top}/huge IDs")
    os.chown(f"{top}/huge IDs", 3_000_000, 2_500_000)
    write(f"{top}/named", b"")
    os.chown(f"{top}/named", 1, 1)
    write(f"{top}/capable", mode=0o755)
    os.setxattr(f"{top}/capable", "security.capability", CAPABILITY)
    os.setxattr(f"{top}/capable", "user.z", b"v" * 10)
    os.setxattr(f"{top}/capable", "user.a", b"\0binary=")
    os.mkfifo(f"{top}/fifo")
    os.mknod(f"{top}/cdev", 0o20644, os.makedev(1, 3))
    os.mknod(f"{top}/bdev", 0o60600, os.makedev(259, 70000))
    with socket.socket(socket.AF_UNIX) as listener:
        before = os.getcwd()
        os.chdir(top)
        listener.bind("socket")
        os.chdir(before)
    write(f"{top}/hard 1", b"hard")
    os.link(f"{top}/hard 1", f"{top}/a/hard 2")
    os.link(f"{top}/hard 1", f"{top}/z hard")
    os.symlink("t" * 120, f"{top}/long link")
    os.symlink("x", f"{top}/short link")
    write(f"{top}/suid", mode=0o4755)
    write(f"{top}/old")
    os.utime(f"{top}/old", ns=(-5_500_000_000, -5_500_000_000))
    write(f"{top}/between")
    os.utime(f"{top}/between", ns=(10**18 + 600_000_000, 10**18 + 600_000_000))
    os.makedirs(f"{top}/dd/ee")
    os.chmod(f"{top}/dd", 0o1777)
    os.setxattr(f"{top}/dd", "user.dir", b"1")
    os.chmod(f"{top}/keep", 0o700)
    os.chown(f"{top}/a/b", 33, 33)
    os.setxattr(f"{top}/a/f2", "user.new", b"1")
    write(f"{top}/a/b/c/deep2")
