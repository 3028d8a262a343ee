"""The option that names additional image stores, for the drivers that can read from them."""

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
