"""Tars for the tests of diff.tar, and what the store makes of them."""

import io
import os
import random
import subprocess
import tarfile
from pathlib import Path

from tests.mount.shop import Shop


def tar_of(*files: tuple[str, bytes], seed: int = 0) -> bytes:
    """Return a tar of a directory and of these files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        directory = tarfile.TarInfo("etc")
        directory.type, directory.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(directory)
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(data), 1_600_000_000 + seed, 0o644
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


SMALL = tar_of(("etc/motd", b"hello\n"), ("etc/empty", b""))
LARGE = tar_of(*((f"etc/{i}", random.Random(i).randbytes(i * 977)) for i in range(90)))


def go_diff(shop: Shop, layer_id: str) -> bytes:
    """Return what `containers-storage diff` gives of a layer."""
    return shop.go.run_bytes("diff", "--uncompressed", layer_id).stdout


def content(shop: Shop, layer: str) -> dict[str, bytes]:
    """Return the files of a layer that the Go tool has in its diff."""
    with tarfile.open(fileobj=io.BytesIO(go_diff(shop, layer))) as tar:
        found = {m.name: tar.extractfile(m) for m in tar if m.isreg()}
        return {name: file.read() for name, file in found.items() if file is not None}


def fd_of(data: bytes) -> int:
    fd = os.memfd_create("tar")
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def filtered(data: bytes, *words: str) -> bytes:
    return subprocess.run(words, input=data, stdout=subprocess.PIPE, check=True).stdout


def diff_dir(shop: Shop) -> Path:
    return Path(shop.scene.store.driver.diff_path(shop.scene.loose))
