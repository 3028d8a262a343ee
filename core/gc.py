"""
Removing what crashes left behind: files of records that are not there any more. Source: spec 7.5.

    G/D-containers/<64 hex>/  G/D-images/<64 hex>/       data of no container, of no image
    G/D/<id>                                             driver layers without a record
    G/D-layers/<id>.tar-split.gz  G/D-layers/<64 hex>/   what belongs to no layer
    G/tmp/holdfs-…/                                      what was being unpacked

All else stays: names that are no IDs belong to others.
"""

import os
from typing import Any

from holdfs.core import bigdata, unrecorded
from holdfs.core.archive import staging
from holdfs.core.ids import is_full_id
from holdfs.core.reading import Records
from holdfs.core.sets import Kind
from holdfs.core.store import Store

_TAR_SPLIT = ".tar-split.gz"


def collect(store: Store) -> None:
    """
    Delete what no record accounts for, one kind after the other, each under its lock.

    Raises:
        StoreDamaged: The records of a kind can't be told; what belongs to it stays.
    """
    with store.containers.edit() as containers:
        _remove_data(store, "containers", containers.records)
    with store.images.edit() as images:
        _remove_data(store, "images", images.records)
    with store.layers.edit() as layers:
        for layer_id in unrecorded.found(store, layers.records):
            store.driver.remove(layer_id)
            for directory in store.data_dirs("layers"):
                bigdata.remove_items(directory, layer_id)
        _remove_data(store, "layers", layers.records)
        _remove_tar_splits(store, layers.records)
    for root in {store.graph_root, store.options.image_store} - {""}:
        staging.clear(root)


def _remove_data(store: Store, kind: Kind, records: Records[Any]) -> None:
    for directory in store.data_dirs(kind):
        with os.scandir(directory) as entries:
            orphans = [
                entry.name
                for entry in entries
                if is_full_id(entry.name)
                and entry.name not in records
                and entry.is_dir(follow_symlinks=False)
            ]
        for record_id in orphans:
            bigdata.remove_items(directory, record_id)


def _remove_tar_splits(store: Store, layers: Records[Any]) -> None:
    for directory in store.data_dirs("layers"):
        for name in os.listdir(directory):
            layer_id = name.removesuffix(_TAR_SPLIT)
            if layer_id != name and layer_id and layer_id not in layers:
                os.unlink(os.path.join(directory, name))
