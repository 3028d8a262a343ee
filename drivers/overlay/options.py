"""
The overlay driver's options, parsed.

Options whose function this driver does not have are refused where they would matter: at once if
they change what the store contains, when mounting or creating if only that is concerned. Never
passed over, since two programs that mount one layer differently damage it.
Source: spec/cli.md 1.4, spec/store-format.md 11.2.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from holdfs.drivers.base import DriverError
from holdfs.drivers.options import (
    Option,
    parse_bool,
    parse_options,
    refused_option,
    unknown_option,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayOptions:
    """
    What the options ask for.

    Attributes:
        mountopt: Mount options, comma separated, for mounts that bring none of their own.
        skip_mount_home: Leave the home without a private mount of its own.
        ignore_chown_errors: Owners that can't be set are left as they are.
        mount_program, force_mask, quota: The options of this kind, if given: they are refused when
            a layer is to be mounted or made.
    """

    mountopt: str = ""
    skip_mount_home: bool = False
    ignore_chown_errors: bool = False
    mount_program: Option | None = None
    force_mask: Option | None = None
    quota: Option | None = None


def parse_overlay_options(options: Sequence[str]) -> OverlayOptions:
    """
    Return the overlay driver's share of `options`; the last of a kind counts.

    Raises:
        DriverError: An option is unknown, has a value it can't have, or asks for something that
            this driver does not do.
    """
    mountopt = ""
    skip_mount_home = ignore_chown_errors = False
    mount_program = force_mask = quota = None
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
            case "size" | "inodes":
                quota = option if option.value not in ("", "0") else None
            case "imagestore" | "additionalimagestore" | "additionalimagestores":
                _check_image_stores(option)
            case "additionallayerstore":
                if option.value:
                    raise refused_option(option, "an additional layer store")
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
    if force_mask and not mount_program:
        raise DriverError("'force_mask' is supported only with 'mount_program'")
    return OverlayOptions(
        mountopt=mountopt,
        skip_mount_home=skip_mount_home,
        ignore_chown_errors=ignore_chown_errors,
        mount_program=mount_program,
        force_mask=force_mask,
        quota=quota,
    )


def _check_program(option: Option) -> Option | None:
    if not option.value:
        return None
    try:
        os.stat(option.value)
    except OSError as error:
        text = error.strerror or ""
        raise DriverError(
            f"overlay: can't stat program {option.value!r}: {text}",
            words=f'overlay: can\'t stat program "{option.value}": '
            f"stat {option.value}: {text.lower()}",
        ) from error
    return option


def _check_mask(option: Option) -> Option:
    if option.value not in ("shared", "private"):
        try:
            int(option.value, 8)
        except ValueError as error:
            raise DriverError(
                f'option "{option.text}" takes an octal mode, shared or private',
                words=f'strconv.ParseInt: parsing "{option.value}": invalid syntax',
            ) from error
    return option


def _check_image_stores(option: Option) -> None:
    stores = [path for path in option.value.split(",") if path]
    for path in stores:
        if not os.path.isabs(path):
            raise DriverError(f'overlay: image path "{path}" is not absolute.  Can not be relative')
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            text = (error.strerror or "").lower()
            raise DriverError(
                f"overlay: can't stat imageStore dir {path}: stat {path}: {text}"
            ) from error
        if mode & 0o170000 != 0o040000:
            raise DriverError(f'overlay: image path "{path}" must be a directory')
    if stores:
        raise refused_option(option, "additional image stores")
