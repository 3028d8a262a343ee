"""
Make a small real store with holdfs alone: two layers, an image that podman accepts, a container.

    make_demo_store.py GRAPHROOT RUNROOT

Each layer is imported from a tar, so podman and skopeo get the same bytes out of it again.
An image library wants more of an image than the store does: its id is the digest of its config,
which is kept under that digest, and its manifest is kept under two keys. All of it goes in with
the image's record, since podman lists no image at all while one is without a manifest.
"""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from typing import Any

from holdfs.core.config import load_options
from holdfs.core.store import Store

BUSYBOX = "/bin/busybox"  # Debian: busybox-static
NAME = "localhost/demo:latest"
CONTAINER = "web"
CREATED = "2026-01-01T00:00:00Z"

OS_RELEASE = 'PRETTY_NAME="holdfs demo"\nNAME="holdfs demo"\nID=holdfs-demo\nVERSION_ID=1\n'
MOTD = "Made without podman, and yet podman knows it.\n"


def main() -> None:
    graph_root, run_root = sys.argv[1:]
    store = Store.open(load_options(graph_root=graph_root, run_root=run_root))
    if store.snapshot().images.resolve(NAME):
        print(f"{NAME} is there already")
        return

    tars = [base_tar(), motd_tar()]
    top = ""
    for tar in tars:
        with tempfile.TemporaryFile() as file:
            file.write(tar)
            file.seek(0)
            top = store.import_layer(file.fileno(), parent=top).id

    config = config_of(tars)
    manifest = manifest_of(tars, config)
    image = store.create_image(
        layer=top,
        names=[NAME],
        image_id=sha256(config).removeprefix("sha256:"),
        digest=sha256(manifest),
        created=CREATED,
        metadata=json.dumps({"signatures-sizes": {sha256(manifest): []}}),
        big_data=[
            (sha256(config), config),
            (f"manifest-{sha256(manifest)}", manifest),
            ("manifest", manifest),
        ],
    )
    container = store.create_container(image=image.id, names=[CONTAINER])
    print(f"made {NAME} {image.id}")
    print(f"made {CONTAINER} {container.id}")


# -- what is in the image ----------------------------------------------------------------------


def base_tar() -> bytes:
    """Return a tar of a root directory in which busybox is every command."""
    with open(BUSYBOX, "rb") as f:
        busybox = f.read()
    listed = subprocess.run([BUSYBOX, "--list"], capture_output=True, check=True, timeout=20)
    commands = [name for name in listed.stdout.decode().split() if name != "busybox"]

    data, archive = new_tar()
    for directory, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("root", 0o700)):
        add(archive, directory, mode=mode, kind=tarfile.DIRTYPE)
    add(archive, "bin/busybox", busybox, mode=0o755)
    for command in commands:
        add(archive, f"bin/{command}", kind=tarfile.SYMTYPE, link="busybox")
    add(archive, "etc/os-release", OS_RELEASE.encode())
    archive.close()
    return data.getvalue()


def motd_tar() -> bytes:
    data, archive = new_tar()
    add(archive, "etc", mode=0o755, kind=tarfile.DIRTYPE)
    add(archive, "etc/motd", MOTD.encode())
    archive.close()
    return data.getvalue()


def new_tar() -> tuple[io.BytesIO, tarfile.TarFile]:
    data = io.BytesIO()
    return data, tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT)


def add(
    archive: tarfile.TarFile,
    name: str,
    content: bytes = b"",
    *,
    mode: int = 0o644,
    kind: bytes = tarfile.REGTYPE,
    link: str = "",
) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname, entry.size = kind, mode, link, len(content)
    archive.addfile(entry, io.BytesIO(content))


# -- what an image library wants ------------------------------------------------------------------


def config_of(tars: list[bytes]) -> bytes:
    return to_json(
        {
            "created": CREATED,
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [sha256(tar) for tar in tars]},
            "history": [
                {"created": CREATED, "created_by": "busybox"},
                {"created": CREATED, "created_by": "motd"},
            ],
        }
    )


def manifest_of(tars: list[bytes], config: bytes) -> bytes:
    return to_json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", tar) for tar in tars],
        }
    )


def descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data)}


def to_json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


if __name__ == "__main__":
    main()
