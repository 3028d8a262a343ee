"""
List a store's images with their layers, base first, without a lock and without a mount.

    list_images.py [GRAPHROOT RUNROOT]

Without arguments storage.conf and the environment say which store, as for podman.
"""

import sys

from holdfs.core.config import load_options
from holdfs.core.store import Store


def main() -> None:
    graph_root, run_root = sys.argv[1:] or ("", "")
    store = Store.open(load_options(graph_root=graph_root, run_root=run_root))

    # Everything below is one moment of the store, whatever other programs do meanwhile.
    snapshot = store.snapshot()
    for image_id in snapshot.images:
        image = snapshot.images.one(image_id)
        print(", ".join(image.names) or image_id)
        for layer_id in snapshot.chain(image.layer):
            print(f"    layer      {layer_id}")
        for container_id in snapshot.containers_of(image_id):
            names = snapshot.containers.names_of(container_id)
            print(f"    container  {', '.join(names) or container_id}")


if __name__ == "__main__":
    main()
