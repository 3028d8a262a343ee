"""Options: whose they are, what they mean, and what is refused."""

from pathlib import Path

import pytest

from holdfs.drivers.base import DriverError
from holdfs.drivers.options import format_size, parse_options, parse_size
from holdfs.drivers.overlay.additional import LayerStore
from holdfs.drivers.overlay.options import OverlayOptions, parse_overlay_options
from holdfs.drivers.overlay.words import choose_words, split_words
from holdfs.native import mount as m


@pytest.mark.parametrize(
    "text, mine",
    [
        ("overlay.mountopt=nodev,x=y", [("mountopt", "nodev,x=y")]),
        ("OVERLAY.MountOpt = nodev ", [("mountopt", "nodev")]),
        ("overlay2.mountopt=nodev", [("mountopt", "nodev")]),
        (".mountopt=nodev", [("mountopt", "nodev")]),
        ("mountopt=nodev", [("mountopt", "nodev")]),
        ("btrfs.min_space=1G", []),
        ("vfs.ignore_chown_errors=true", []),
    ],
)
def test_an_option_goes_to_the_driver_it_names(text: str, mine: list[tuple[str, str]]) -> None:
    assert mine == [(option.key, option.value) for option in parse_options("overlay", [text])]


@pytest.mark.parametrize(
    "text, message",
    [
        ("overlay.mountopt", "unable to parse key/value option: overlay.mountopt"),
        ("overlai.size=1", 'unknown driver "overlai" in option "overlai.size=1"'),
        ("overlay.Sise=1", 'unknown option "sise" ("overlay.Sise=1")'),
        (
            "overlay.imagestore=here",
            'overlay: image path "here" is not absolute.  Can not be relative',
        ),
        (
            "overlay.imagestore=/nowhere",
            "overlay: can't stat imageStore dir /nowhere: stat /nowhere: no such file or directory",
        ),
        ("overlay.imagestore=/dev/null", 'overlay: image path "/dev/null" must be a directory'),
        (
            "overlay.mount_program=/nowhere",
            'overlay: can\'t stat program "/nowhere": stat /nowhere: no such file or directory',
        ),
        (
            "overlay.additionallayerstore=here",
            'overlay: additionallayerstore path "here" is not absolute.  Can not be relative',
        ),
        (
            "overlay.additionallayerstore=/tmp:ref:ref",
            'overlay: additionallayerstore config of "/tmp" contains "ref" option twice',
        ),
        (
            "overlay.additionallayerstore=/tmp:x",
            'overlay: additionallayerstore config "/tmp" contains unknown option "x"',
        ),
        (
            "overlay.skip_mount_home=maybe",
            'strconv.ParseBool: parsing "maybe": invalid syntax',
        ),
    ],
)
def test_a_wrong_option_is_refused_in_the_go_tools_words(text: str, message: str) -> None:
    with pytest.raises(DriverError) as raised:
        parse_overlay_options([text])

    assert message == raised.value.words


def test_what_is_not_built_is_refused_by_name() -> None:
    for text in ("overlay.use_composefs=true", "overlay.sync=filesystem"):
        with pytest.raises(DriverError, match="not supported") as raised:
            parse_overlay_options([text])
        assert text in str(raised.value)


def test_stores_add_up(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()

    parsed = parse_overlay_options(
        [
            f"overlay.imagestore={tmp_path}/a,{tmp_path}/b",
            f".additionalimagestores={tmp_path}/c",
            f"overlay.additionallayerstore={tmp_path}/a:ref,{tmp_path}/b",
        ]
    )

    assert (f"{tmp_path}/a", f"{tmp_path}/b", f"{tmp_path}/c") == parsed.image_stores
    assert (LayerStore(f"{tmp_path}/a", True), LayerStore(f"{tmp_path}/b")) == parsed.layer_stores


@pytest.mark.parametrize(
    "text, size",
    [("10G", 10 << 30), ("1.5 GiB", 3 << 29), ("4096", 4096), ("2kb", 2048), ("0", 0)],
)
def test_sizes_are_binary_multiples(text: str, size: int) -> None:
    assert size == parse_size(text)


@pytest.mark.parametrize("text", ["", "G", "-1", "1.2.3G", "10X", "1e3", "\u0661"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(DriverError, match="invalid size: "):
        parse_size(text)


@pytest.mark.parametrize(
    "size, text",
    [(0, "0B"), (10 << 20, "10.49MB"), (999, "999B"), (1000, "1kB"), (10 << 30, "10.74GB")],
)
def test_sizes_are_shown_as_the_go_tools_do(size: int, text: str) -> None:
    assert text == format_size(size)


def test_what_is_switched_off_is_no_reason_to_refuse() -> None:
    off = ["imagestore=", "additionallayerstore=", "use_composefs=false", "sync=none", "size=0"]

    assert OverlayOptions() == parse_overlay_options([f"overlay.{text}" for text in off])


def test_the_last_of_a_kind_counts() -> None:
    options = ["overlay.mountopt=nodev", "overlay.skip_mount_home=true", "mountopt=nosuid"]

    assert OverlayOptions(mountopt="nosuid", skip_mount_home=True) == parse_overlay_options(options)


@pytest.mark.parametrize(
    "words, flags, rest",
    [
        ([], 0, ()),
        ([""], 0, ()),
        (["nodev", "metacopy=on", "nosuid"], m.MS_NODEV | m.MS_NOSUID, ("metacopy=on",)),
        (["ro", "rw"], 0, ()),
        (["rw", "ro", "defaults"], m.MS_RDONLY, ()),
        (["sync", "volatile"], m.MS_SYNCHRONOUS, ("volatile",)),
    ],
)
def test_words_are_flags_or_the_file_systems(
    words: list[str], flags: int, rest: tuple[str, ...]
) -> None:
    assert (flags, rest) == split_words(words)


@pytest.mark.parametrize(
    "configured, requested, is_used, words",
    [
        ("", None, False, ()),
        ("nodev,metacopy=on", None, True, ("nodev", "metacopy=on")),
        ("nodev,metacopy=on", None, False, ("nodev",)),
        ("nodev", ("nosuid",), False, ("nosuid",)),
        ("nodev", (), False, ("nodev",)),
        ("metacopy=on", ("nosuid",), True, ("nosuid", "metacopy=on")),
        ("", ("metacopy=on",), False, ()),
    ],
)
def test_metacopy_is_in_every_mount_or_in_none(
    configured: str, requested: tuple[str, ...] | None, is_used: bool, words: tuple[str, ...]
) -> None:
    assert words == choose_words(configured, requested, is_metacopy_used=is_used)
