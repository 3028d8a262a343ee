"""What the words of `-o` mean."""

from pathlib import Path

import pytest

from holdfs.fusefs.cli import parse_command_line
from holdfs.fusefs.settings import (
    WORDS,
    OptionError,
    Settings,
    fsname_option,
    parse_options,
    split_words,
)

MANUAL = Path(__file__).resolve().parents[2] / "fusefs/man/holdfs.1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("ro", ["ro"]),
        (",ro,,strict,", ["ro", "strict"]),
        (r"fsname=a\,b,ro", ["fsname=a,b", "ro"]),
        (r"log=a\\b", [r"log=a\b"]),
        ("ro\\", ["ro\\"]),
    ],
)
def test_words_are_split_at_commas_that_no_backslash_precedes(text: str, words: list[str]) -> None:
    assert words == list(split_words(text))


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("", "read_only", False),
        ("ro", "read_only", True),
        ("ro,rw", "read_only", False),
        ("rw,ro", "read_only", True),
        ("idle=5", "idle_s", 5.0),
        ("idle=0", "idle_s", 0.0),
        ("lock_timeout=0.5", "lock_timeout_s", 0.5),
        ("entry_timeout=10", "entry_timeout_s", 10.0),
        ("entry_timeout=10", "attr_timeout_s", 300.0),
        ("attr_timeout=10", "attr_timeout_s", 10.0),
        ("strict,entry_timeout=10", "entry_timeout_s", 0.0),
        ("strict", "attr_timeout_s", 0.0),
        ("uid=1000", "uid", 1000),
        ("gid=4294967294", "gid", 4294967294),
        ("umask=077", "umask", 0o77),
        ("umask=077", "files_are_own", False),
        ("files", "files", True),
        ("files", "files_are_own", False),
        ("files,gid=5,umask=0", "files_are_own", True),
        ("allow_other", "allow_other", True),
        ("allow_root", "allow_root", True),
        ("debug", "debug", True),
        ("log=/var/log/holdfs.log", "log_file", "/var/log/holdfs.log"),
    ],
)
def test_a_word_sets_its_setting(text: str, field: str, value: object) -> None:
    assert value == getattr(parse_options([text], "/mnt").settings, field)


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("rw", ()),
        ("ro", ("ro",)),
        ("ro,rw", ()),
        ("dev,suid,nodev", ("nodev", "suid")),
        ("subtype=example", ("subtype=example",)),
        (r"fsname=a\,b", (r"fsname=a\,b",)),
        ("allow_other", ("allow_other",)),
        ("auto_unmount,noexec", ("auto_unmount", "noexec")),
    ],
)
def test_words_for_libfuse_are_passed_on(text: str, passed: tuple[str, ...]) -> None:
    assert passed == parse_options([text], "/mnt").fuse_options


@pytest.mark.parametrize(
    "text",
    [
        "rw,noauto,user,nofail,_netdev",
        "defaults,x-systemd.automount,x-gvfs-hide,comment=x",
        "relatime,nodiratime,strictatime,lazytime",
        "default_permissions,nonempty",
    ],
)
def test_words_of_fstab_change_nothing(text: str) -> None:
    choice = parse_options([text], "/mnt")

    assert (Settings(mount_point="/mnt"), ()) == (choice.settings, choice.fuse_options)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("nonsense", "nonsense"),
        ("nonsense=1", "nonsense=1"),
        ("idle", "idle"),
        ("idle=soon", "idle=soon"),
        ("idle=-1", "idle=-1"),
        ("idle=nan", "idle=nan"),
        ("uid=root", "uid=root"),
        ("uid=4294967295", "uid=4294967295"),
        ("umask=999", "umask=999"),
        ("umask=7777", "umask=7777"),
        ("ro=1", "ro=1"),
        ("max_read=65536", "max_read=65536"),
        ("fsname=gr\u00fcn", "fsname=gr\u00fcn"),
        ("log=", "log="),
        ("allow_other,allow_root", "allow_root"),
    ],
)
def test_a_word_that_cannot_be_is_named(text: str, named: str) -> None:
    with pytest.raises(OptionError, match=named):
        parse_options([text], "/mnt")


def test_help_and_manual_page_name_every_word() -> None:
    given = [f"--{word[:-1]}" for word in ("graph=", "run=", "storage-driver=", "storage-opt=")]
    page = MANUAL.read_text().replace("\\-", "-")

    for text in (parse_command_line(["--help"]).text, page):
        assert [] == [word for word in (*WORDS, *given) if word not in text]


def test_fstab_can_choose_the_store_by_options() -> None:
    choice = parse_options(
        ["graph=/g,run=/r,storage-driver=vfs", r"storage-opt=vfs.a=b\,c,storage-opt=x=y"], "/mnt"
    )

    assert ("/g", "/r", "vfs") == (choice.graph_root, choice.run_root, choice.driver)
    assert ("vfs.a=b,c", "x=y") == choice.driver_options


def test_a_later_option_overrides_an_earlier_one() -> None:
    assert 7.0 == parse_options(["idle=5", "idle=6,idle=7"], "/mnt").settings.idle_s


@pytest.mark.parametrize(
    ("graph_root", "word"),
    [
        ("/var/lib/store", "fsname=/var/lib/store"),
        ("/a,b", r"fsname=/a\,b"),
        ("/gr\u00e4ph", "fsname=holdfs"),
    ],
)
def test_the_source_of_the_mount_is_the_graph_root(graph_root: str, word: str) -> None:
    assert word == fsname_option(graph_root)
