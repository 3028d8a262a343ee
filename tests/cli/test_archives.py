"""`import` and `export`, with the real tools at the other end."""

import gzip
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.holdctl import Holdctl
from tests.conftest import GraphRun
from tests.needs import needs
from tests.peers import DEMO_IMAGE, DEMO_MOTD, Podman, Skopeo, build_demo_image

pytestmark = needs("root", "overlay", "buildah", "busybox", "podman", "skopeo")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give a real image in all forms: its ID, and paths by the name of the form."""
    top = tmp_path_factory.mktemp("demo")
    image_id = build_demo_image(f"{top}/graph", f"{top}/run", "vfs")
    skopeo = Skopeo(f"{top}/graph", f"{top}/run", "vfs")
    forms = {"oci": f"{top}/oci", "oci-archive": f"{top}/o.tar", "docker-archive": f"{top}/d.tar"}
    for form, path in forms.items():
        skopeo.run("copy", "-q", skopeo.ref(DEMO_IMAGE), f"{form}:{path}:localhost/copy:1")
    forms["compressed"] = f"{top}/d.tar.gz"
    Path(forms["compressed"]).write_bytes(gzip.compress(Path(forms["docker-archive"]).read_bytes()))
    return {"id": image_id, **forms}


@pytest.fixture(params=["overlay", "vfs"])
def ours(request: pytest.FixtureRequest, graph_run: GraphRun) -> Holdctl:
    return Holdctl(*graph_run, request.param)


@pytest.mark.parametrize("form", ["oci", "oci-archive", "docker-archive", "compressed"])
def test_what_skopeo_writes_becomes_an_image_that_podman_takes(
    ours: Holdctl, demo: dict[str, str], form: str
) -> None:
    assert f"{demo['id']}\n\tlocalhost/copy:1\n" == ours.run("import", demo[form]).stdout

    podman = Podman(ours.graph, ours.run_root, ours.driver)
    assert "localhost/copy" in podman.out("images")
    [shown] = podman.json("image", "inspect", "localhost/copy:1")
    assert (demo["id"], ["DEMO=1"]) == (shown["Id"], shown["Config"]["Env"])
    container = ours.out("create-container", "localhost/copy:1")
    top = ours.out("mount", container)
    assert DEMO_MOTD == Path(top, "etc/motd").read_text()
    assert Path(top, "bin/sh").is_symlink()
    ours.run("unmount", container)
    assert "" == ours.out("check")


def test_it_comes_from_standard_input_and_bears_the_names_that_are_given(
    ours: Holdctl, demo: dict[str, str]
) -> None:
    data = Path(demo["docker-archive"]).read_bytes()

    ours.run("import", "-n", "one", "-n", "two", "-", input=data)
    made = ours.json("import", "-n", "three", demo["oci"])

    assert ["three", "one", "two"] == made["names"]
    assert 1 == len(ours.json("images"))
    assert 2 == len(ours.json("layers"))


def test_what_is_exported_is_an_image_for_others_and_for_us(
    ours: Holdctl, demo: dict[str, str], stores: Callable[[], GraphRun], tmp_path: Path
) -> None:
    ours.run("import", demo["docker-archive"])

    ours.run("export", "-f", str(tmp_path / "out.tar"), "localhost/copy:1")
    piped = ours.run_bytes("export", demo["id"]).stdout

    assert (tmp_path / "out.tar").read_bytes() == piped
    roots = stores()
    podman = Podman(*roots, ours.driver)
    podman.run("load", "-i", str(tmp_path / "out.tar"))
    assert demo["id"] == podman.json("images")[0]["Id"]
    again = Holdctl(*stores(), ours.driver)
    assert demo["id"] == again.json("import", str(tmp_path / "out.tar"))["id"]
    assert [layer["id"] for layer in ours.json("layers")] == [
        layer["id"] for layer in again.json("layers")
    ]


def test_it_is_exported_as_a_directory_too_whole_or_not_at_all(
    ours: Holdctl, demo: dict[str, str], stores: Callable[[], GraphRun], tmp_path: Path
) -> None:
    ours.run("import", demo["oci"])
    there = tmp_path / "there"
    there.mkdir()
    (there / "file").touch()

    for directory in ("out", "empty"):
        if directory == "empty":
            (tmp_path / directory).mkdir()
        assert "" == ours.run("export", "-d", str(tmp_path / directory), demo["id"]).stdout
        again = Holdctl(*stores(), ours.driver)
        assert demo["id"] == again.json("import", str(tmp_path / directory))["id"]
    refused = ours.run("export", "-d", str(there), demo["id"], check=False)
    unknown = ours.run("export", "-d", str(tmp_path / "no"), "nope", check=False)

    assert (1, 1) == (refused.returncode, refused.stderr.count("\n"))
    assert (1, 1) == (unknown.returncode, unknown.stderr.count("\n"))
    assert {"out", "empty", "there"} == set(os.listdir(tmp_path))
    skopeo = Skopeo(ours.graph, ours.run_root)
    assert 2 == len(json.loads(skopeo.out("inspect", f"oci:{tmp_path}/out"))["Layers"])


def test_an_image_made_by_hand_can_be_exported(ours: Holdctl, tmp_path: Path) -> None:
    ours.run("create-layer", "-i", "base")
    ours.run("copy", "/etc/hostname", "base:/etc/hostname")
    ours.run("create-image", "-i", "hand", "-n", "localhost/hand:1", "base")

    ours.run("export", "-f", str(tmp_path / "hand.tar"), "hand")

    skopeo = Skopeo(ours.graph, ours.run_root)
    shown = json.loads(skopeo.out("inspect", f"oci-archive:{tmp_path}/hand.tar"))
    assert 1 == len(shown["Layers"])


@pytest.mark.parametrize("form", ["oci", "docker-archive"])
def test_a_damaged_layer_leaves_nothing(
    ours: Holdctl, demo: dict[str, str], tmp_path: Path, form: str
) -> None:
    damaged = tmp_path / "damaged"
    if form == "oci":
        subprocess.run(["cp", "-a", demo["oci"], damaged], check=True)
    else:
        damaged.mkdir()
        subprocess.run(["tar", "-xf", demo["docker-archive"], "-C", damaged], check=True)
    layers = [p for p in damaged.rglob("*") if p.is_file() and not p.is_symlink()]
    smaller = sorted(layers, key=lambda p: p.stat().st_size)[-2]
    if form == "oci":
        # The largest layer stays whole, the other is cut short.
        smaller = next(p for p in layers if gzipped(p) and p.stat().st_size < 1000)
    smaller.write_bytes(smaller.read_bytes()[:-100])

    done = ours.run("import", str(damaged), check=False)

    assert (1, 1) == (done.returncode, done.stderr.count("\n"))
    assert ([], []) == (ours.json("images") or [], ours.json("layers") or [])


def gzipped(path: Path) -> bool:
    return path.read_bytes()[:2] == b"\x1f\x8b"


def test_what_is_no_image_is_refused_in_a_line(ours: Holdctl, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with tarfile.open(tmp_path / "other.tar", "w") as archive:
        archive.add(tmp_path / "empty", "x")
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "index.json").write_text('{"manifests":[{"digest":"sha256:../x"}]}')
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text('[{"Config":"../../etc/passwd"')

    for name in ("empty", "other.tar", "index", "broken", "nothing"):
        done = ours.run("import", str(tmp_path / name), check=False)
        assert (1, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n")), name
        assert "internal error" not in done.stderr
    for words in (["import", "/etc/hostname"], ["export", "nope"], ["import", os.devnull]):
        done = ours.run(*words, check=False)
        assert (1, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n"))
        assert "internal error" not in done.stderr
