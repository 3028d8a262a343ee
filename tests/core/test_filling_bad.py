"""Streams that are no layers, at the store: refused in a line that says where, no trace left."""

import bz2
import gzip
import lzma
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfs.core import errors
from holdfs.core.cli import failure
from holdfs.core.config import load_options
from holdfs.core.formats.records import Layer
from holdfs.core.lockfile import LockFile
from holdfs.core.store import Store
from holdfs.native.untar import UntarError
from tests.conftest import DriverRoots, GraphRun
from tests.core.test_filling import TAR, diff_of, filled, import_layer, nothing_left, tar_of
from tests.native.tarbytes import END, header, member, pax
from tests.native.tarcases import BAD
from tests.needs import loop_mounted, needs
from tests.peers import GoStore

pytestmark = needs("root", "overlay", "containers-storage")


def opened(roots: GraphRun, driver: str) -> Store:
    options = load_options(graph_root=roots.graph, run_root=roots.run, driver=driver)
    return Store.open(options, lock_timeout_s=5)


@pytest.fixture
def store(driver_roots: DriverRoots) -> Iterator[Store]:
    store = opened(driver_roots.roots, driver_roots.driver)
    yield store
    store.shutdown(force=True)


def unlocked(store: Store) -> bool:
    """Whether no lock of the store is held by anybody."""
    for lock in (store.graph_lock, store.layers.lock, store.images.lock, store.containers.lock):
        with LockFile(lock.path, timeout_s=0).writing():
            pass
    return True


def refused(call: Callable[[], Layer]) -> str:
    """Return what holdctl would say of the error that the call ends with: one line."""
    with pytest.raises((errors.StoreError, OSError)) as caught:
        call()
    said = failure.words(caught.value)
    assert said and "\n" not in said
    assert "internal error" not in said
    return said


def test_every_bad_tar_is_refused_with_its_place_and_leaves_no_trace(store: Store) -> None:
    assert len(BAD) > 30
    for name, (data, words) in BAD.items():
        said = refused(lambda data=data: import_layer(store, data, names=["bad"]))  # type: ignore[misc]
        assert words in said, name
        assert "at byte" in said, name
        assert nothing_left(store), name
    assert unlocked(store)


def test_an_empty_layer_and_a_full_one_stay_as_they_are(store: Store, tmp_path: Path) -> None:
    store.create_layer(names=["empty"])
    import_layer(store, TAR, names=["full"])
    before = [store.snapshot().layers.raw(i) for i in store.snapshot().layers.ids]
    for name in ("half a payload", "garbage", "half a header", "link to nothing", "duplicate"):
        # What is right at its start must not be in the layer either.
        bad = member("good", data=b"g") + BAD[name][0]
        for ref in ("empty", "full"):
            said = refused(
                lambda bad=bad, ref=ref: filled(store, bad, lambda fd: store.apply_diff(ref, fd))  # type: ignore[misc]
            )
            assert "at byte" in said, name
    assert before == [store.snapshot().layers.raw(i) for i in store.snapshot().layers.ids]
    assert TAR == diff_of(store, "full", tmp_path)
    for ref in ("empty", "full"):
        assert "good" not in os.listdir(store.mount(ref))
        store.unmount(ref)
    assert [] == os.listdir(f"{store.graph_root}/tmp")
    assert unlocked(store)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, "zstd"])
def test_a_compressed_stream_cut_anywhere_is_refused(store: Store, compress: object) -> None:
    content = random.Random(7).randbytes(200_000)
    tar = tar_of(("etc", None), ("etc/random", content))
    whole = (
        compress(tar)
        if callable(compress)
        else subprocess.run(["zstd", "-q"], input=tar, stdout=subprocess.PIPE, check=True).stdout
    )
    for part in (0.05, 0.5, 0.9, 0.9999):
        said = refused(lambda part=part: import_layer(store, whole[: int(len(whole) * part)]))  # type: ignore[misc]
        assert "at byte" in said
    # One bit, in the middle of what can not be compressed.
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 4
    refused(lambda: import_layer(store, bytes(damaged), compressed_digest="sha256:" + "0" * 64))
    assert nothing_left(store)
    assert unlocked(store)


def test_headers_a_hundred_deep_are_taken_as_the_go_tool_takes_them(
    store: Store, tmp_path: Path
) -> None:
    deep = b"".join(pax(("comment", f"{n}"), ("path", f"name{n}")) for n in range(100))
    data = deep + member("last", data=b"x") + member("d/" * 100 + "deep", data=b"y") + END
    go = GoStore(store.graph_root, store.run_root, store.driver.name)
    (tmp_path / "in").write_bytes(data)
    go.run("import-layer", "-i", "theirs", "-f", str(tmp_path / "in"))

    import_layer(store, data, layer_id="ours")

    assert [] == list(store.changes("ours", from_="theirs")) or {"C"} == {
        change.kind for change in store.changes("ours", from_="theirs")
    }
    assert data == diff_of(store, "ours", tmp_path)
    assert data == go.run_bytes("diff", "-u", "ours").stdout


def test_a_hole_of_8_eib_is_refused_or_takes_no_space(store: Store, tmp_path: Path) -> None:
    data = (
        pax(
            ("GNU.sparse.major", "1"),
            ("GNU.sparse.minor", "0"),
            ("GNU.sparse.realsize", str((1 << 63) - 1)),
        )
        + member("hole", data=b"0\n".ljust(512, b"\0"))
        + END
    )
    try:
        import_layer(store, data, layer_id="hole")
    except (errors.StoreError, OSError) as error:
        said = failure.words(error)
        assert '"hole"' in said and "at byte 0" in said
        assert nothing_left(store)
    else:
        assert data == diff_of(store, "hole", tmp_path)
        assert os.statvfs(store.graph_root).f_bfree > 0
    assert unlocked(store)


def test_another_digest_than_promised_is_refused_compressed_or_not(store: Store) -> None:
    other = "sha256:" + "0" * 64
    for data, promised in (
        (gzip.compress(TAR), {"compressed_digest": other}),
        (gzip.compress(TAR), {"uncompressed_digest": other}),
        (TAR, {"compressed_digest": other}),
    ):
        said = refused(lambda data=data, how=promised: import_layer(store, data, **how))  # type: ignore[misc]
        assert said
        assert nothing_left(store)
    assert unlocked(store)


@pytest.mark.parametrize(
    ("driver", "kind", "size"),
    [
        ("overlay", "ext4", 16 << 20),
        ("vfs", "ext4", 16 << 20),
        pytest.param("btrfs", "btrfs", 128 << 20, marks=needs("btrfs")),
    ],
)
@needs("ext4")
def test_a_disk_that_fills_up_in_the_middle_is_told_and_given_back(
    driver: str, kind: str, size: int, tmp_path: Path
) -> None:
    with loop_mounted(kind, str(tmp_path), size=size) as top:
        store = opened(GraphRun(f"{top}/graph", f"{tmp_path}/run"), driver)
        import_layer(store, TAR, layer_id="before")
        block = random.Random(1).randbytes(1 << 20)
        large = tar_of(*((f"f{n}", block) for n in range((size >> 20) + 8)))

        for _ in range(2):
            said = refused(lambda: import_layer(store, large, names=["large"]))
            assert "no space left on device" in said
            assert '"f' in said and "at byte" in said
            assert ("before",) == store.snapshot().layers.ids
            assert ["before"] == store.driver.list_layers()
            assert [] == os.listdir(f"{store.graph_root}/tmp")
            assert unlocked(store)
        import_layer(store, tar_of(("f", block)), layer_id="after")
        assert {"before", "after"} == set(store.snapshot().layers.ids)
        store.shutdown(force=True)


_MANY = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from holdfs.core.config import load_options
from holdfs.core.store import Store
from tests.native.tarbytes import END, header
driver, graph, run, count = sys.argv[1:]
reader, writer = os.pipe()
if os.fork() == 0:
    os.close(reader)
    with open(writer, "wb", 1 << 20) as out:
        for number in range(int(count)):
            out.write(header("d%02d/%07d" % (number % 100, number)))
        out.write(END)
    os._exit(0)
os.close(writer)
store = Store.open(load_options(graph_root=graph, run_root=run, driver=driver))
layer = store.import_layer(reader, names=["many"])
assert layer.diff_size == 512 * int(count) + 1024
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [30_000, pytest.param(1_000_000, marks=pytest.mark.whole)])
def test_memory_stays_below_96_mib_with_a_million_entries(
    count: int, driver_roots: DriverRoots
) -> None:
    driver, roots = driver_roots

    done = subprocess.run(
        [sys.executable, "-c", _MANY, driver, *roots, str(count)],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
    assert int(done.stdout) < 96 << 10
    opened(roots, driver).shutdown(force=True)


def test_a_size_that_lies_is_found_at_the_member(store: Store) -> None:
    said = refused(
        lambda: import_layer(store, header("liar", size=512) + b"x" * 1024 + member("next") + END)
    )
    assert "at byte" in said
    assert nothing_left(store)


def test_an_error_of_the_engine_says_what_and_where(store: Store) -> None:
    with pytest.raises((UntarError, errors.DamagedStream)) as caught:
        import_layer(store, member("fine") + member("a/link", type="1", link="b") + END)
    assert 'no such file or directory: "a/link" (at byte 512 of the tar)' in failure.words(
        caught.value
    )
