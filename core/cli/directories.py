"""`get-container-dir`, `get-image-run-dir` …: directories for what others keep with an object."""

from __future__ import annotations

import os

from holdfs.core.cli import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfs.core.cli.options import Given
    from holdfs.core.store import Store


def dir_of_container(store: Store, given: Given, arguments: list[str]) -> int:
    """Print the container's directory in the storage tree, made if it is not there."""
    return _say(store.container_dir(arguments[0]), given)


def run_dir_of_container(store: Store, given: Given, arguments: list[str]) -> int:
    """Print the container's directory in the runtime state tree, made if it is not there."""
    return _say(store.container_run_dir(arguments[0]), given)


def dir_of_image(store: Store, given: Given, arguments: list[str]) -> int:
    """Print the image's directory in the storage tree, made if it is not there."""
    return _say(_image_dir(store, store.graph_root, arguments[0]), given)


def run_dir_of_image(store: Store, given: Given, arguments: list[str]) -> int:
    """Print the image's directory in the runtime state tree, made if it is not there."""
    return _say(_image_dir(store, store.run_root, arguments[0]), given)


def _image_dir(store: Store, root: str, ref: str) -> str:
    from holdfs.core.lockfile import make_private_dir

    # Upstream takes the argument as it stands, "../.." too: spec cli 9 has what is right.
    image_id = store.full_id("images", store.images.current(), ref)
    directory = os.path.join(root, f"{store.driver.name}-images", image_id, "userdata")
    make_private_dir(directory)
    return directory


def _say(path: str, given: Given) -> int:
    if given.flag("json"):
        output.json(path)
    else:
        output.out(f"{path}\n")
    return 0
