"""Additional image stores, for the drivers that can read from them: never written to."""

from __future__ import annotations

import errno
import os

from holdfs.drivers.base import DriverError
from holdfs.drivers.options import Option


def parse_image_stores(driver: str, option: Option) -> list[str]:
    """
    Return the graph roots that the option names.

    Raises:
        DriverError: One is not the absolute path of a directory.
    """
    stores = [path for path in option.value.split(",") if path]
    for path in stores:
        if not os.path.isabs(path):
            raise DriverError(
                f'{driver}: image path "{path}" is not absolute.  Can not be relative'
            )
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            text = (error.strerror or "").lower()
            raise DriverError(
                f"{driver}: can't stat imageStore dir {path}: stat {path}: {text}"
            ) from error
        if mode & 0o170000 != 0o040000:
            raise DriverError(f'{driver}: image path "{path}" must be a directory')
    return stores


def refuse_read_only(layer_id: str) -> DriverError:
    """Return the error for mounting or changing a layer of an additional image store."""
    return DriverError(
        f"layer {layer_id} is in an additional image store, where nothing is mounted or changed",
        words="mounting read/only store images is not allowed: "
        "called a write method on a read-only store",
        errno_=errno.EROFS,
    )
