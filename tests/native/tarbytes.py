"""
Tars made byte by byte, also such as no tool would make.

    member("etc/", type="5") + member("etc/motd", data=b"hello\n") + END
"""

from collections.abc import Mapping

BLOCK = 512
END = bytes(2 * BLOCK)
MTIME = 1_600_000_000


def octal(number: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, number)


def base256(number: int, width: int) -> bytes:
    """GNU's form for what octal digits can't say."""
    return (number + (1 << (8 * width - 1) if number >= 0 else (1 << (8 * width)))).to_bytes(
        width, "big"
    )


def number(value: int, width: int) -> bytes:
    if 0 <= value < 8 ** (width - 1):
        return octal(value, width)
    return base256(value, width)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def header(
    name: bytes | str,
    *,
    size: int = 0,
    type: str = "0",
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    mtime: int = MTIME,
    link: bytes | str = b"",
    device: tuple[int, int] = (0, 0),
    prefix: bytes = b"",
    magic: bytes = b"ustar\00000",
    tail: bytes = b"",
    fields: Mapping[int, bytes] | None = None,
) -> bytes:
    """Return one block. `tail` is what stands from the prefix on, `fields` raw bytes by offset."""
    name = name.encode() if isinstance(name, str) else name
    link = link.encode() if isinstance(link, str) else link
    block = bytearray(BLOCK)
    block[0:100] = name[:100].ljust(100, b"\0")
    block[100:108] = number(mode, 8)
    block[108:116] = number(uid, 8)
    block[116:124] = number(gid, 8)
    block[124:136] = number(size, 12)
    block[136:148] = number(mtime, 12)
    block[156:157] = type.encode("latin-1")
    block[157:257] = link[:100].ljust(100, b"\0")
    if magic:
        block[257:265] = magic
        block[265:270] = block[297:302] = b"root\0"
        block[329:337] = number(device[0], 8)
        block[337:345] = number(device[1], 8)
        block[345:500] = prefix.ljust(155, b"\0")
    if tail:
        block[345:512] = tail.ljust(167, b"\0")
    for at, raw in (fields or {}).items():
        block[at : at + len(raw)] = raw
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def member(
    name: bytes | str, *, data: bytes = b"", size: int | None = None, **given: object
) -> bytes:
    """Return a header and its padded payload."""
    actual = len(data) if size is None else size
    return header(name, size=actual, **given) + padded(data)  # type: ignore[arg-type]


def record(key: bytes | str, value: bytes | str) -> bytes:
    key = key.encode() if isinstance(key, str) else key
    value = value.encode() if isinstance(value, str) else value
    body = b" " + key + b"=" + value + b"\n"
    length = len(body)
    while len(b"%d" % length) + len(body) != length:
        length = len(b"%d" % length) + len(body)
    return b"%d" % length + body


def pax(
    *records: tuple[bytes | str, bytes | str], type: str = "x", name: str = "PaxHeaders/x"
) -> bytes:
    """Return an extended header for the member that follows."""
    return member(name, data=b"".join(record(key, value) for key, value in records), type=type)


def gnu_long(text: bytes | str, *, type: str = "L") -> bytes:
    """Return a GNU long name ("L") or long link ("K") for the member that follows."""
    text = text.encode() if isinstance(text, str) else text
    return member("././@LongLink", data=text + b"\0", type=type, magic=b"ustar  \0")
