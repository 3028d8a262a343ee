"""
What the user chose for one mount: the words of `-o`, sorted.

    -o ro,idle=5,subtype=example,x-systemd.automount,run=/run/other
       ╰┬──────╯ ╰┬───────────╯ ╰┬────────────────╯ ╰┬───────────╯
     Settings   libfuse, kernel  for mount(8), kept   Choice: which store
                                 away from libfuse

Pure: nothing here touches the system but to ask for the caller's own ids.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Final

from holdfs.core.config import absolute

#: In the place of a file's name: to the system's log.
JOURNAL: Final = "journal"


class OptionError(ValueError):
    """A word of `-o` is unknown, or its value can't be. The message is for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    How the mounted tree behaves.

    Attributes:
        mount_point: Absolute path of the mount, as the kernel's mount table has it.
        read_only: Nothing can be changed through this mount (EROFS).
        strict: Compare the store's tokens at every request; the kernel caches nothing.
        entry_timeout_s, attr_timeout_s: How long the kernel may keep what we invalidate exactly.
        lock_timeout_s: How long a request waits for a lock of the store before ETIMEDOUT.
        idle_s: After how long an unused `rootfs` mount of ours is taken down.
        uid, gid: Owner shown for everything.
        umask: Permission bits taken off everything shown.
        files: Content is served too, through `files`.
        files_are_own: What `files` shows belongs to `uid` and `gid` as well, not to whom it belongs
            on the disk. In a user namespace of ours: FUSE takes the host's IDs, of which only
            the user's own mean anything to him.
        allow_other, allow_root: Who else may enter the mount.
        debug: Log each request.
        log_file: Where the daemon writes its log; "" for nowhere (`-f`: stderr), or `JOURNAL`.
    """

    mount_point: str
    read_only: bool = False
    strict: bool = False
    # A bound on the harm where inotify can't tell us (a graph root on NFS, changed elsewhere).
    entry_timeout_s: float = 300.0
    attr_timeout_s: float = 300.0
    # Short: nothing can interrupt the request meanwhile, and the kernel lets look-ups in the same
    # directory wait for it.
    lock_timeout_s: float = 10.0
    idle_s: float = 60.0
    uid: int = field(default_factory=os.getuid)
    gid: int = field(default_factory=os.getgid)
    umask: int = 0
    files: bool = False
    files_are_own: bool = False
    allow_other: bool = False
    allow_root: bool = False
    debug: bool = False
    log_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """
    What one command line says, before the store is looked at.

    Attributes:
        settings: For the tree.
        fuse_options: Words for libfuse and the kernel, commas in them escaped.
        graph_root, run_root, driver: "" where nothing was said.
        driver_options: Each "KEY=VALUE".
    """

    settings: Settings
    fuse_options: tuple[str, ...] = ()
    graph_root: str = ""
    run_root: str = ""
    driver: str = ""
    driver_options: tuple[str, ...] = ()


#: Words that mount(8), fstab and systemd use among themselves, or that say what is so anyway.
_FOR_OTHERS: Final = frozenset((
    "defaults", "auto", "noauto", "user", "nouser", "users", "nousers", "owner", "noowner",
    "group", "nogroup", "nofail", "fail", "_netdev", "mand", "nomand", "loud", "silent",
    "default_permissions", "nonempty", "quiet",
))  # fmt: skip
_FOR_OTHERS_PREFIXES: Final = ("x-", "X-", "comment=", "helper=", "uhelper=")

#: libfuse 3.14 refuses these of the kernel's words; a tree that keeps no atime loses nothing.
_IDLE: Final = frozenset((
    "diratime", "nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime",
    "lazytime", "nolazytime",
))  # fmt: skip

#: Words that libfuse 3 hands on to the kernel, or takes for the session. Not `max_read=`: libfuse
#: wants it said once more at FUSE_INIT, which pyfuse3 does not, and ends the session.
_FOR_FUSE: Final = frozenset((
    "suid", "nosuid", "dev", "nodev", "exec", "noexec", "async", "sync", "atime", "noatime",
    "dirsync", "auto_unmount",
))  # fmt: skip
_FOR_FUSE_PREFIXES: Final = (
    "fsname=",
    "subtype=",
    "context=",
    "fscontext=",
    "defcontext=",
    "rootcontext=",
)

_FLAGS: Final = {
    "ro": "read_only",
    "strict": "strict",
    "files": "files",
    "allow_other": "allow_other",
    "allow_root": "allow_root",
    "debug": "debug",
}
_SECONDS: Final = {
    "entry_timeout": "entry_timeout_s",
    "attr_timeout": "attr_timeout_s",
    "lock_timeout": "lock_timeout_s",
    "idle": "idle_s",
}
_NUMBERS: Final = {"uid": ("uid", 10), "gid": ("gid", 10), "umask": ("umask", 8)}
#: The store can be chosen here too: fstab has no other place for it.
_STORE: Final = {"graph": "graph_root", "run": "run_root", "storage-driver": "driver"}
#: All words that are ours, as they are documented.
WORDS: Final = (
    *_FLAGS,
    *(f"{word}=" for word in (*_SECONDS, *_NUMBERS, "log", *_STORE, "storage-opt")),
)
_MAX_ID: Final = 2**32 - 2


def parse_options(texts: Iterable[str], mount_point: str) -> Choice:
    """
    Return what the values of all `-o` say together; a later word overrides an earlier one.

    A comma inside a value is written `\\,` and a backslash `\\\\`, as for libfuse.

    Args:
        texts: The value of each `-o`.
        mount_point: Absolute path, goes into the settings as it is.

    Raises:
        OptionError: A word that nobody knows, or a value that can't be.
    """
    chosen: dict[str, Any] = {}
    store: dict[str, str] = {}
    driver_options: list[str] = []
    passed: dict[str, str] = {}  # by key, so that the last one counts
    for word in (word for text in texts for word in split_words(text)):
        key, has_value, value = word.partition("=")
        if word in _FLAGS:
            chosen[_FLAGS[word]] = True
        elif word == "rw":  # mount.fuse always says it, and the last of ro and rw counts
            chosen["read_only"] = False
        elif word in _FOR_OTHERS or word in _IDLE or word.startswith(_FOR_OTHERS_PREFIXES):
            pass
        elif key in _SECONDS and has_value:
            chosen[_SECONDS[key]] = _parse_seconds(key, value)
        elif key in _NUMBERS and has_value:
            name, base = _NUMBERS[key]
            chosen[name] = _parse_number(key, value, base)
            chosen["files_are_own"] = chosen.get("files_are_own", False) or key != "umask"
        elif key == "log" and value:
            chosen["log_file"] = value if value == JOURNAL else absolute(value)
        elif key in _STORE and value:
            store[_STORE[key]] = value
        elif key == "storage-opt" and value:
            driver_options.append(value)
        elif word in _FOR_FUSE or word.startswith(_FOR_FUSE_PREFIXES):
            if not word.isascii():
                raise OptionError(f"{word} cannot be told to libfuse; write it in ASCII")
            passed[_opposite_free(key)] = _escape(word)
        elif word == "remount":
            raise OptionError("-o remount is for the kernel alone: mount -i -o remount,ro")
        else:
            raise OptionError(f"unknown option {word!r} in -o; --help lists those that exist")
    if chosen.get("allow_other") and chosen.get("allow_root"):
        raise OptionError("allow_other and allow_root exclude each other; leave one out")
    if chosen.get("read_only"):
        passed["ro"] = "ro"
    passed |= {word: word for word in ("allow_other", "allow_root") if chosen.get(word)}
    if chosen.get("strict"):
        chosen.update(entry_timeout_s=0.0, attr_timeout_s=0.0)
    return Choice(
        settings=Settings(mount_point=mount_point, **chosen),
        fuse_options=tuple(passed.values()),
        driver_options=tuple(driver_options),
        **store,
    )


def split_words(text: str) -> Iterator[str]:
    """Yield the words of one `-o`, split at commas that no backslash precedes; none is empty."""
    for word in re.findall(r"(?:\\.|[^,\\]|\\$)+", text, flags=re.DOTALL):
        yield re.sub(r"\\(.)", r"\1", word, flags=re.DOTALL)


def fsname_option(graph_root: str) -> str:
    """
    Return the `fsname=` word that makes the mount table show the graph root as the source.

    pyfuse3 takes ASCII options only, so another path is shown as `holdfs`.
    """
    return "fsname=" + (_escape(graph_root) if graph_root.isascii() else "holdfs")


def describe(settings: Settings) -> list[tuple[str, str]]:
    """Return name and value of each setting that differs from its default, for a log or status."""
    default = Settings(mount_point=settings.mount_point)
    return [
        (field_.name, str(getattr(settings, field_.name)))
        for field_ in fields(settings)
        if getattr(settings, field_.name) != getattr(default, field_.name)
    ]


def _escape(word: str) -> str:
    return word.replace("\\", "\\\\").replace(",", "\\,")


def _opposite_free(key: str) -> str:
    """`nodev` and `dev` are one choice of which the last word counts."""
    return key.removeprefix("no")


def _parse_seconds(key: str, value: str) -> float:
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value):
        raise OptionError(f"{key}={value} is no number of seconds; write for example {key}=30")
    return float(value)


def _parse_number(key: str, value: str, base: int) -> int:
    digits = r"[0-7]{1,5}" if base == 8 else r"\d{1,10}"
    example = f"{key}=022" if base == 8 else f"{key}=1000"
    number = int(value, base) if re.fullmatch(digits, value) else -1
    if not 0 <= number <= (0o777 if base == 8 else _MAX_ID):
        raise OptionError(f"{key}={value} is no {'mode' if base == 8 else 'id'}; write {example}")
    return number
