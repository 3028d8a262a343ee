"""
Make the files in this directory anew: what Debian 12's tools write into stores of their own.

    python3 tests/data/make.py          as root; needs containers-storage, buildah, skopeo, podman

The files are kept in git because they are what the Go tools really wrote. Made anew they differ in
IDs, times and tokens only.

    mapped/     vfs, by containers-storage: odd names, ID maps, data items with odd keys
    usual/      overlay, by buildah, skopeo and podman: an image built, copied and run
    big-data.json   file names by key, as found in the image's directory
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from tests.mounts import unmount_below  # noqa: E402  (found through the line above)
from tests.peers import Buildah, GoStore, Podman, Skopeo  # noqa: E402

ODD_NAMES = [
    "plain",
    "a<b>&c",
    "line\u2028paragraph\u2029end",
    "Größe-漢字-🙂",
    'quote"back\\slash',
    "tab\tnewline\ncontrol\x01\x7f",
    " blank ",
    "docker.io/library/busybox:1.36@sha256",
    "",
]

KEYS = [
    "manifest",
    "signatures",
    "a.b",
    "..x",
    "A",
    "é",
    "aé",
    "éa",
    "key-",
    "x-y",
    "x_y",
    "manifest-foo",
    "sha256:1ec75e7b03b7b230c31191f6a010fe83e0ab6a578851890ad6d8cd03d116ab2c",
    "???",
    "a b",
    "UPPER",
    "0",
    "with\nnewline",
    "漢",
    "漢字",
    ".hidden",
    "=",
    "a=",
    "=a",
]


def make_mapped(top: str) -> None:
    """Records by containers-storage: everything that create-* can put in them."""
    go = GoStore(f"{top}/graph", f"{top}/run", "vfs")
    names = [word for name in ODD_NAMES for word in ("-n", name)]
    base = go.run("create-layer", *names).stdout.split("\n")[0]
    Path(top, "content").mkdir()
    Path(top, "content", "file").write_text("content\n")
    os.chown(f"{top}/content/file", 1000, 2000)
    for compression in ("none", "gzip", "zstd", "xz", "bzip2"):
        layer = go.out("create-layer", "-n", compression, base).split("\n")[0]
        flags = [] if compression == "none" else [f"--{compression}"]
        tar = subprocess.run(
            ["tar", "-c", *flags, "-C", f"{top}/content", "."], capture_output=True, check=True
        )
        go.run("applydiff", layer, input=tar.stdout)
    image = go.run("create-image", *names, "-m", 'meta<>&"data"', layer).stdout.split("\n")[0]
    for key in KEYS:
        go.run("set-image-data", image, key, input=f"data of {key!r}\n")
    go.run("set-names", "-n", "first", "-n", "second", "-n", "plain", image)
    maps = ["--uidmap", "0:100000:65536", "--gidmap", "0:200000:1000:1000:300000:10"]
    go.run("create-container", *names, "--volatile", "-m", "{}", image)
    mapped = go.run("create-container", "-n", "mapped", *maps, image).stdout.split("\n")[0]
    go.run("set-container-data", mapped, "config.json", input="{}")
    go.run("create-container", "-i", "no image", "")
    go.run("create-image", "-i", "no layer", "-d", "sha256:" + "0" * 64)
    go.run("set-layer-data", base, "some-key", input="x")
    go.run("mount", "mapped")

    found = {}
    for name in os.listdir(f"{top}/graph/vfs-images/{image}"):
        data = Path(top, "graph/vfs-images", image, name).read_text()
        found[name] = data
    file_names = {
        key: name for key in KEYS for name, d in found.items() if d == f"data of {key!r}\n"
    }
    HERE.joinpath("big-data.json").write_text(json.dumps(file_names, indent=1) + "\n")
    keep(top, "vfs", HERE / "mapped")


def make_usual(top: str) -> None:
    """Records by the tools that people use."""
    roots = (f"{top}/graph", f"{top}/run")
    buildah, podman, skopeo = Buildah(*roots), Podman(*roots), Skopeo(*roots)
    working = buildah.out("from", "scratch")
    buildah.run("copy", "--quiet", working, "/etc/os-release", "/etc/os-release")
    buildah.run("config", "--cmd", "/bin/true", working)
    buildah.run("commit", "--quiet", working, "localhost/base:latest")
    second = buildah.out("from", "localhost/base:latest")
    buildah.run("copy", "--quiet", second, "/etc/hostname", "/etc/name")
    buildah.run("commit", "--quiet", second, "localhost/top:v1")
    skopeo.run("copy", "--quiet", skopeo.ref("localhost/top:v1"), f"oci-archive:{top}/top.tar")
    skopeo.run("copy", "--quiet", f"oci-archive:{top}/top.tar", skopeo.ref("localhost/copy:v1"))
    podman.run("tag", "localhost/copy:v1", "localhost/tagged:v2")
    podman.run("create", "--name", "web", "localhost/top:v1", "true")
    podman.run("create", "--name", "brief", "--rm", "localhost/top:v1", "true")
    podman.run("mount", "web")
    keep(top, "overlay", HERE / "usual")


def keep(top: str, driver: str, to: Path) -> None:
    """Copy the small files that are the store's records."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir()
    for kind in ("layers", "images", "containers"):
        for name in (f"{kind}.json", f"{kind}.lock"):
            shutil.copyfile(f"{top}/graph/{driver}-{kind}/{name}", to / name)
    for name in ("mountpoints.json", "mountpoints.lock"):
        shutil.copyfile(f"{top}/run/{driver}-layers/{name}", to / name)


def main() -> None:
    for make in (make_mapped, make_usual):
        top = tempfile.mkdtemp(prefix="holdfs")
        try:
            make(top)
        finally:
            unmount_below(top)
            shutil.rmtree(top)


if __name__ == "__main__":
    main()
