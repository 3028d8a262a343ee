"""
Real trees as layers: a part of this machine's /usr in every run; all of /usr/share, and a Debian
made by debootstrap, in `make faults`.
"""

import hashlib
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from holdfs.native.untar import Compression
from tests.conftest import DriverRoots
from tests.differential.live import Live
from tests.mount.daemons import serving
from tests.needs import needs
from tests.peers import Peer

pytestmark = needs("root", "overlay", "containers-storage")

_TIMEOUT_S: Final = 600
#: Some thousand files, links and directories, as far as they are there.
_PARTS: Final = ("usr/share/perl", "usr/share/zoneinfo", "usr/include/linux", "etc")
_COMPRESSORS: Final = {"": "cat", ".gz": "gzip -1", ".zst": "zstd -q -1"}


class Real(NamedTuple):
    """A tar of a real tree, its digest, and the same one compressed, by suffix."""

    digest: str
    paths: dict[str, str]


def _sh(script: str) -> None:
    subprocess.run(["bash", "-o", "pipefail", "-ec", script], check=True, timeout=_TIMEOUT_S)


def _real(top: str, source: str, names: str) -> Real:
    paths = {suffix: f"{top}/layer.tar{suffix}" for suffix in _COMPRESSORS}
    wanted = "--xattrs --sort=name --numeric-owner --format=posix"
    _sh(f"tar -C {source} {wanted} -cf {paths['']} {names}")
    for suffix in (".gz", ".zst"):
        _sh(f"{_COMPRESSORS[suffix]} < {paths['']} > {paths[suffix]}")
    with open(paths[""], "rb") as file:
        return Real(hashlib.file_digest(file, "sha256").hexdigest(), paths)


@pytest.fixture(
    scope="module",
    params=[
        "part",
        pytest.param("share", marks=pytest.mark.whole),
        pytest.param("debian", marks=[pytest.mark.whole, needs("debootstrap")]),
    ],
)
def real(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Real]:
    top = str(tmp_path_factory.mktemp("real"))
    if request.param == "part":
        there = [name for name in _PARTS if os.path.isdir(f"/{name}")]
        made = _real(top, "/", " ".join(there))
    elif request.param == "share":
        made = _real(top, "/usr/share", ".")
    else:
        _sh(f"debootstrap --variant=minbase bookworm {top}/root >{top}/log 2>&1")
        made = _real(top, f"{top}/root", ".")
    yield made
    _sh(f"rm -rf --one-file-system {top}")


@pytest.fixture
def live(driver_roots: DriverRoots) -> Iterator[Live]:
    live = Live(driver_roots.roots, driver_roots.driver)
    yield live
    live.store.shutdown(force=True)


def written(peer: Peer, *words: str) -> str:
    """Return the SHA-256 of what a command writes."""
    with subprocess.Popen(peer.command(*words), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        digest = hashlib.file_digest(process.stdout, "sha256").hexdigest()  # type: ignore[arg-type]
        assert 0 == process.wait(_TIMEOUT_S)
    return digest


@pytest.mark.timeout(900)
@pytest.mark.parametrize("suffix", ["", ".zst"])
def test_a_real_layer_comes_out_of_both_as_it_went_in(live: Live, real: Real, suffix: str) -> None:
    importer = live.go if suffix == ".zst" else live.holdctl
    importer.run("import-layer", "-i", "layer", "-f", real.paths[suffix], timeout_s=_TIMEOUT_S)
    assert real.digest == written(live.go, "diff", "-u", "layer")
    assert real.digest == written(live.holdctl, "diff", "-u", "layer")
    assert f"sha256:{real.digest}" == live.records("layers")["layer"]["diff-digest"]


@pytest.mark.timeout(900)
def test_a_real_tree_put_in_by_hand_is_one_tar_that_comes_out_of_both(
    live: Live, real: Real, tmp_path: Path
) -> None:
    live.holdctl.run("create-layer", "-i", "layer")
    top = live.holdctl.out("mount", "layer")
    _sh(f"tar -C {top} --xattrs --xattrs-include='*' -xpf {real.paths['']}")
    live.holdctl.run("unmount", "layer")

    generated = written(live.go, "diff", "-u", "layer")

    assert generated == written(live.holdctl, "diff", "-u", "layer")
    # What is sealed is this tar too, and a layer made of it holds the same tree.
    sealed = live.store.seal("layer")
    assert f"sha256:{generated}" == sealed.diff_digest
    with (tmp_path / "diff.tar").open("w+b") as file:
        live.store.write_diff("layer", file.fileno(), compression=Compression.NONE)
        file.seek(0)
        live.store.import_layer(file.fileno(), layer_id="again")
    (tmp_path / "diff.tar").unlink()
    assert [] == [each for each in live.store.changes("again", from_="layer") if each.kind != "C"]
    assert live.store.diff_size("again") == live.store.diff_size("layer")


@needs("fuse")
@pytest.mark.timeout(900)
def test_reads_of_a_real_layer_through_the_mount_at_random_offsets_are_of_the_stream(
    live: Live, real: Real, tmp_path: Path
) -> None:
    live.holdctl.run("import-layer", "-i", "layer", "-f", real.paths[".gz"], timeout_s=_TIMEOUT_S)
    root = tmp_path / "mnt"
    root.mkdir()
    chance = random.Random(3)
    with (
        serving(*live.roots, root, driver=live.driver),
        open(real.paths[""], "rb", buffering=0) as stream,
        open(root / "layers/layer/diff.tar", "rb", buffering=0) as shown,
    ):
        size = os.stat(real.paths[""]).st_size
        assert size == os.fstat(shown.fileno()).st_size
        for _ in range(400):
            off, count = chance.randrange(size + 5000), chance.choice((1, 511, 4096, 200_000))
            expected = os.pread(stream.fileno(), count, off)
            assert expected == os.pread(shown.fileno(), count, off)
        assert real.digest == hashlib.file_digest(shown, "sha256").hexdigest()
