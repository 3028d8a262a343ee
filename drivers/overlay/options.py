"""
The overlay driver's options, parsed.

Options whose function this driver does not have are refused where they would matter: at once if
they change what the store contains, when mounting or creating if only that is concerned. Never
passed over, since two programs that mount one layer differently damage it.
Source: spec/cli.md 1.4, spec/store-format.md 11.2.
"""

from __future__ import annotations

import os

from holdfs.drivers.base import DriverError
from holdfs.drivers.imagestores import parse_image_stores
from holdfs.drivers.options import (
    Option,
    parse_bool,
    parse_options,
    parse_size,
    refused_option,
    unknown_option,
)
from holdfs.drivers.overlay.additional import LayerStore, parse_layer_stores
from holdfs.native.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

_MASKS: Final = {"shared": 0o755, "private": 0o700}


class OverlayOptions(Value):
    """
    What the options ask for.

    Attributes:
        mountopt: Mount options, comma separated, for mounts that bring none of their own.
        skip_mount_home: Leave the home without a private mount of its own.
        ignore_chown_errors: Owners that can't be set are left as they are.
        mount_program: The program that mounts layers; "" for the kernel.
        force_mask: The mode of all directories and files that are made, the real one being told to
            the mount program by an attribute.
        size, inodes: Limits of a layer that is written to; 0 for none.
        image_stores: Graph roots of additional image stores.
        layer_stores: Additional layer stores.
    """

    mountopt: str = ""
    skip_mount_home: bool = False
    ignore_chown_errors: bool = False
    mount_program: str = ""
    force_mask: int | None = None
    size: int = 0
    inodes: int = 0
    image_stores: tuple[str, ...] = ()
    layer_stores: tuple[LayerStore, ...] = ()


def parse_overlay_options(options: Sequence[str]) -> OverlayOptions:
    """
    Return the overlay driver's share of `options`; the last of a kind counts, stores add up.

    Raises:
        DriverError: An option is unknown, has a value it can't have, or asks for something that
            this driver does not do.
    """
    mountopt = mount_program = ""
    skip_mount_home = ignore_chown_errors = False
    force_mask: int | None = None
    size = inodes = 0
    image_stores: list[str] = []
    layer_stores: tuple[LayerStore, ...] = ()
    for option in parse_options("overlay", options):
        match option.key:
            case "mountopt":
                mountopt = option.value
            case "skip_mount_home":
                skip_mount_home = parse_bool(option)
            case "ignore_chown_errors":
                ignore_chown_errors = parse_bool(option)
            case "mount_program":
                mount_program = _check_program(option)
            case "force_mask":
                force_mask = _check_mask(option)
            case "size":
                size = parse_size(option.value) if option.value else 0
            case "inodes":
                inodes = _parse_count(option) if option.value else 0
            case "imagestore" | "additionalimagestore" | "additionalimagestores":
                image_stores += parse_image_stores("overlay", option)
            case "additionallayerstore":
                layer_stores += parse_layer_stores(option)
            case "use_composefs":
                if parse_bool(option):
                    raise refused_option(option, "composefs")
            case "sync":
                if option.value not in ("", "none"):
                    raise refused_option(option, "syncing every layer")
            case "override_kernel_check":
                pass  # a relic: the Go tools only warn about it
            case _:
                raise unknown_option(option)
    return OverlayOptions(
        mountopt=mountopt,
        skip_mount_home=skip_mount_home,
        ignore_chown_errors=ignore_chown_errors,
        mount_program=mount_program,
        force_mask=force_mask,
        size=size,
        inodes=inodes,
        image_stores=tuple(image_stores),
        layer_stores=layer_stores,
    )


def _check_program(option: Option) -> str:
    if not option.value:
        return ""
    try:
        os.stat(option.value)
    except OSError as error:
        text = error.strerror or ""
        raise DriverError(
            f"overlay: can't stat program {option.value!r}: {text}",
            words=f'overlay: can\'t stat program "{option.value}": '
            f"stat {option.value}: {text.lower()}",
        ) from error
    return option.value


def _check_mask(option: Option) -> int:
    if option.value in _MASKS:
        return _MASKS[option.value]
    try:
        return int(option.value, 8)
    except ValueError as error:
        raise DriverError(
            f'option "{option.text}" takes an octal mode, shared or private',
            words=f'strconv.ParseInt: parsing "{option.value}": invalid syntax',
        ) from error


def _parse_count(option: Option) -> int:
    if option.value.isascii() and option.value.isdecimal():
        return int(option.value)
    raise DriverError(
        f'option "{option.text}" takes a number',
        words=f'strconv.ParseUint: parsing "{option.value}": invalid syntax',
    )
