"""
The directories of a layer after a change of its ID maps.

    diff     → diff1      with the changed tree, which is a lower from now on
    diff1    → diff2      and so on
    diff, work            new and empty

Source: spec/store-format.md 8.8; containers/storage, overlay.go, UpdateLayerIDMap.
"""

import os
import stat

from holdfs.native.remove import remove_tree


def rotate_diffs(directory: str, *, owner: tuple[int, int], force_mask: int | None) -> None:
    """Make what the layer's `diff` holds one of its lowers; the layer must not be mounted."""
    mode = stat.S_IMODE(os.stat(f"{directory}/diff").st_mode)
    count = 0
    while os.path.lexists(_numbered(directory, count)):
        count += 1
    for number in reversed(range(count)):
        os.rename(_numbered(directory, number), _numbered(directory, number + 1))
    # The old one may refer to the old upper directory (index=on).
    directory_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        remove_tree(directory_fd, "work")
    finally:
        os.close(directory_fd)
    os.mkdir(f"{directory}/work", 0o555)
    os.chown(f"{directory}/work", *owner)
    os.mkdir(f"{directory}/diff", 0o700)
    os.chown(f"{directory}/diff", *owner)
    os.chmod(f"{directory}/diff", mode if force_mask is None else force_mask)


def _numbered(directory: str, number: int) -> str:
    return f"{directory}/diff{number or ''}"
