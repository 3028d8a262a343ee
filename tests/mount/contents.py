"""Content with everything that an image can hold, and what a tree of files looks like."""

import errno
import io
import os
import stat
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tests.mount.difftars import fd_of
from tests.mount.scene import Scene

#: cap_net_raw+ep, as setcap(8) writes it: version 2, effective, permitted, inheritable.
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)
RAW_NAME = b"not utf-8 \xff\xfe"
LONG_NAME = "n" * 255
#: Beyond what 32 bits can say, and a hole but for its end.
LARGE_SIZE = (4 << 30) + (64 << 20)
LARGE_END = b"the end\n"
WHEN = 1_600_000_000

#: Where each link of `links/` leads to for a program in the container, and what files shows of it.
LINKS = {
    "absolute": ("/etc/motd", "../etc/motd"),
    "absolute-top": ("/", ".."),
    "absolute-directory": ("/etc/", "../etc/"),
    "relative": ("../etc/motd", "../etc/motd"),
    "climbing": ("../../../../etc/motd", "../etc/motd"),
    "climbing-out": ("../../../..", ".."),
    "by-a-link": ("to-inner/../motd", "../etc/motd"),
    "by-the-top": ("to-top/../../etc/motd", "../etc/motd"),
    "dangling": ("nowhere", "nowhere"),
    "dangling-absolute": ("/nowhere/../../etc", "../nowhere/./etc"),
    "to-inner": ("../etc/inner", "../etc/inner"),
    "to-top": ("/", ".."),
    "round": ("round/../round", "../links/round/./round"),
}


def fill(scene: Scene, layer: str) -> None:
    """Put one of everything into a layer that nobody stands on."""
    top = Path(scene.store.mount(layer))
    try:
        _fill(top)
    finally:
        scene.store.unmount(layer)


def _fill(top: Path) -> None:
    for directory in ("etc/inner", "home", "dev", "odd", "links", "gone", "opaque", "deep"):
        (top / directory).mkdir(parents=True, exist_ok=True)
    (top / "etc/motd").write_text("base\n")
    (top / "etc/shadow").write_text("root:*\n")
    (top / "etc/shadow").chmod(0o600)
    (top / "home/notes").write_text("of uid 1000\n")
    os.chown(top / "home/notes", 1000, 1001)
    (top / "home/notes").chmod(0o600)
    os.chown(top / "home", 1000, 1001)
    (top / "home").chmod(0o700)
    (top / "ping").write_bytes(b"\x7fELF")
    (top / "ping").chmod(0o4755)
    os.setxattr(top / "ping", "security.capability", CAPABILITY)
    os.setxattr(top / "etc/motd", "user.mark", b"\x00\xff")
    (top / "hard-a").write_text("one inode\n")
    os.link(top / "hard-a", top / "etc/hard-b")
    with (top / "large").open("wb") as file:
        file.truncate(LARGE_SIZE)
        os.pwrite(file.fileno(), LARGE_END, LARGE_SIZE - len(LARGE_END))
    with (top / "sparse").open("wb") as file:
        os.pwrite(file.fileno(), b"begin", 0)
        os.pwrite(file.fileno(), b"end", 1 << 20)
    (top / "odd" / os.fsdecode(RAW_NAME)).write_bytes(b"bytes\n")
    (top / "odd" / "new\nline").write_bytes(b"two lines\n")
    (top / "odd" / LONG_NAME).write_bytes(b"long\n")
    (top / "odd" / "%41").write_bytes(b"percent\n")
    os.mkfifo(top / "dev/fifo", 0o640)
    os.mknod(top / "dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(top / "dev/loop", stat.S_IFBLK | 0o660, os.makedev(7, 0))
    for name, (text, _) in LINKS.items():
        os.symlink(text, top / "links" / name)
    os.symlink(b"\xfe/../to", top / "links" / "raw")
    (top / "gone/file").write_text("hidden by a whiteout\n")
    (top / "opaque/old").write_text("hidden by an opaque directory\n")
    for path in (top, *top.rglob("*")):
        os.utime(path, (WHEN, WHEN), follow_symlinks=False)


def hide(scene: Scene, layer: str) -> None:
    """Apply a diff that hides what is in `gone` and in `opaque`, and puts something new there."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in ("gone/.wh.file", "opaque/.wh..wh..opq", "opaque/new"):
            member = tarfile.TarInfo(name)
            member.mtime = WHEN
            tar.addfile(member)
    fd = fd_of(out.getvalue())
    try:
        scene.store.apply_diff(layer, fd)
    finally:
        os.close(fd)


Line = tuple[object, ...]


def census(top: str | Path) -> dict[bytes, Line]:
    """
    Return what stat, readlink and the extended attributes say of each path below `top`.

    Sizes of directories, and texts and sizes of links, are left out: those differ rightly.
    """
    return dict(_walk(os.fsencode(top), b""))


def _walk(top: bytes, path: bytes) -> Iterator[tuple[bytes, Line]]:
    full = os.path.join(top, path) if path else top
    found = os.lstat(full)
    yield path, _line(full, found)
    if stat.S_ISDIR(found.st_mode):
        for name in sorted(os.listdir(full)):
            yield from _walk(top, os.path.join(path, name))


def _line(full: bytes, found: os.stat_result) -> Line:
    has_size = stat.S_ISREG(found.st_mode)
    size = (found.st_size, found.st_blocks) if has_size else ()
    xattrs = {}
    for name in ("user.mark", "security.capability"):
        try:
            xattrs[name] = os.getxattr(full, name, follow_symlinks=False)
        except OSError as error:
            assert error.errno in (errno.ENODATA, errno.ENOTSUP, errno.EPERM), error
    return (
        oct(found.st_mode), found.st_uid, found.st_gid, found.st_nlink, found.st_rdev,
        found.st_mtime_ns, size, xattrs,
    )  # fmt: skip
