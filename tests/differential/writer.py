"""
Our side of the tests in which two write at once: a process of its own that changes a store.

    python -m tests.differential.writer GRAPH RUN DRIVER COUNT

It says `ready`, waits for a line, makes COUNT rounds of changes (each: layer, image on it, data,
container, metadata, one use of the shared mount), and goes on changing its own metadata until
standard input ends. Then it prints how many rounds and further changes there were.
"""

import select
import sys

from holdfs.core.config import load_options
from holdfs.core.store import Store


def main(graph: str, run: str, driver: str, count: int) -> None:
    options = load_options(graph_root=graph, run_root=run, driver=driver)
    store = Store.open(options, lock_timeout_s=60)
    print("ready", flush=True)
    sys.stdin.readline()
    for i in range(count):
        round_of_changes(store, i)
    more = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        store.set_metadata("images", "ours-image-0000", f"again {more}")
        more += 1
    print(count, more, flush=True)


def round_of_changes(store: Store, i: int) -> None:
    """Four new things: two records changed after they were made, two left as they are."""
    name = f"ours-{{}}-{i:04d}".format
    match i % 4:
        case 0:
            store.create_layer(layer_id=name("layer"), names=[name("l")], parent="shared")
            store.create_image(image_id=name("image"), names=[name("i")], layer=name("layer"))
        case 1:
            store.set_big_data("images", f"ours-image-{i - 1:04d}", "manifest", b"%d" % i)
        case 2:
            store.create_container(container_id=name("container"), image=f"ours-image-{i - 2:04d}")
            store.set_metadata("containers", name("container"), str(i))
        case 3:
            store.mount("shared")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
