"""
The table of operations, row by row: typed into a shell, and seen by the Go tools.

Each test is one way to do what a row says, in a mount of a store that holds what the row needs, and
looks at the store with containers-storage (and podman, where that shows it).
"""

import gzip
import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import GraphRun
from tests.mount.daemons import PATIENCE_S, Daemon, eventually
from tests.mount.difftars import SMALL
from tests.peers import GoStore, Podman, Skopeo

pytestmark = pytest.mark.needs("root", "fuse", "overlay", "containers-storage")

ID = "ab" * 32


class Typed:
    """A shell in a mount, and the Go tools on the store that it shows."""

    def __init__(self, daemon: Daemon, roots: GraphRun) -> None:
        self.root = daemon.root
        self.outside = daemon.root.parent
        self.go = GoStore(*roots)
        self.podman = Podman(*roots)
        self.roots = roots

    def __call__(self, script: str) -> str:
        done = self.tried(script)
        assert (0, "") == (done.returncode, done.stderr)
        return done.stdout

    def tried(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", f"set -e; {script}"],
            cwd=self.root, capture_output=True, text=True, check=False,
            timeout=PATIENCE_S, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def refused(self, script: str, words: str) -> None:
        done = self.tried(script)
        assert 0 != done.returncode
        assert words in done.stderr

    def found(self, kinds: str, ref: str) -> dict[str, Any]:
        """Return what containers-storage lists under this name or ID."""
        for record in self.go.json(kinds) or ():
            if ref == record["id"] or ref in (record.get("names") or ()):
                return dict(record)
        raise AssertionError(f"containers-storage knows none of the {kinds} as {ref}")

    def names(self, kinds: str) -> list[list[str]]:
        """Return the names that containers-storage lists, object by object."""
        return sorted(record.get("names") or [] for record in self.go.json(kinds) or ())

    def id(self, path: str) -> str:
        return (self.root / path / "id").read_text().strip()

    def mounted(self, ref: str) -> Path:
        """Return where containers-storage mounts a layer or container."""
        return Path(self.go.out("mount", ref))


@pytest.fixture
def typed(daemon: Daemon, graph_run: GraphRun) -> Typed:
    """Give a shell in the mount of an empty store."""
    return Typed(daemon, graph_run)


@pytest.fixture
def stocked(typed: Typed) -> Typed:
    """Give the same with layers base ← app and an image shop on app."""
    typed("mkdir layers/base layers/base/children/app layers/app/images/shop")
    return typed


# -- layers --------------------------------------------------------------------------------------


def test_mkdir_makes_a_layer(typed: Typed) -> None:
    typed("mkdir layers/base")

    layer = typed.found("layers", "base")
    assert typed.id("layers/base") == layer["id"]
    assert not layer.get("parent")


def test_mkdir_of_an_id_makes_a_layer_of_that_id(typed: Typed) -> None:
    typed(f"mkdir layers/{ID}")

    assert not typed.found("layers", ID).get("names")


@pytest.mark.parametrize(
    "script",
    [
        "mkdir layers/base/children/app",
        "mkdir layers/app && ln -s ../base layers/app/parent",
        'mkdir layers/app && ln -s "$PWD/layers/base" layers/app/parent',
        "mkdir layers/app && ln -s ../by-name/base layers/app/parent",
    ],
)
def test_a_layer_on_top_of_another(typed: Typed, script: str) -> None:
    typed("mkdir layers/base")
    typed(script)

    assert typed.id("layers/base") == typed.found("layers", "app")["parent"]


def test_cp_fills_a_layer_through_its_mount(typed: Typed) -> None:
    (typed.outside / "stuff" / "sub").mkdir(parents=True)
    (typed.outside / "stuff" / "sub" / "file").write_text("text")
    typed("mkdir layers/app && cp -a ../stuff layers/app/rootfs/")

    layer_id = typed.found("layers", "app")["id"]
    assert "text" == (typed.mounted(layer_id) / "stuff" / "sub" / "file").read_text()
    typed.go.run("unmount", layer_id)


@pytest.mark.parametrize(
    "script",
    [
        "zcat ../l.tgz > layers/app/diff.tar",
        "cp ../l.tgz layers/app/diff.tar",
        "zcat ../l.tgz | zstd -q > layers/app/diff.tar",
        "zcat ../l.tgz | xz > layers/app/diff.tar",
        "zcat ../l.tgz | bzip2 > layers/app/diff.tar",
    ],
)
def test_a_tar_is_applied(typed: Typed, script: str) -> None:
    (typed.outside / "l.tgz").write_bytes(gzip.compress(SMALL))
    typed(f"mkdir layers/app && {script}")

    layer = typed.found("layers", "app")
    assert f"sha256:{hashlib.sha256(SMALL).hexdigest()}" == layer["diff-digest"]
    assert len(SMALL) == layer["diff-size"]
    assert SMALL == typed.go.run_bytes("diff", "--uncompressed", "app").stdout
    assert "hello\n" == (typed.mounted(layer["id"]) / "etc" / "motd").read_text()
    typed.go.run("unmount", layer["id"])


@pytest.mark.parametrize(
    "script", ["cp layers/app/diff.tar ../out.tar", "cat layers/app/diff.tar > ../out.tar"]
)
def test_the_diff_is_read_bit_by_bit(typed: Typed, script: str) -> None:
    typed.go.run("create-layer", "-n", "app")
    typed.go.run("applydiff", "-f", "/dev/stdin", "app", input=SMALL)
    eventually(lambda: (typed.root / "layers" / "app" / "diff-size").exists())
    typed(script)

    assert SMALL == (typed.outside / "out.tar").read_bytes()
    assert typed("tar tf layers/app/diff.tar").split() == ["etc/", "etc/motd", "etc/empty"]


# -- images --------------------------------------------------------------------------------------


@pytest.mark.needs("podman")
@pytest.mark.parametrize(
    "script",
    [
        "mkdir layers/app/images/shop",
        "mkdir images/shop && ln -s ../../layers/app images/shop/top-layer",
    ],
)
def test_an_image_on_a_layer(typed: Typed, script: str) -> None:
    typed("mkdir layers/app && echo hello > layers/app/rootfs/motd")
    typed(script)

    image = typed.found("images", "shop")
    assert typed.id("layers/app") == image["layer"]
    (shown,) = typed.podman.json("images")
    assert image["id"] == shown["Id"]


@pytest.mark.needs("skopeo")
def test_cp_sets_big_data_with_digest_and_size(stocked: Typed) -> None:
    manifest = b'{"schemaVersion":2,"config":{"digest":"sha256:0","size":1},"layers":[]}'
    (stocked.outside / "manifest.json").write_bytes(manifest)
    stocked("cp ../manifest.json images/shop/big-data/manifest")

    image = stocked.found("images", "shop")
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    assert digest == image["big-data-digests"]["manifest"] == image["digest"]
    assert len(manifest) == image["big-data-sizes"]["manifest"]
    assert manifest == stocked.go.run_bytes("get-image-data", "shop", "manifest").stdout
    skopeo = Skopeo(*stocked.roots)
    assert manifest.decode() == skopeo.out("inspect", "--raw", skopeo.ref(f"@{image['id']}"))


@pytest.mark.needs("podman")
def test_ln_adds_a_name(stocked: Typed) -> None:
    image_id = stocked.id("images/shop")
    stocked(
        "mkdir -p images/by-name/quay.io/me &&"
        f"ln -s ../../../{image_id} images/by-name/quay.io/me/shop:1"
    )

    assert ["shop", "quay.io/me/shop:1"] == stocked.found("images", image_id)["names"]
    assert image_id == stocked.podman.out("image", "inspect", "-f", "{{.Id}}", "quay.io/me/shop:1")


def _moved_by_ln(typed: Typed) -> None:
    typed("mkdir images/other && ln -sfn ../other images/by-name/shop")
    assert [["other", "shop"]] == [n for n in typed.names("images") if n]


def _renamed(typed: Typed) -> None:
    typed("mv -T images/by-name/shop images/by-name/store")
    assert [["store"]] == typed.names("images")


def _taken_by_mv(typed: Typed) -> None:
    typed("mkdir images/other && mv -T images/by-name/shop images/by-name/other")
    assert [[], ["other"]] == typed.names("images")
    assert typed.id("layers/app") == typed.found("images", "other")["layer"]


def _dropped(typed: Typed) -> None:
    typed("rm images/by-name/shop")
    assert [[]] == typed.names("images")


def _ln_without_n(typed: Typed) -> None:
    typed("mkdir images/other")
    typed.refused("ln -sf ../other images/by-name/shop", "Operation not permitted")
    assert [["other"], ["shop"]] == typed.names("images")


def _mv_without_t(typed: Typed) -> None:
    typed("mkdir images/other")
    typed.refused("mv images/by-name/shop images/by-name/other", "Operation not permitted")
    assert [["other"], ["shop"]] == typed.names("images")


@pytest.mark.parametrize(
    "act", [_moved_by_ln, _renamed, _taken_by_mv, _dropped, _ln_without_n, _mv_without_t]
)
def test_a_name_is_moved_renamed_or_dropped(stocked: Typed, act: Callable[[Typed], None]) -> None:
    act(stocked)


# -- containers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        "mkdir images/shop/containers/web",
        "mkdir containers/web && ln -s ../../images/shop containers/web/image",
    ],
)
def test_a_container_of_an_image(stocked: Typed, script: str) -> None:
    stocked(script)

    container = stocked.found("containers", "web")
    assert stocked.id("images/shop") == container["image"]
    layer = stocked.found("layers", container["layer"])
    assert stocked.id("layers/app") == layer["parent"]
    assert stocked.mounted("web").is_dir()
    stocked.go.run("unmount", "web")


def test_echo_sets_metadata_and_adds_a_name(stocked: Typed) -> None:
    stocked("mkdir images/shop/containers/web && cd containers/web")
    stocked("echo some text > containers/web/metadata && echo other >> containers/web/names")

    assert "web: some text" == stocked.go.out("metadata", "web")
    assert ["web", "other"] == stocked.found("containers", "web")["names"]


# -- deleting, watching --------------------------------------------------------------------------


def test_rmdir_deletes_with_the_safety_checks(stocked: Typed) -> None:
    stocked("mkdir images/shop/containers/web")
    stocked.refused("rmdir layers/base", "Directory not empty")
    stocked.refused("rmdir layers/app", "Directory not empty")
    stocked.refused("rmdir images/shop", "Device or resource busy")
    stocked.go.run("mount", "web")
    stocked.refused("rmdir containers/web", "Device or resource busy")
    stocked.go.run("unmount", "web")
    assert 3 == len(stocked.go.json("layers"))

    stocked("rmdir containers/web")
    assert not stocked.go.json("containers")
    assert 2 == len(stocked.go.json("layers"))
    stocked.refused("rmdir layers/app", "Device or resource busy")

    # As for every tool: what the image alone stood on goes with it.
    stocked("rmdir images/shop")
    assert not stocked.go.json("images")
    assert not stocked.go.json("layers")

    stocked("mkdir layers/base layers/base/children/app && rmdir layers/app layers/base")
    assert not stocked.go.json("layers")


def test_tail_f_watches(stocked: Typed) -> None:
    with subprocess.Popen(
        ["tail", "-f", "-n", "0", "-s", "0.05", "events"], cwd=stocked.root, stdout=subprocess.PIPE
    ) as tail:
        try:
            assert tail.stdout is not None
            # From here on it is at the end, and waits.
            eventually(lambda: "events" in _opened_by(tail.pid))
            stocked.go.run("set-metadata", "-m", "text", stocked.id("images/shop"))
            assert b'"kind":"image","action":"change"' in tail.stdout.readline()
        finally:
            tail.kill()


def _opened_by(pid: int) -> set[str]:
    paths = (f"/proc/{pid}/fd/{fd}" for fd in os.listdir(f"/proc/{pid}/fd"))
    return {os.path.basename(os.readlink(path)) for path in paths}
