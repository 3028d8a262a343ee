"""
Removing what a check found damaged: containers, then images, then layers. Source: spec 10.11.

    force only: containers  →  images  →  layers, children first  →  the driver's without a record

Each is deleted as by its command, with all checks, so what came into use meanwhile stays.
"""

from collections.abc import Callable, Iterable

from holdfs.core import bigdata, unrecorded
from holdfs.core.check import Report
from holdfs.core.errors import NotAContainer, NotALayer, NotAnImage, StoreError
from holdfs.core.store import Store
from holdfs.drivers.base import DriverError


def repair(store: Store, report: Report, *, force: bool = False) -> list[str]:
    """
    Delete what the report lists, as far as it is the store's own.

    Args:
        force: Containers, too.

    Returns:
        What could not be deleted and why, one line each, in the words of the Go tools.
    """
    failures: list[str] = []
    if force:
        _delete_all("container", report.containers, store.delete_container, failures)
    _delete_all("image", report.images, store.delete_image, failures)
    layers = store.snapshot().layers
    depth = {i: len(store.snapshot().chain(i)) for i in report.layers if i in layers}
    ordered = sorted(depth, key=lambda layer_id: depth[layer_id], reverse=True)
    _delete_all("layer", ordered, store.delete_layer, failures)
    _delete_all("layer", report.unrecorded, lambda i: _delete_unrecorded(store, i), failures)
    return failures


def _delete_all(
    kind: str, ids: Iterable[str], delete: Callable[[str], object], failures: list[str]
) -> None:
    for record_id in ids:
        try:
            delete(record_id)
        except (NotALayer, NotAnImage, NotAContainer):
            continue  # gone with what was deleted before
        except (StoreError, DriverError) as error:
            failures.append(f"deleting {kind} {record_id}: {error.words}")
        except OSError as error:
            failures.append(f"deleting {kind} {record_id}: {error}")


def _delete_unrecorded(store: Store, layer_id: str) -> None:
    with store.layers.edit() as edit:
        # Somebody may have made a record of it since.
        if layer_id in unrecorded.found(store, edit.records):
            store.driver.remove(layer_id)
            for directory in store.data_dirs("layers"):
                bigdata.remove_items(directory, layer_id)
