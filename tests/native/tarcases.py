"""
Tars that the Go tools accept, by what is special in each; and those they refuse.

What they make of them is the expectation: tests apply each with both and compare.
"""

import io
import struct
import tarfile

from tests.native.tarbytes import END, base256, gnu_long, header, member, padded, pax

_LONG = "deep/" * 40 + "name"
_GNU = b"ustar  \0"


def _python_tar(format: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for name, kind in (
            ("d", tarfile.DIRTYPE),
            ("d/f", tarfile.REGTYPE),
            ("d/l", tarfile.SYMTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type = kind
            info.mode = 0o755
            info.mtime = 1_500_000_000
            info.uid, info.gid, info.uname = 1000, 2000, "someone"
            info.linkname = "../elsewhere" if kind == tarfile.SYMTYPE else ""
            info.size = 70_000 if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(bytes(range(250)) * 280))
        info = tarfile.TarInfo("d/" + "long" * 60)
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))
    return buffer.getvalue()


def _capability() -> bytes:
    return struct.pack("<IIIII", 0x02000001, 0x2000, 0, 0, 0)


def _acl() -> bytes:
    entries = (
        (1, 7, 0xFFFFFFFF),
        (2, 5, 1234),
        (4, 5, 0xFFFFFFFF),
        (16, 5, 0xFFFFFFFF),
        (32, 5, 0xFFFFFFFF),
    )
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


GOOD: dict[str, bytes] = {
    "empty": b"",
    "only the end": END,
    "v7": member("d/", type="\0", mode=0o755, magic=b"")
    + member("d/file", type="\0", data=b"seven", magic=b"")
    + member("d/link", type="2", link="file", magic=b"")
    + END,
    "ustar": member("d", type="5", mode=0o1777)
    + member("d/file", data=b"x" * 513, mode=0o4755, uid=7)
    + END,
    "ustar prefix": member("name", prefix=b"some/where", data=b"1") + END,
    "gnu long names": gnu_long(_LONG)
    + member("short", data=b"long", magic=_GNU)
    + gnu_long("t" * 300, type="K")
    + member("link", type="2", magic=_GNU)
    + END,
    "gnu base 256": member(
        "big", uid=3_000_000, gid=4_000_000, mtime=1 << 33, data=b"b", magic=_GNU
    )
    + END,
    "gnu times": member("t", magic=_GNU, tail=b"14000000000\00014000000000\0") + END,
    "gnu as go wrote it before 1.8": member("n", magic=_GNU, tail=b"a/prefix/in/gnu") + END,
    "star": member(
        "n",
        tail=b"star/prefix".ljust(131, b"\0") + b"14000000000\0" + b"14000000000\0",
        fields={508: b"tar\0"},
    )
    + END,
    "python gnu": _python_tar(tarfile.GNU_FORMAT),
    "python pax": _python_tar(tarfile.PAX_FORMAT),
    "pax": pax(
        ("path", "päx/" + "n" * 200),
        ("uid", "5"),
        ("gid", "6"),
        ("mtime", "1500000000.123456789123"),
        ("atime", "1600000000.5"),
        ("size", "3"),
        ("comment", "of no meaning"),
    )
    + header("short")
    + padded(b"abc")
    + pax(("linkpath", "l" * 300), ("path", ""))
    + member("link", type="2")
    + END,
    "pax replaced by the next": pax(("path", "first")) + pax(("uid", "9")) + member("kept") + END,
    "pax global": pax(("path", "a name"), ("uid", "77"), type="g", name="pax_global_header")
    + member("f", data=b"f", uid=1)
    + pax(("comment", "c"), type="g", name="other")
    + END,
    "pax lost before a global one": pax(("path", "lost"))
    + pax(("comment", "c"), type="g")
    + member("f")
    + END,
    "no end": member("f", data=b"f"),
    "no padding": member("f", data=b"0123456789")[: 512 + 10],
    "half the padding": member("f", data=b"0123456789")[: 512 + 100],
    "one zero block": member("f") + bytes(512),
    "zeros behind": member("f") + bytes(10240),
    "anything behind": member("f", data=b"q") + END + b"no tar at all" + member("g") + bytes(3),
    "2 MiB behind": member("f") + END + b"behind" * 400_000,
    "hard links": member("a", data=b"linked", mode=0o640, uid=3)
    + member("d/", type="5", mode=0o700)
    + member("d/b", type="1", link="a", mode=0o640, uid=3)
    + member("d/c", type="1", link="./d/b", mode=0o640, uid=3)
    + member("d/e", type="1", link="/a", mode=0o640, uid=3)
    + member("d/f", type="1", link="../../a", mode=0o640, uid=3)
    + END,
    "hard link with another mode": member("a", data=b"linked", mode=0o640)
    + member("b", type="1", link="a", mode=0o4711, uid=55, mtime=1_400_000_000)
    + END,
    "hard link with data": member("a", data=b"linked")
    + header("b", type="1", link="a", size=6)
    + END,
    "hard link to a symlink": member("s", type="2", link="nowhere")
    + member("h", type="1", link="s")
    + END,
    "special files": member("fifo", type="6", mode=0o644)
    + member("null", type="3", device=(1, 3), mode=0o666, gid=4)
    + member("disk", type="4", device=(259, 70000), mode=0o2660)
    + member("sticky", type="5", mode=0o1777)
    + END,
    "modes with the type": member("f", mode=0o100644) + member("d", type="5", mode=0o40711) + END,
    "set-id": member("s", mode=0o4755, uid=1, data=b"s")
    + member("g", mode=0o2755, gid=1)
    + member("sd", type="5", mode=0o2775, gid=50)
    + member("sd/below", data=b"its group is not inherited")
    + member("sd/sub", type="5", mode=0o755)
    + member("sd/l", type="2", link="x")
    + END,
    "no mode": member("f", mode=0, data=b"f")
    + member("d", type="5", mode=0)
    + member("d/x", data=b"x")
    + END,
    "attributes": pax(
        ("SCHILY.xattr.user.note", b"a\0binary=value\n"),
        ("SCHILY.xattr.user.b", "2"),
        ("SCHILY.xattr.user.none", ""),
    )
    + member("f", data=b"f")
    + pax(("SCHILY.xattr.security.capability", _capability()))
    + member("cap", mode=0o755, uid=1, data=b"c")
    + pax(("SCHILY.xattr.system.posix_acl_access", _acl()), ("SCHILY.xattr.user.x", "y"))
    + member("acl", data=b"a")
    + pax(("SCHILY.xattr.system.posix_acl_default", _acl()), ("SCHILY.xattr.user.d", "d"))
    + member("dir", type="5", mode=0o755)
    + member("dir/below", mode=0o600, data=b"b")
    + member("dir/sub", type="5", mode=0o700)
    + pax(("SCHILY.xattr.trusted.link", "l"))
    + member("link", type="2", link="f")
    + pax(("SCHILY.xattr.security.selinux", "system_u:object_r:x_t:s0"))
    + member("labelled")
    + END,
    "names": b"".join(
        member(name, data=b"n")
        for name in (
            "./dot",
            "./a//b/./c",
            "d/../e",
            "/absolute",
            "/../above",
            "sp ace",
            'q"uote\\',
            "<&>",
            "tab\t\x7f\x01",
            b"\xff\xfe not utf-8",
            b"\xed\xa0\x80 surrogate",
            "\u2028 \u2029",
            "\U0001f600",
            "n" * 100,
        )
    )
    + END,
    "parents missing": member("a/b/c/f", data=b"f")
    + member("a", type="5", mode=0o700)
    + member("x/y/", type="5")
    + END,
    "children first": member("d/f", data=b"f")
    + member("d/", type="5", mode=0o2770, gid=8, mtime=1_300_000_000)
    + member("d/g")
    + END,
    "root": member("./", type="5", mode=0o711, uid=12, mtime=1_300_000_000) + member("./f") + END,
    "times": pax(("mtime", "-1.5"))
    + member("minus")
    + pax(("mtime", "-3"))
    + member("ml", type="2", link="x")
    + pax(("mtime", "9223372037"))
    + member("late")
    + pax(("mtime", "12345.000000001"), ("atime", "3"))
    + member("early")
    + pax(("mtime", "-100.25"))
    + member("md", type="5")
    + pax(("mtime", "1500000000.25"))
    + member("d", type="5")
    + member("d/f")
    + END,
    "through a link": member("real/", type="5", mode=0o755)
    + member("link", type="2", link="real")
    + member("link/f", data=b"through")
    + member("link/g/h", data=b"2")
    + member("real/s", type="2", link="f")
    + member("up", type="2", link="../../real")
    + member("up/k", data=b"k")
    + member("abs", type="2", link="/real")
    + member("abs/m", type="1", link="link/f")
    + END,
    "file size in a link": header("l", type="2", link="x", size=100)
    + member("d/", type="5", size=512, mode=0o755)[:512]
    + END,
    "type unlike the name": member("d/", type="0", data=b"")
    + member("e", type="5", mode=0o755)
    + END,
    "a large file": member("large", data=b"0123456789abcdef" * (9 << 16), mode=0o755)
    + member("after", data=b"a")
    + END,
    "a large odd file": member("large", data=b"0123456789abcdef" * (9 << 16) + b"!", uid=5)
    + member("after")
    + END,
    "many files": b"".join(
        member(f"d{i % 13}/f{i}", data=b"%d" % i * (i % 700)) for i in range(3000)
    )
    + END,
}

#: What becomes something else, by driver.
WHITEOUTS: dict[str, bytes] = {
    "whiteouts": member("d/", type="5", mode=0o755)
    + member("d/.wh.gone", uid=3, mode=0)
    + member(".wh.top")
    + member("n/e/w/.wh.x")
    + END,
    "whiteout with data": member("d/.wh.gone", data=b"why") + member("d/f", data=b"f") + END,
    "opaque": member("d/", type="5", mode=0o700)
    + member("d/.wh..wh..opq", uid=99)
    + member("d/f", data=b"f")
    + END,
    "opaque alone": member("n/e/.wh..wh..opq") + END,
    "opaque late": member("d/", type="5", mode=0o700)
    + member("d/f", data=b"f")
    + member("d/.wh..wh..opq")
    + END,
    "below a whiteout": member(".wh.w") + member("w/.wh.x") + END,
    "a file for what is deleted": member(".wh.f")
    + member("f", data=b"new")
    + member(".wh.d")
    + member("d/", type="5", mode=0o700)
    + member("d/g")
    + END,
    "odd types": member(".wh.f", type="2", link="x") + member(".wh.d", type="5") + END,
}

_SPARSE_DATA = b"A" * 512 + b"B" * 100
SPARSE: dict[str, bytes] = {
    "sparse 0.0": pax(
        ("GNU.sparse.size", "5000"),
        ("GNU.sparse.numblocks", "2"),
        ("GNU.sparse.offset", "1024"),
        ("GNU.sparse.numbytes", "512"),
        ("GNU.sparse.offset", "4900"),
        ("GNU.sparse.numbytes", "100"),
    )
    + member("s", data=_SPARSE_DATA)
    + member("after", data=b"a")
    + END,
    "sparse 0.1": pax(
        ("GNU.sparse.size", "5000"),
        ("GNU.sparse.numblocks", "2"),
        ("GNU.sparse.map", "1024,512,4900,100"),
        ("GNU.sparse.name", "d/real"),
    )
    + member("s", data=_SPARSE_DATA)
    + member("after", data=b"a")
    + END,
    "sparse 1.0": pax(
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.minor", "0"),
        ("GNU.sparse.name", "real"),
        ("GNU.sparse.realsize", "5000"),
    )
    + member("GNUSparseFile.0/real", data=padded(b"2\n1024\n512\n4900\n100\n") + _SPARSE_DATA)
    + member("after", data=b"a")
    + END,
    "sparse, all hole": pax(
        ("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "70000")
    )
    + member("hole", data=padded(b"0\n"))
    + member("after", data=b"a")
    + END,
}

_INVALID = "archive/tar: invalid tar header"
_SHORT = "unexpected EOF"

BAD: dict[str, tuple[bytes, str]] = {
    "garbage": (b"this is no tar" * 100, _INVALID),
    "a few bytes": (b"abc", _SHORT),
    "bad checksum": (member("f")[:-512] + b"x" * 512 + END, _INVALID),
    "half a header": (member("f", data=b"f") + member("g")[:300], _SHORT),
    "half a payload": (member("f", data=b"f" * 5000)[:3000], _SHORT),
    "half a large payload": (member("f", data=b"f" * (9 << 20))[: 8 << 20], _SHORT),
    "half a pax header": (pax(("path", "p" * 2000))[:1000], _SHORT),
    "zero block and a member": (member("f") + bytes(512) + member("g") + END, _INVALID),
    "half a second zero block": (member("f") + bytes(700), _SHORT),
    "duplicate": (member("a") + member("./a") + END, "duplicates of file paths not supported"),
    "duplicate directory": (
        member("a", type="5") + member("a/", type="5") + END,
        "duplicates of file paths not supported",
    ),
    "duplicate global headers": (
        pax(("comment", "a"), type="g") + pax(("comment", "b"), type="g") + END,
        "duplicates of file paths not supported",
    ),
    "old GNU sparse": (member("s", type="S", magic=_GNU) + END, "unhandled tar header type 83"),
    "contiguous": (member("s", type="7") + END, "unhandled tar header type 55"),
    "volume label": (member("s", type="V", magic=_GNU) + END, "unhandled tar header type 86"),
    "negative size": (header("f", fields={124: base256(-5, 12)}) + END, _INVALID),
    "size of 8 EiB": (header("f", fields={124: base256((1 << 63) - 1, 12)}) + END, _SHORT),
    "size overflows": (header("f", fields={124: base256(1 << 63, 12)}) + END, _INVALID),
    "size in words": (header("f", fields={124: b"many"}) + END, _INVALID),
    "pax size negative": (pax(("size", "-1")) + member("f") + END, _INVALID),
    "pax record too long": (member("x", type="x", data=b"99 a=b\n") + member("f") + END, _INVALID),
    "pax record without a newline": (
        member("x", type="x", data=b"6 a=b?") + member("f") + END,
        _INVALID,
    ),
    "pax record without a key": (
        member("x", type="x", data=b"6 =bb\n") + member("f") + END,
        _INVALID,
    ),
    "pax NUL in a path": (pax(("path", b"a\0b")) + member("f") + END, _INVALID),
    "pax number": (pax(("uid", "0x10")) + member("f") + END, _INVALID),
    "pax time": (pax(("mtime", "1.5.5")) + member("f") + END, _INVALID),
    "pax of 2 MiB": (
        pax(("comment", "c" * (2 << 20))) + member("f") + END,
        "archive/tar: header field too long",
    ),
    "link to nothing": (member("l", type="1", link="nothing") + END, "no such file or directory"),
    "link to a directory": (
        member("d", type="5") + member("l", type="1", link="d") + END,
        "operation not permitted",
    ),
    "below a file": (member("f") + member("f/g") + END, "not a directory"),
    "name of 256": (pax(("path", "n" * 256)) + member("f") + END, "file name too long"),
    "name of 4096": (pax(("path", "n/" * 2048 + "n")) + member("f") + END, "file name too long"),
    "sparse overlaps": (
        pax(
            ("GNU.sparse.size", "50"),
            ("GNU.sparse.numblocks", "2"),
            ("GNU.sparse.map", "0,10,5,10"),
        )
        + member("s", data=b"s" * 20)
        + END,
        _INVALID,
    ),
    "sparse beyond its end": (
        pax(("GNU.sparse.size", "50"), ("GNU.sparse.numblocks", "1"), ("GNU.sparse.map", "45,10"))
        + member("s", data=b"s" * 10)
        + END,
        _INVALID,
    ),
    "sparse map odd": (
        pax(("GNU.sparse.size", "50"), ("GNU.sparse.numblocks", "1"), ("GNU.sparse.map", "45"))
        + member("s", data=b"s" * 5)
        + END,
        _INVALID,
    ),
    "sparse directory": (
        pax(("GNU.sparse.size", "5"), ("GNU.sparse.numblocks", "1"), ("GNU.sparse.map", "0,5"))
        + member("s", type="5")
        + END,
        _INVALID,
    ),
}
