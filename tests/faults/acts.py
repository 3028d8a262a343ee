"""
The store that the faults are done to, and everything that can be done with it.

    base ─┬─ top ── [image shop] ── [container web]
          └─ kept                      loose, spare, filled (no parent)
    [image solo] on solo-top ─ solo-base        [image plain], [container bare] on nothing
"""

import hashlib
import io
import json
import os
import shutil
import stat
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from unittest import mock

from holdfs.core import describing, imagearchive
from holdfs.core.config import load_options
from holdfs.core.formats.records import IdMap
from holdfs.core.idmapping import MapRequest
from holdfs.core.imagesource import Files
from holdfs.core.store import Store
from tests.faults.states import Roots

BASE, TOP, KEPT, LOOSE, SPARE, SOLO_BASE, SOLO_TOP, FILLED = (
    f"{n:08x}" + "a" * 56 for n in range(1, 9)
)
SHOP, SOLO, PLAIN = (f"{n:08x}" + "b" * 56 for n in range(1, 4))
WEB, BARE = (f"{n:08x}" + "c" * 56 for n in range(1, 3))
NEW: Final = "f" * 64
_RANGE: Final = IdMap(container_id=0, host_id=100_000, size=65_536)
MAPS: Final = MapRequest(uidmap=(_RANGE,), gidmap=(_RANGE,))
LONG: Final = b"0123456789abcdef" * 20_000


def _tar(*members: tuple[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name.rstrip("/"))
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            info.mode, info.mtime, info.size = 0o755, 1_700_000_000, len(data)
            tar.addfile(info, io.BytesIO(data))
    return made.getvalue()


TAR: Final = _tar(("etc/", b""), ("etc/motd", b"hello\n"), ("etc/.wh.00000001", b""))
MORE: Final = _tar(("etc/", b""), ("etc/more", b"more\n"))


def _file_of(data: bytes) -> int:
    fd = os.memfd_create("stream")
    os.write(fd, data)
    return fd


#: Made here, so that no act makes them.
_STREAMS: Final = {data: _file_of(data) for data in (TAR, MORE)}


def _fill(store: Store, fill: Callable[[int], object], data: bytes) -> None:
    """Call with a descriptor that gives these bytes."""
    fd = os.open(f"/proc/self/fd/{_STREAMS[data]}", os.O_RDONLY)
    try:
        fill(fd)
    finally:
        os.close(fd)


def _archive() -> bytes:
    """Return what `docker save` writes, of an image of two layers."""
    layers = (TAR, MORE)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers],
        },
    }
    entry = {"Config": "c.json", "RepoTags": ["shop:new"], "Layers": ["0.tar", "1.tar"]}
    return _tar(
        ("c.json", json.dumps(config).encode()),
        ("manifest.json", json.dumps([entry]).encode()),
        *((f"{n}.tar", layer) for n, layer in enumerate(layers)),
    )


def _import(store: Store) -> None:
    with Files("archive", io.BytesIO(_archive())) as files:
        imagearchive.import_image(store, files)


def _describe(store: Store) -> None:
    with mock.patch.object(describing, "now", lambda: "2026-01-01T00:00:00Z"):
        store.create_described_image(layer="kept", names=("fresh",))


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
    # A layer that a stream has filled, and changed since; one that has what is imported below.
    _fill(store, lambda fd: store.import_layer(fd, layer_id=FILLED, names=["filled"]), TAR)
    mount = Path(store.mount(FILLED))
    (mount / "etc" / "motd").write_text("other words\n")
    store.unmount(FILLED)
    for ref in (WEB, BARE):
        Path(store.container_dir(ref), "kept.json").write_text("{}")
        Path(store.container_run_dir(ref), "pid").write_text("1")
    store.shutdown(force=True)


def copy_store(source: Roots, target: Roots) -> None:
    """Copy a store in which nothing is mounted."""
    for here, there in ((source.graph, target.graph), (source.run, target.run)):
        shutil.copytree(here, there, symlinks=True, copy_function=_copy)


def _copy(source: str, target: str) -> None:
    found = os.lstat(source)
    if stat.S_ISCHR(found.st_mode):  # a whiteout
        os.mknod(target, found.st_mode, found.st_rdev)
        shutil.copystat(source, target)
    else:
        shutil.copy2(source, target)


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
        spread: How many calls more or less it may make: threads wait for each other, or need not.
        parts: What may be neither as before nor as after, but in between: how its keys begin.
    """

    name: str
    run: Callable[[Store], object]
    before: Callable[[Store], object] = lambda store: None
    whole: bool = True
    again: tuple[str, ...] = ()
    by_us: bool = False
    strays: bool = False
    litter: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    spread: int = 0
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
    Act(
        name="import-layer",
        spread=8,
        run=lambda s: _fill(
            s, lambda fd: s.import_layer(fd, layer_id=NEW, parent="base", names=["fresh"]), TAR
        ),
        again=("DuplicateId",),
        # The tar-split is there before the record that is complete, for a moment.
        litter=(NEW,),
    ),
    Act(
        name="apply-diff",
        spread=8,
        run=lambda s: _fill(s, lambda fd: s.apply_diff("spare", fd), MORE),
        # The content is there before the record tells of it: two files can't be replaced at once.
        whole=False,
        litter=(SPARE,),
    ),
    Act(
        name="apply-second-diff",
        spread=8,
        run=lambda s: _fill(s, lambda fd: s.apply_diff("loose", fd), MORE),
        # Unpacked in the layer itself: a part of it, or all, before the record tells of it.
        whole=False,
        parts=(f"layer {LOOSE[:8]}: tree",),
        litter=(LOOSE,),
    ),
    Act(name="seal", run=lambda s: s.seal("kept"), litter=(KEPT,), spread=8),
    Act(name="seal-again", run=lambda s: s.seal("filled"), litter=(FILLED,), spread=8),
    Act(
        name="create-described-image",
        run=_describe,
        spread=8,
        # Each layer is sealed before there is an image.
        whole=False,
        litter=("images/",),
        again=("DuplicateName",),
    ),
    Act(
        name="import-image",
        run=_import,
        spread=8,
        # Layer by layer, then the image, then its names, which are taken from others: what is
        # there already is used again.
        whole=False,
        parts=("image new",),
        strays=True,
        litter=("images/",),
    ),
    Act(
        name="create-mapped-container",
        run=lambda s: s.create_container(
            image="shop", container_id=NEW, names=["fresh"], maps=MAPS
        ),
        # vfs: a copy of each of the image's layers with the owners, which others share.
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
