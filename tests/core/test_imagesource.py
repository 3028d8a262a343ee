"""Documents and archives of images that nobody would write in good faith: refused, in our words."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfs.core.imagesource import Files, NoImage, find

_CONFIG = b'{"rootfs":{"diff_ids":[]}}'


def _hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _oci(top: Path, config: bytes = _CONFIG, **index: Any) -> Path:
    """Write an OCI layout of an image without layers; `index` goes into its only entry."""
    manifest = json.dumps({"config": {"digest": f"sha256:{_hex(config)}"}, "layers": []}).encode()
    blobs = top / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for data in (config, manifest):
        (blobs / _hex(data)).write_bytes(data)
    entry = {"digest": f"sha256:{_hex(manifest)}", **index}
    (top / "index.json").write_text(json.dumps({"manifests": [entry]}))
    return top


def _docker(top: Path, **entry: Any) -> Path:
    (top / "c.json").write_bytes(_CONFIG)
    document = [{"Config": "c.json", "RepoTags": ["localhost/x:1"], "Layers": [], **entry}]
    (top / "manifest.json").write_text(json.dumps(document))
    return top


def test_what_the_cases_are_made_of_is_an_image(tmp_path: Path) -> None:
    with Files(str(_oci(tmp_path / "oci"))) as files:
        assert _CONFIG == find(files).config
    with Files(str(_docker(tmp_path))) as files:
        assert ("localhost/x:1",) == find(files).names


@pytest.mark.parametrize(
    "entry",
    [
        {"RepoTags": [7]},
        {"RepoTags": [["x"]]},
        {"RepoTags": 7},
        {"Config": "\0"},
        {"Config": 7},
        {"Config": "../c.json"},
        {"Layers": [None]},
        {"Layers": "x"},
    ],
)
def test_an_entry_of_another_shape_is_no_image(tmp_path: Path, entry: dict[str, Any]) -> None:
    with Files(str(_docker(tmp_path, **entry))) as files, pytest.raises(NoImage):
        find(files)


@pytest.mark.parametrize(
    "entry",
    [
        {"annotations": {"org.opencontainers.image.ref.name": 7}},
        {"annotations": ["x"]},
        {"digest": 7},
        {"digest": f"sha512:{'a' * 128}"},
        {"platform": "linux"},
    ],
)
def test_an_index_of_another_shape_is_no_image(tmp_path: Path, entry: dict[str, Any]) -> None:
    with Files(str(_oci(tmp_path, **entry))) as files, pytest.raises(NoImage):
        find(files)


@pytest.mark.parametrize("data", [b"\xff", b'{"a":"\xc9"}', b"[" * 100_000, b"null", b"7"])
@pytest.mark.parametrize("name", ["index.json", "manifest.json"])
def test_a_document_that_can_not_be_read_is_no_image(
    tmp_path: Path, name: str, data: bytes
) -> None:
    (tmp_path / name).write_bytes(data)

    with Files(str(tmp_path)) as files, pytest.raises(NoImage):
        find(files)


def test_an_index_that_names_itself_is_refused_and_not_read_for_ever(tmp_path: Path) -> None:
    itself = f"sha512:{'b' * 128}"
    document = json.dumps({"manifests": [{"digest": itself}]})
    (tmp_path / "index.json").write_text(document)
    (tmp_path / "blobs" / "sha512").mkdir(parents=True)
    (tmp_path / "blobs" / "sha512" / ("b" * 128)).write_text(document)

    with Files(str(tmp_path)) as files, pytest.raises(NoImage, match="is not what its name says"):
        find(files)


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_an_archive_cut_off_anywhere_is_no_image(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "in").mkdir()
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        archive.add(_docker(tmp_path / "in"), ".")
    data = compress(whole.getvalue().rstrip(b"\0"))

    for end in range(0, len(data) - 16, max(1, len(data) // 40)):
        with pytest.raises(NoImage), Files("x.tar", io.BytesIO(data[:end])) as files:
            find(files)
