"""
The store that the faults are done to, and everything that can be done with it.

    base ─┬─ top ── [image shop] ── [container web]
          └─ kept                      loose, spare (no parent)
    [image solo] on solo-top ─ solo-base        [image plain], [container bare] on nothing
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from holdfs.core.config import load_options
from holdfs.core.store import Store
from tests.faults.states import Roots

BASE, TOP, KEPT, LOOSE, SPARE, SOLO_BASE, SOLO_TOP = (f"{n:08x}" + "a" * 56 for n in range(1, 8))
SHOP, SOLO, PLAIN = (f"{n:08x}" + "b" * 56 for n in range(1, 4))
WEB, BARE = (f"{n:08x}" + "c" * 56 for n in range(1, 3))
NEW: Final = "f" * 64
LONG: Final = b"0123456789abcdef" * 20_000


def open_store(roots: Roots) -> Store:
    options = load_options(graph_root=roots.graph, run_root=roots.run, driver=roots.driver)
    return Store.open(options, lock_timeout_s=5)


def make_template(roots: Roots) -> None:
    """Make the store; nothing stays mounted."""
    store = open_store(roots)
    for layer_id, parent, name in (
        (BASE, "", "base"),
        (TOP, BASE, "top"),
        (KEPT, BASE, "kept"),
        (LOOSE, "", "loose"),
        (SPARE, "", "spare"),
        (SOLO_BASE, "", ""),
        (SOLO_TOP, SOLO_BASE, ""),
    ):
        store.create_layer(layer_id=layer_id, parent=parent, names=[name] if name else [])
        if layer_id in (SPARE, SOLO_BASE):
            continue
        mount = Path(store.mount(layer_id))
        (mount / "etc").mkdir(exist_ok=True)
        (mount / "etc" / layer_id[:8]).write_text(f"made in {layer_id}\n")
        os.symlink("nowhere", mount / f"link-{layer_id[:8]}")
        store.unmount(layer_id)
    store.set_big_data("layers", LOOSE, "signature", b"signed")
    Path(store.layers.directory, f"{LOOSE}.tar-split.gz").write_bytes(b"any")
    for image_id, layer, names in (
        (SHOP, TOP, ["shop", "shop:1"]),
        (SOLO, SOLO_TOP, ["solo"]),
        (PLAIN, "", ["plain", "simple"]),
    ):
        store.create_image(
            image_id=image_id,
            layer=layer,
            names=names,
            metadata="{}",
            big_data=[("manifest", b'{"of":"%s"}' % names[0].encode()), ("notes", b"old\n")],
        )
    store.create_container(image=SHOP, container_id=WEB, names=["web", "www"])
    store.create_container(container_id=BARE, names=["bare"])
    store.set_big_data("containers", WEB, "config", b"old config")
    for ref in (WEB, BARE):
        Path(store.container_dir(ref), "kept.json").write_text("{}")
        Path(store.container_run_dir(ref), "pid").write_text("1")
    store.shutdown(force=True)


def copy_store(source: Roots, target: Roots) -> None:
    """Copy a store in which nothing is mounted."""
    for here, there in ((source.graph, target.graph), (source.run, target.run)):
        shutil.copytree(here, there, symlinks=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """
    One operation.

    Attributes:
        run: The operation, on a store where `before` was done.
        whole: All of it or nothing is seen, at any moment. Else object by object.
        again: Errors with which it may be refused when it is done again, since it was done.
        by_us: What a crash leaves only we can finish; the Go tools let it be.
        strays: A crash may leave a layer that nobody has.
        litter: A crash may leave big data of the object that was being made or deleted.
    """

    name: str
    run: Callable[[Store], object]
    before: Callable[[Store], object] = lambda store: None
    whole: bool = True
    again: tuple[str, ...] = ()
    by_us: bool = False
    strays: bool = False
    litter: tuple[str, ...] = ()
    drivers: tuple[str, ...] = ("overlay", "vfs")


_MANIFEST = ("manifest", b'{"of":"new"}')

ACTS: Final = (
    Act(
        name="create-base-layer",
        run=lambda s: s.create_layer(layer_id=NEW, names=["fresh"]),
        again=("DuplicateId",),
    ),
    Act(
        name="create-layer",
        run=lambda s: s.create_layer(layer_id=NEW, parent="top", names=["fresh", "fresher"]),
        again=("DuplicateId",),
    ),
    Act(
        name="create-image",
        run=lambda s: s.create_image(
            image_id=NEW, layer=TOP, names=["fresh"], big_data=[_MANIFEST, ("layers", LONG)]
        ),
        again=("DuplicateId",),
        # Files come first, so that no image is ever listed without its manifest.
        litter=(NEW,),
    ),
    Act(
        name="create-container",
        run=lambda s: s.create_container(image="shop", container_id=NEW, names=["fresh"]),
        whole=False,
        again=("DuplicateId",),
        strays=True,
    ),
    Act(
        name="create-volatile-container",
        run=lambda s: s.create_container(container_id=NEW, names=["fresh"], volatile=True),
        whole=False,
        again=("DuplicateId",),
        strays=True,
    ),
    Act(name="set-names", run=lambda s: s.set_names("images", SHOP, ["simple", "other"])),
    Act(name="add-names", run=lambda s: s.add_names("layers", "base", ["kept", "more"])),
    Act(name="append-names", run=lambda s: s.append_names("containers", "web", ["bare"])),
    Act(name="remove-names", run=lambda s: s.remove_names("images", SHOP, ["shop"])),
    Act(
        name="rename",
        run=lambda s: s.rename("containers", "www", "bare"),
        again=("ContainerNotKnown",),
    ),
    Act(name="set-layer-metadata", run=lambda s: s.set_metadata("layers", "top", "new")),
    Act(name="set-image-metadata", run=lambda s: s.set_metadata("images", "shop", "new")),
    Act(name="set-container-metadata", run=lambda s: s.set_metadata("containers", "web", "new")),
    Act(
        name="replace-image-data",
        run=lambda s: s.set_big_data("images", "shop", "notes", LONG),
        # The file, then its size and digest in the record: the format has no other way.
        whole=False,
    ),
    Act(
        name="add-image-data",
        run=lambda s: s.set_big_data("images", "shop", "more", LONG),
        litter=(SHOP,),
    ),
    Act(
        name="add-layer-data",
        run=lambda s: s.set_big_data("layers", "base", "more", b"new"),
        litter=(BASE,),
    ),
    Act(
        name="replace-layer-data",
        run=lambda s: s.set_big_data("layers", LOOSE, "signature", b"signed anew"),
    ),
    Act(
        name="replace-container-data",
        run=lambda s: s.set_big_data("containers", "web", "config", b"new config"),
        whole=False,  # as for images
    ),
    Act(
        name="rename-image-data",
        run=lambda s: s.rename_big_data("images", "shop", "notes", "papers"),
        again=("BigDataNotKnown",),
        litter=(SHOP,),
    ),
    Act(
        name="delete-layer",
        run=lambda s: s.delete_layer("loose"),
        again=("NotALayer",),
    ),
    Act(
        name="delete-mounted-layer",
        before=lambda s: s.mount("kept"),
        run=lambda s: s.delete_layer("kept"),
        again=("NotALayer",),
        whole=False,  # unmounted, then deleted
    ),
    Act(
        name="delete-image",
        run=lambda s: s.delete_image("solo"),
        again=("NotAnImage",),
        # The record goes first, as with the Go tools: layers may stay that nobody needs.
        whole=False,
        litter=(SOLO,),
    ),
    Act(
        name="delete-container",
        before=lambda s: s.mount("web"),
        run=lambda s: s.delete_container("web"),
        again=("NotAContainer",),
        # The layer goes first, as with the newest Go tools, so that it can be done again.
        whole=False,
    ),
    Act(
        name="delete",
        run=lambda s: s.delete("solo"),
        again=("LayerNotKnown",),
        litter=(SOLO,),
    ),
    Act(name="wipe", before=lambda s: s.mount("web"), run=lambda s: s.wipe(), whole=False),
    Act(name="mount", run=lambda s: s.mount("web")),
    Act(
        name="mount-again",
        before=lambda s: s.mount("web"),
        run=lambda s: s.mount("web"),
    ),
    Act(name="mount-image", run=lambda s: s.mount_image("shop")),
    Act(
        name="unmount-one",
        before=lambda s: (s.mount("web"), s.mount("web")),
        run=lambda s: s.unmount("web"),
    ),
    Act(name="unmount", before=lambda s: s.mount("web"), run=lambda s: s.unmount("web")),
    Act(
        name="shutdown",
        before=lambda s: (s.mount("web"), s.unmount("web")),
        run=lambda s: s.shutdown(),
    ),
    Act(
        name="shutdown-by-force",
        before=lambda s: (s.mount("web"), s.mount("top")),
        run=lambda s: s.shutdown(force=True),
        whole=False,
    ),
    Act(
        name="set-parent",
        run=lambda s: s.set_parent("spare", "top"),
        by_us=True,
        again=("NotPristine",),
    ),
    Act(
        name="set-top-layer",
        run=lambda s: s.set_top_layer("plain", "top"),
        again=("NotPristine",),
    ),
    Act(
        name="set-image",
        run=lambda s: s.set_image("bare", "shop"),
        again=("NotPristine",),
        whole=False,
        strays=True,
    ),
)
