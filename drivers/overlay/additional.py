"""
Additional layer stores: layers that somebody else keeps and serves, by digest.

    <store>[/base64(reference)]/<digest>/{diff,info,blob}
    G/overlay/<id>/additionallayer    the path of that directory
    G/overlay/<id>/diff               -> <that>/diff

The store counts its users by attempts to make a file `use` in the directory, which it refuses, and
to remove the directory. Source: spec/store-format.md 8.12; containers/storage, overlay.go.
"""

from __future__ import annotations

import os

from holdfs.drivers.base import AdditionalLayer, DriverError
from holdfs.drivers.options import Option
from holdfs.native.light import logger_of
from holdfs.native.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_log: Final = logger_of(__name__)

MARK: Final = "additionallayer"


class LayerStore(Value):
    """One store; `wants_reference` if layers are grouped by the image's name."""

    path: str
    wants_reference: bool = False


def parse_layer_stores(option: Option) -> tuple[LayerStore, ...]:
    """
    Return the stores that the option names: "path[:ref],…".

    Raises:
        DriverError: One is not the absolute path of a directory, or has another suffix than ref.
    """
    stores = []
    for text in (text for text in option.value.split(",") if text):
        path, *words = text.split(":")
        if not os.path.isabs(path):
            raise DriverError(
                f'overlay: additionallayerstore path "{path}" is not absolute.  Can not be relative'
            )
        if not os.path.exists(path):
            raise DriverError(
                f"overlay: can't stat additionallayerstore dir: stat {path}: "
                "no such file or directory"
            )
        if not os.path.isdir(path):
            raise DriverError(f'overlay: additionallayerstore path "{path}" must be a directory')
        for word in words:
            if word != "ref":
                raise DriverError(
                    f'overlay: additionallayerstore config "{path}" contains unknown option '
                    f'"{word}"'
                )
        if len(words) > 1:
            raise DriverError(
                f'overlay: additionallayerstore config of "{path}" contains "ref" option twice'
            )
        stores.append(LayerStore(os.path.normpath(path), bool(words)))
    return tuple(stores)


def find_layer(
    stores: tuple[LayerStore, ...], digest: str, reference: str
) -> AdditionalLayer | None:
    """Return what the first store that has the digest offers; None if none has it."""
    if not digest or "/" in digest or digest.startswith("."):
        return None
    import base64

    group = base64.b64encode(os.fsencode(reference)).decode()
    for store in stores:
        path = os.path.join(store.path, group if store.wants_reference else "", digest)
        if not all(os.path.exists(f"{path}/{name}") for name in ("diff", "blob")):
            continue
        try:
            with open(f"{path}/info", "rb") as file:
                return AdditionalLayer(path, file.read())
        except FileNotFoundError:
            continue
    return None


def use_layer(path: str) -> None:
    """Tell the store that one more layer of ours is one of its."""
    try:
        fd = os.open(f"{path}/use", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        # ENOENT is the store's "understood"; others may mean that it does not count.
        _log.debug("additional layer %s in use: %s", path, error)
        return
    os.close(fd)
    os.unlink(f"{path}/use")
    _log.warning("%s is no directory of an additional layer store: it takes files", path)


def release_layer(path: str) -> None:
    """Tell the store that one layer of ours less is one of its."""
    try:
        os.rmdir(path)
    except OSError as error:
        _log.debug("additional layer %s released: %s", path, error)


def read_mark(directory: str) -> str:
    """Return where the content of the layer with this directory is, "" if it has its own."""
    try:
        with open(f"{directory}/{MARK}", encoding="utf-8", errors="surrogateescape") as file:
            path = file.read().strip("\n")
    except FileNotFoundError:
        return ""
    return path if os.path.isabs(path) else ""
