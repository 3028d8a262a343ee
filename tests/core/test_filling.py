"""Tar streams into layers and out again: staged, bit exact, and without a trace when they fail."""

import hashlib
import io
import json
import os
import tarfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from holdfs.core import errors
from holdfs.core.config import load_options
from holdfs.core.formats.records import IdMap, Layer
from holdfs.core.idmapping import MapRequest
from holdfs.core.store import Store
from holdfs.native.untar import Compression
from tests.conftest import GraphRun
from tests.needs import needs
from tests.peers import GoStore

pytestmark = needs("root", "overlay", "containers-storage")

_RANGE = IdMap(container_id=0, host_id=100000, size=65536)
MAPS = MapRequest(uidmap=(_RANGE,), gidmap=(_RANGE,))


def tar_of(*members: tuple[str, bytes | None], uid: int = 0) -> bytes:
    """Return a tar of these files, and of directories where the content is None."""
    result = io.BytesIO()
    with tarfile.open(fileobj=result, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.uid = info.gid = uid
            info.mtime = 1_700_000_000
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return result.getvalue()


TAR = tar_of(("etc", None), ("etc/motd", b"hello\n"), ("big", b"x" * 100_000))


def feed(data: bytes) -> int:
    """Return a descriptor that gives these bytes once; the caller closes it."""
    reader, writer = os.pipe()

    def write() -> None:
        # The last bytes go out as the file is closed, so that has to be inside as well.
        with suppress(BrokenPipeError), open(writer, "wb") as file:
            file.write(data)  # a reader that has seen enough breaks the pipe

    threading.Thread(target=write, daemon=True).start()
    return reader


def filled(store: Store, data: bytes, call: Callable[[int], Layer]) -> Layer:
    fd = feed(data)
    try:
        return call(fd)
    finally:
        os.close(fd)


def import_layer(store: Store, data: bytes, **how: object) -> Layer:
    return filled(store, data, lambda fd: store.import_layer(fd, **how))  # type: ignore[arg-type]


def diff_of(store: Store, ref: str, tmp_path: Path) -> bytes:
    path = tmp_path / "diff.tar"
    with path.open("wb") as file:
        store.write_diff(ref, file.fileno(), compression=Compression.NONE)
    return path.read_bytes()


def nothing_left(store: Store) -> bool:
    """Whether no record, layer, tar-split or staging directory is there."""
    names = os.listdir(store.layers.directory)
    return (
        not store.snapshot().layers.ids
        and not store.driver.list_layers()
        and not [name for name in names if name.endswith(".gz")]
        and [] == os.listdir(f"{store.graph_root}/tmp")
    )


def test_a_stream_comes_out_as_it_went_in(store: Store, go: GoStore, tmp_path: Path) -> None:
    layer = import_layer(store, TAR, names=["one"])
    digest = "sha256:" + hashlib.sha256(TAR).hexdigest()
    assert (digest, len(TAR), digest, 0) == (
        layer.diff_digest,
        layer.diff_size,
        layer.compressed_diff_digest,
        layer.compression,
    )
    assert TAR == diff_of(store, "one", tmp_path)
    assert TAR == go.run_bytes("diff", "one").stdout
    assert [] == os.listdir(f"{store.graph_root}/tmp")


def test_what_the_go_tool_applied_comes_out_of_ours(
    store: Store, go: GoStore, tmp_path: Path
) -> None:
    source = tmp_path / "in.tar"
    source.write_bytes(TAR)
    go.run("import-layer", "-n", "theirs", "-f", str(source))
    assert TAR == diff_of(store, "theirs", tmp_path)
    ours = import_layer(store, TAR, names=["ours"])
    theirs = store.snapshot().layers.one(store.snapshot().layers.by_name["theirs"])
    known = ("diff_digest", "diff_size", "compressed_size", "compression", "uidset", "gidset")
    assert [getattr(theirs, k) for k in known] == [getattr(ours, k) for k in known]


def test_a_child_is_filled_on_top_of_its_parent(store: Store, go: GoStore) -> None:
    import_layer(store, TAR, names=["base"])
    child = import_layer(
        store, tar_of(("etc/.wh.motd", b""), ("new", b"n")), parent="base", names=["child"]
    )
    top = store.mount(child.id)
    assert ["big", "etc", "new"] == sorted(os.listdir(top))
    assert [] == os.listdir(f"{top}/etc")
    store.unmount(child.id)
    base = store.mount("base")
    assert "hello\n" == Path(base, "etc/motd").read_text()
    store.unmount("base")
    assert go.out("mount", child.id).strip() == top
    go.run("unmount", child.id)


def test_an_empty_layer_is_filled_later_and_a_full_one_once_more(
    store: Store, tmp_path: Path
) -> None:
    import_layer(store, TAR, names=["base"])
    store.create_layer(parent="base", names=["child"])
    first = tar_of(("one", b"1"))
    filled(store, first, lambda fd: store.apply_diff("child", fd))
    assert first == diff_of(store, "child", tmp_path)
    second = tar_of(("two", b"2"))
    layer = filled(store, second, lambda fd: store.apply_diff("child", fd))
    assert second == diff_of(store, "child", tmp_path)
    top = store.mount(layer.id)
    assert ["big", "etc", "one", "two"] == sorted(os.listdir(top))


def test_a_layer_that_others_stand_on_can_be_kept_from_being_filled(store: Store) -> None:
    import_layer(store, TAR, names=["base"])
    store.create_layer(parent="base")
    with pytest.raises(errors.StoreReadOnly):
        filled(store, TAR, lambda fd: store.apply_diff("base", fd, unused=True))


@pytest.mark.parametrize(
    "data",
    [TAR[:-11000], b"no tar at all" * 100, TAR + b"", TAR[:600]],
    ids=["cut in a file", "garbage", "", "cut in a header"],
)
def test_a_damaged_stream_leaves_no_trace(store: Store, data: bytes) -> None:
    if data == TAR:
        data = TAR[:512] + b"\0" * 512 + TAR[1024:]  # an end, and then no end
    with pytest.raises(errors.DamagedStream):
        import_layer(store, data, names=["one"])
    assert nothing_left(store)


def test_a_stream_that_is_not_the_promised_one_leaves_no_trace(store: Store) -> None:
    other = "sha256:" + "0" * 64
    with pytest.raises(errors.InvalidDigest, match="not sha256:000"):
        import_layer(store, TAR, uncompressed_digest=other)
    assert nothing_left(store)


def test_a_damaged_stream_leaves_an_empty_layer_empty(store: Store, tmp_path: Path) -> None:
    layer = store.create_layer(names=["one"])
    before = store.snapshot().layers.raw(layer.id)
    with pytest.raises(errors.DamagedStream):
        filled(store, TAR[:-11000], lambda fd: store.apply_diff("one", fd))
    assert before == store.snapshot().layers.raw(layer.id)
    assert [] == os.listdir(store.mount("one"))
    assert [] == os.listdir(f"{store.graph_root}/tmp")


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_tar_without_its_end_can_be_refused(store: Store, tmp_path: Path, is_empty: bool) -> None:
    layer = store.create_layer()
    if not is_empty:
        (tmp_path / "first").write_bytes(tar_of(("first", b"1")))
        with (tmp_path / "first").open("rb") as stream:
            store.apply_diff(layer.id, stream.fileno(), whole=True)
    before = store.layers.current().one(layer.id)
    (tmp_path / "cut").write_bytes(tar_of(("second", b"2"))[:1024])

    with (tmp_path / "cut").open("rb") as stream, pytest.raises(errors.DamagedStream):
        store.apply_diff(layer.id, stream.fileno(), whole=True)

    assert before == store.layers.current().one(layer.id)
    assert [] == [change for change in store.changes(layer.id) if "second" in change.path]


def test_a_slow_import_keeps_nobody_waiting(store: Store, go: GoStore) -> None:
    reader, writer = os.pipe()
    result: list[Layer] = []
    thread = threading.Thread(
        target=lambda: result.append(store.import_layer(reader, names=["slow"]))
    )
    thread.start()
    try:
        os.write(writer, TAR[:2000])
        # Both would wait for as long as layers.lock is held.
        go.run("create-layer", "-n", "quick")
        store.create_layer(names=["ours"])
        assert thread.is_alive()
        os.write(writer, TAR[2000:40_000])
    finally:
        rest = memoryview(TAR)[40_000:]
        while rest:
            rest = rest[os.write(writer, rest) :]
        os.close(writer)
        thread.join(30)
        os.close(reader)
    assert ("slow",) == result[0].names
    assert {"slow", "quick", "ours"} == set(store.snapshot().layers.by_name)


def test_what_a_killed_import_left_is_cleared_by_the_next(store: Store) -> None:
    left = f"{store.graph_root}/tmp/holdfs-0123456789abcdef"
    os.makedirs(f"{left}/diff/etc")
    Path(f"{left}.lock").touch()
    Path(f"{store.graph_root}/tmp/holdfs-0123456789abcde0.lock").touch()
    import_layer(store, TAR)
    assert [] == os.listdir(f"{store.graph_root}/tmp")


# -- ID maps ---------------------------------------------------------------------------------------


def test_a_container_with_maps_gets_a_copy_that_others_share(
    store: Store, go: GoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store.driver, "supports_shifting", lambda *_: False)
    base = import_layer(store, TAR, names=["base"])
    image = store.create_image(layer="base", names=["shop"])
    first = store.create_container(image="shop", maps=MAPS)
    second = store.create_container(image="shop", maps=MAPS)
    assert first.uidmap == first.gidmap == MAPS.uidmap
    layers = store.snapshot().layers
    (mapped,) = store.snapshot().images.one(image.id).mapped_layers
    copy = layers.one(mapped)
    assert (base.parent, base.diff_digest, (), MAPS.uidmap) == (
        copy.parent,
        copy.diff_digest,
        copy.names,
        copy.uidmap,
    )
    assert {mapped} == {layers.one(c.layer).parent for c in (first, second)}
    top = store.mount(first.id)
    assert (100000, 100000) == (os.stat(f"{top}/big").st_uid, os.stat(f"{top}/big").st_gid)
    store.unmount(first.id)
    assert TAR == go.run_bytes("diff", mapped).stdout
    unmapped = store.create_container(image="shop")
    assert (base.id, ()) == (layers.one(base.id).id, unmapped.uidmap)


def test_overlapping_maps_are_refused() -> None:
    with pytest.raises(errors.InvalidMappings) as refused:
        MapRequest(
            uidmap=(
                IdMap(container_id=0, host_id=1000, size=10),
                IdMap(container_id=5, host_id=5000, size=10),
            )
        )
    assert (
        "the specified UID and/or GID mapping 5:5000:10 conflicts with other mappings: "
        "invalid mappings specified" == refused.value.words
    )


def test_a_stream_for_a_mapped_layer_is_unpacked_with_host_ids(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(store.driver, "supports_shifting", lambda *_: False)
    data = tar_of(("file", b"1"), uid=7)
    layer = import_layer(store, data, names=["one"], maps=MAPS)
    assert MAPS.uidmap == layer.uidmap == layer.gidmap
    top = store.mount("one")
    assert 100007 == os.stat(f"{top}/file").st_uid
    store.unmount("one")
    assert data == diff_of(store, "one", tmp_path)


# -- places ----------------------------------------------------------------------------------------


def test_a_split_store_keeps_images_and_their_layers_apart(
    stores: Callable[[], GraphRun], tmp_path: Path
) -> None:
    graph, run = stores()
    images = stores().graph
    options = load_options(graph_root=graph, run_root=run, driver="overlay")
    store = Store.open(options.replaced(image_store=images), lock_timeout_s=5)
    base = import_layer(store, TAR, names=["base"], read_only=True)
    store.create_image(layer="base", names=["shop"], big_data=[("manifest", b"{}")])
    container = store.create_container(image="shop", names=["web"])
    assert [base.id] == [
        r["id"] for r in json.loads(Path(f"{images}/overlay-layers/layers.json").read_bytes())
    ]
    assert [container.layer] == [
        r["id"] for r in json.loads(Path(f"{graph}/overlay-layers/layers.json").read_bytes())
    ]
    assert b"{}" == store.read_big_data("images", "shop", "manifest")
    assert os.path.isdir(f"{images}/overlay/{base.id}")
    assert "hello\n" == Path(store.mount("web"), "etc/motd").read_text()
    assert TAR == diff_of(store, "base", tmp_path)
    store.delete_container("web")
    assert [base.id] == store.delete_image("shop")
    assert [] == os.listdir(f"{images}/overlay-images")[2:]
    store.shutdown()


def test_a_transient_stores_containers_live_in_the_run_root(graph_run: GraphRun) -> None:
    graph, run = graph_run
    options = load_options(graph_root=graph, run_root=run, driver="overlay")
    store = Store.open(options.replaced(transient_store=True), lock_timeout_s=5)
    container = store.create_container(names=["web"])
    assert container.flags["Volatile"] is True
    for name in ("containers", "layers"):
        path = Path(f"{run}/overlay-{name}/volatile-{name}.json")
        assert 1 == len(json.loads(path.read_bytes()))
        assert not Path(f"{graph}/overlay-{name}/{name}.json").exists()
    Path(store.mount("web"), "f").write_text("x")
    store.unmount("web")
    store.delete_container("web")
    assert () == store.snapshot().layers.ids
    store.shutdown()


def test_a_file_is_applied_from_where_it_was_read_to(store: Store, tmp_path: Path) -> None:
    layer = store.create_layer()
    (tmp_path / "file").write_bytes(b"#!/what the caller has read\n" + TAR)
    for _ in range(2):
        # The second time something is in the layer, and the stream is tried first.
        with (tmp_path / "file").open("rb", buffering=0) as file:
            file.seek(28)
            applied = store.apply_diff(layer.id, file.fileno())
        assert f"sha256:{hashlib.sha256(TAR).hexdigest()}" == applied.diff_digest
