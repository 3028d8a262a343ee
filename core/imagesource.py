"""
Where an image comes from: an OCI layout or what `docker save` writes, as a directory or a tar.

    oci-layout  index.json  blobs/sha256/<hex>          manifest, config, layers: all by digest
    manifest.json  <config>.json  <layer>.tar           one entry an image, layers uncompressed
"""

import errno
import lzma
import os
import platform
import tarfile
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final

import msgspec

from holdfs.core import oci
from holdfs.core.errors import InvalidValue
from holdfs.core.formats.digests import check_digest, is_digest_of
from holdfs.core.formats.typed import UNDECODABLE

_CHUNK: Final = 1 << 20
#: What reading a tar raises that is cut short or damaged, compressed or not.
_BROKEN_TAR: Final = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)
#: What comes of taking for granted that a document is JSON of the right shape.
_BROKEN_DOCUMENT: Final = (
    *UNDECODABLE,
    KeyError,
    TypeError,
    IndexError,
    AttributeError,
    ValueError,
)
_REF_NAME: Final = "org.opencontainers.image.ref.name"
_FULL_NAME: Final = "io.containerd.image.name"


class NoImage(InvalidValue):
    """What is to be imported holds no image that we can read."""

    def __init__(self, message: str) -> None:
        super().__init__(message, words=message)


@dataclass(frozen=True, slots=True)
class LayerSource:
    """
    One layer.

    Attributes:
        name: Of its file in the source.
        digest: Of that file; "" if the source does not say.
        diff_digest: Of the tar in it.
    """

    name: str
    digest: str
    diff_digest: str


@dataclass(frozen=True, slots=True)
class ImageSource:
    """
    An image that was found: its documents, its layers base first, and its names.

    Attributes:
        manifest: b"" where it has none: what `docker save` writes.
    """

    manifest: bytes
    config: bytes
    layers: tuple[LayerSource, ...]
    names: tuple[str, ...]


class Files:
    """The files of a directory or of a tar, by name; closed at the end of `with`."""

    def __init__(self, path: str, file: IO[bytes] | None = None) -> None:
        """
        Args:
            file: A tar that is open for reading, and can be sought in; None for what is at `path`.
        """
        self._path = path
        self._archive: tarfile.TarFile | None = None
        if not path:
            # tarfile would take it for no name at all.
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        if file is not None or not os.path.isdir(path):
            try:
                self._archive = tarfile.open(  # noqa: SIM115  # closed with this
                    None if file else path, "r:*", file
                )
            except _BROKEN_TAR as error:
                raise NoImage(f"{path} is neither a directory nor a tar") from error

    def __enter__(self) -> "Files":
        return self

    def __exit__(self, *_: object) -> None:
        if self._archive is not None:
            self._archive.close()

    def has(self, name: str) -> bool:
        """Whether there is such a file; raises NoImage for a tar that is damaged."""
        if self._archive is None:
            return os.path.isfile(self._inside(name))
        with self._whole():
            return self._member(name) is not None

    def open(self, name: str) -> IO[bytes]:
        """Return the file, open for reading; raises NoImage if it is not there."""
        if self._archive is None:
            try:
                return open(self._inside(name), "rb")
            except FileNotFoundError as error:
                raise NoImage(f"{self._path} has no {name}") from error
        with self._whole():
            member = self._member(name)
            found = None if member is None else self._archive.extractfile(member)
        if found is None:
            raise NoImage(f"{self._path} has no {name}")
        return found

    def read(self, name: str) -> bytes:
        """Return the content of a small file; raises NoImage if it can't be had."""
        with self.open(name) as file, self._whole():
            return file.read()

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Raise NoImage where the tar turns out to be damaged."""
        try:
            yield
        except _BROKEN_TAR as error:
            raise NoImage(f"{self._path} is damaged: {error}") from error
        except OSError as error:
            if error.errno is not None:
                raise
            # What gzip and bz2 say of content.
            raise NoImage(f"{self._path} is damaged: {error}") from error

    @contextmanager
    def stream(self, name: str) -> Iterator[int]:
        """Yield a descriptor from which the file can be read to its end."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        thread = threading.Thread(target=self._pump, args=(name, writer), name="import")
        thread.start()
        try:
            yield reader
        finally:
            os.close(reader)
            thread.join()

    def _pump(self, name: str, writer: int) -> None:
        try:
            with self.open(name) as file:
                while chunk := file.read(_CHUNK):
                    view = memoryview(chunk)
                    while view:
                        view = view[os.write(writer, view) :]
        except (OSError, NoImage, *_BROKEN_TAR):
            pass  # cut short, which the digest shows; or nobody reads any more
        finally:
            os.close(writer)

    def _inside(self, name: str) -> str:
        if name.startswith("/") or ".." in name.split("/"):
            raise NoImage(f"{self._path} names a file outside itself: {name}")
        return os.path.join(self._path, name)

    def _member(self, name: str) -> tarfile.TarInfo | None:
        assert self._archive is not None
        for spelled in (name, f"./{name}"):
            try:
                return self._archive.getmember(spelled)
            except KeyError:
                continue
        return None


def find(files: Files) -> ImageSource:
    """
    Return the image in a source; of several the first, of several platforms this machine's.

    Raises:
        NoImage: There is none, or it is not whole.
    """
    try:
        if files.has("index.json"):
            return _oci(files)
        if files.has("manifest.json"):
            return _docker(files)
    except _BROKEN_DOCUMENT as error:
        raise NoImage(f"a document of the image is damaged: {error!r}") from error
    raise NoImage("there is neither an index.json nor a manifest.json, so no image")


def _oci(files: Files) -> ImageSource:
    entry = _choose(_json(files.read("index.json"))["manifests"])
    notes = entry.get("annotations") or {}
    data = _blob(files, entry["digest"])
    while "manifests" in (document := _json(data)):
        data = _blob(files, _choose(document["manifests"])["digest"])
    config = _blob(files, document["config"]["digest"])
    layers = _layers(
        config,
        [(_blob_name(layer["digest"]), layer["digest"]) for layer in document["layers"]],
    )
    named = notes.get(_FULL_NAME) or notes.get(_REF_NAME) or ""
    return ImageSource(data, config, layers, _names([named] if named else ()))


def _choose(entries: Sequence[Any]) -> Any:
    if not entries:
        raise NoImage("the index lists no manifest")
    machine = oci.architecture(platform.machine())
    for entry in entries:
        wanted = entry.get("platform") or {}
        if wanted.get("architecture", machine) == machine and wanted.get("os", "linux") == "linux":
            return entry
    return entries[0]


def _docker(files: Files) -> ImageSource:
    entry = _json(files.read("manifest.json"))[0]
    config = files.read(entry["Config"])
    layers = _layers(config, [(name, "") for name in entry["Layers"]])
    return ImageSource(b"", config, layers, _names(entry.get("RepoTags") or ()))


def _names(found: Sequence[Any]) -> tuple[str, ...]:
    for name in found:
        if not isinstance(name, str):
            raise TypeError(f"{name!r} is no name")
    return tuple(found)


def _layers(config: bytes, files: Sequence[tuple[str, str]]) -> tuple[LayerSource, ...]:
    diff_digests = _json(config)["rootfs"]["diff_ids"] or []
    if len(diff_digests) != len(files):
        raise NoImage(
            f"the manifest has {len(files)} layers, the config {len(diff_digests)}: no whole image"
        )
    return tuple(
        LayerSource(name, file_digest, check_digest(diff_digest))
        for (name, file_digest), diff_digest in zip(files, diff_digests, strict=True)
    )


def _blob_name(of: str) -> str:
    algorithm, _, digits = check_digest(of).partition(":")
    return f"blobs/{algorithm}/{digits}"


def _blob(files: Files, of: str) -> bytes:
    data = files.read(_blob_name(of))
    # Of each algorithm: an index that can name itself would be read for ever.
    if not is_digest_of(of, data):
        raise NoImage(f"{_blob_name(of)} is not what its name says")
    return data


def _json(data: bytes) -> Any:
    return msgspec.json.decode(data)
