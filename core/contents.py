"""
Whether the trees that layers show are what the headers of their streams describe.

    stream of each layer ──► Headers.read()       one row a member, in a database of its own
    chain base … layer   ──► Headers.expected()   the rows put on each other, whiteouts taken out
    mounted tree         ──► differences()        both walked in the same order, side by side

The database is SQLite's private temporary one: in memory while it is small, and in a file without
a name beyond some megabytes, so a layer of a million files takes no more memory than a small one.

Keys are paths with NUL in the place of "/": sorted by bytes, everything below a directory follows
it, before any other name. Source: containers/storage, check.go; spec cli 6.15.
"""

import os
import sqlite3
import stat
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, Final, NamedTuple

_WHITEOUT: Final = b".wh."
_OPAQUE: Final = b".wh..wh..opq"
#: What marks other things of aufs is not unpacked.
_AUFS: Final = b".wh..wh."
_ARROW: Final = "\uffeb"

_SCHEMA: Final = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    CREATE TABLE header (layer INTEGER, key BLOB, kind TEXT, uid INTEGER, gid INTEGER, size INTEGER,
        mode INTEGER, mtime INTEGER, PRIMARY KEY (layer, key)) WITHOUT ROWID;
    CREATE TABLE link (layer INTEGER, key BLOB, target BLOB);
    CREATE TABLE gone (layer INTEGER, key BLOB, itself INTEGER);
    CREATE TABLE expected (key BLOB PRIMARY KEY, kind TEXT, uid INTEGER, gid INTEGER, size INTEGER,
        mode INTEGER, mtime INTEGER) WITHOUT ROWID;
"""
_COLUMNS: Final = "kind, uid, gid, size, mode, mtime"

_KINDS: Final = {
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "symlink",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}
_FORMATS: Final = {
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
    stat.S_IFREG: "file",
}


class Entry(NamedTuple):
    """What is known of a file. `mode` None: a directory that no header describes."""

    kind: str
    uid: int
    gid: int
    size: int
    mode: int | None
    mtime: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """What need not be as the headers say, because of the store's options."""

    owner: bool = False
    mode: bool = False
    kind: bool = False
    mtime: bool = False
    #: That they are missing: they can't be made in a user namespace.
    devices: bool = False


#: (first ID in the container, first ID on the host, how many).
IdRanges = Sequence[tuple[int, int, int]]


class Headers:
    """The headers of layers' streams; used by one thread, and closed at the end of `with`."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(_SCHEMA)
        self._numbers: dict[str, int] = {}
        #: Whose headers `expected` holds, base first.
        self._built: list[str] = []

    def __enter__(self) -> "Headers":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget all of it."""
        self._database.close()

    def __contains__(self, layer_id: str) -> bool:
        return layer_id in self._numbers

    def read(self, layer_id: str, stream: IO[bytes]) -> None:
        """
        Note the headers of a layer's stream, which is read to the end of the archive.

        A damaged one counts as never read: whoever reads it to its end says what is wrong with it.
        """
        number = len(self._numbers)
        execute = self._database.execute
        execute("BEGIN")
        try:
            with tarfile.open(
                fileobj=stream,
                mode="r|",
                bufsize=1 << 20,
                encoding="utf-8",
                errors="surrogateescape",
            ) as archive:
                self._note_all(number, archive)
        except (tarfile.TarError, ValueError, EOFError):
            execute("ROLLBACK")
            return
        except BaseException:
            execute("ROLLBACK")
            raise
        execute("COMMIT")
        self._numbers[layer_id] = number

    def _note_all(self, number: int, archive: tarfile.TarFile) -> None:
        execute = self._database.execute
        #: Directories that were seen to be described, or noted not to be: saves most look-ups.
        parent = b""
        for member in archive:
            # The list that it keeps for us would grow with the archive.
            archive.members = []  # type: ignore[attr-defined]
            key = _key(member.name)
            if not key:
                continue  # the root's own header: what shows it is the driver's
            above, _, base = key.rpartition(b"\0")
            if above != parent:
                parent = above
                _imply(execute, number, above)
            if base.startswith(_WHITEOUT):
                self._note_whiteout(number, above, base)
            elif member.islnk():
                target = _key(member.linkname)
                execute("INSERT INTO link VALUES (?, ?, ?)", (number, key, target))
            else:
                entry = (
                    _KINDS.get(member.type, "file"),
                    member.uid,
                    member.gid,
                    member.size,
                    member.mode & 0o7777,
                    int(member.mtime // 1),
                )
                execute(
                    "INSERT OR REPLACE INTO header VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (number, key, *entry),
                )

    def _note_whiteout(self, number: int, above: bytes, base: bytes) -> None:
        if base == _OPAQUE:
            gone, itself = above, False
        elif base.startswith(_AUFS):
            return
        else:
            name = base[len(_WHITEOUT) :]
            gone, itself = above + b"\0" + name if above else name, True
        self._database.execute("INSERT INTO gone VALUES (?, ?, ?)", (number, gone, itself))

    def _build(self, chain: Sequence[str]) -> None:
        """Make `expected` what a chain of layers, base first, shows together."""
        if list(chain[: len(self._built)]) != self._built:
            self._built = []
        execute = self._database.execute
        execute("BEGIN")
        if not self._built:
            execute("DELETE FROM expected")
        for layer_id in chain[len(self._built) :]:
            self._put(self._numbers[layer_id])
        execute("COMMIT")
        self._built = list(chain)

    def _put(self, number: int) -> None:
        execute = self._database.execute
        # Whiteouts first: they are about what is below, not about what comes with them.
        for key, itself in execute("SELECT key, itself FROM gone WHERE layer = ?", (number,)):
            _remove_below(execute, key)
            if itself:
                execute("DELETE FROM expected WHERE key = ?", (key,))
        replaced = execute(
            "SELECT key FROM header JOIN expected USING (key) WHERE layer = ?"
            " AND header.kind <> 'directory' AND expected.kind = 'directory'",
            (number,),
        )
        for (key,) in replaced.fetchall():
            _remove_below(execute, key)
        execute(
            f"INSERT OR REPLACE INTO expected SELECT key, {_COLUMNS} FROM header WHERE layer = ?",
            (number,),
        )
        # Contract: after all else, since a link may come before what it leads to.
        links = execute("SELECT key, target FROM link WHERE layer = ? ORDER BY rowid", (number,))
        for key, target in links.fetchall():
            _remove_below(execute, key)
            execute(
                f"INSERT OR REPLACE INTO expected SELECT ?, {_COLUMNS} FROM expected WHERE key = ?",
                (key, target),
            )

    def expected(self, chain: Sequence[str]) -> Iterator[tuple[bytes, Entry]]:
        """Give all that the layers of a chain show, base first; all of them have been read."""
        self._build(chain)
        for key, *entry in self._database.execute(
            f"SELECT key, {_COLUMNS} FROM expected ORDER BY key"
        ):
            yield key, Entry(*entry)


def _imply(execute: Any, number: int, key: bytes) -> None:
    """Note directories that have no header, so far: what is in them was unpacked all the same."""
    while key:
        cursor = execute(
            "INSERT OR IGNORE INTO header VALUES (?, ?, 'directory', 0, 0, 0, NULL, 0)",
            (number, key),
        )
        if not cursor.rowcount:
            return  # and those above it are there, too
        key = key.rpartition(b"\0")[0]


def _remove_below(execute: Any, key: bytes) -> None:
    if key:
        execute("DELETE FROM expected WHERE key > ? AND key < ?", (key + b"\0", key + b"\1"))
    else:
        execute("DELETE FROM expected")


def _key(name: str) -> bytes:
    """Return a member's name as a key; one that leads out of the root stays in it."""
    parts: list[bytes] = []
    for part in os.fsencode(name).split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part)
    return b"\0".join(parts)


# -- the tree ----------------------------------------------------------------------------------


def walk(top: str) -> Iterator[tuple[bytes, Entry]]:
    """Give all that is below a directory, in the order of keys."""
    base = os.fsencode(top)
    stack = [iter(sorted(os.listdir(base)))]
    above: list[bytes] = []
    while stack:
        name = next(stack[-1], None)
        if name is None:
            stack.pop()
            del above[-1:]
            continue
        path = b"/".join((base, *above, name))
        status = os.lstat(path)
        kind = _FORMATS.get(stat.S_IFMT(status.st_mode), "socket")
        yield (
            b"\0".join((*above, name)),
            Entry(
                kind,
                status.st_uid,
                status.st_gid,
                status.st_size,
                stat.S_IMODE(status.st_mode),
                status.st_mtime_ns // 1_000_000_000,
            ),
        )
        if kind == "directory":
            stack.append(iter(sorted(os.listdir(path))))
            above.append(name)


def differences(
    expected: Iterable[tuple[bytes, Entry]],
    found: Iterable[tuple[bytes, Entry]],
    *,
    uid_map: IdRanges = (),
    gid_map: IdRanges = (),
    ignored: Ignored,
) -> Iterator[str]:
    """
    Yield what differs, in the words of the Go tools.

        +/path    -/path/    /path(mode:0644￫0600,mtime:0x5f￫0x60)

    What is below a directory that is extra or missing is not told.
    """
    for key, wanted, there in _side_by_side(expected, found):
        path = "/" + key.replace(b"\0", b"/").decode("utf-8", "surrogateescape")
        if wanted is None or there is None:
            sign, entry = ("+", there) if wanted is None else ("-", wanted)
            assert entry is not None
            if ignored.devices and sign == "-" and entry.kind in ("char", "block"):
                continue
            yield f"{sign}{path}{'/' * (entry.kind == 'directory')}"
            continue
        owned = there._replace(
            uid=_container_id(there.uid, uid_map), gid=_container_id(there.gid, gid_map)
        )
        if changed := ",".join(_changed(wanted, owned, ignored)):
            yield f"{path}({changed})"


def _side_by_side(
    expected: Iterable[tuple[bytes, Entry]], found: Iterable[tuple[bytes, Entry]]
) -> Iterator[tuple[bytes, Entry | None, Entry | None]]:
    left, right = iter(expected), iter(found)
    wanted, there = next(left, None), next(right, None)
    #: Below this everything is extra, or missing, as it is itself.
    covered: bytes | None = None
    while wanted is not None or there is not None:
        key = min(pair[0] for pair in (wanted, there) if pair is not None)
        one = wanted[1] if wanted is not None and wanted[0] == key else None
        other = there[1] if there is not None and there[0] == key else None
        if covered is None or not key.startswith(covered):
            covered = None
            yield key, one, other
            alone = other if one is None else one if other is None else None
            if alone is not None and alone.kind == "directory":
                covered = key + b"\0"
        if one is not None:
            wanted = next(left, None)
        if other is not None:
            there = next(right, None)


def _changed(wanted: Entry, there: Entry, ignored: Ignored) -> Iterator[str]:
    if wanted.kind != there.kind:
        if not ignored.kind:
            yield f"filetype:{wanted.kind}{_ARROW}{there.kind}"
        return
    if wanted.mode is None:
        return
    if not ignored.owner:
        for name in ("uid", "gid"):
            before, after = getattr(wanted, name), getattr(there, name)
            if before != after:
                yield f"{name}:{before}{_ARROW}{after}"
    if wanted.kind == "file" and wanted.size != there.size:
        yield f"size:{wanted.size}{_ARROW}{there.size}"
    # A link's mode is what the kernel says of all links.
    if wanted.mode != there.mode and wanted.kind != "symlink" and not ignored.mode:
        yield f"mode:{wanted.mode:04o}{_ARROW}{there.mode:04o}"
    if wanted.mtime != there.mtime and not ignored.mtime:
        yield f"mtime:{wanted.mtime:#x}{_ARROW}{there.mtime:#x}"


def _container_id(host_id: int, ranges: IdRanges) -> int:
    for container, host, size in ranges:
        if host <= host_id < host + size:
            return container + host_id - host
    return host_id
