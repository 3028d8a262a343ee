"""`applydiff-using-staging-dir`: a directory as a layer with a table of contents."""

import hashlib
import json
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.cli.holdctl import Holdctl
from tests.conftest import GraphRun
from tests.needs import needs
from tests.peers import GoStore

pytestmark = needs("root", "overlay")


class Configured(Holdctl):
    """holdctl whose store comes from storage.conf, as nothing else has pull options."""

    def _global_options(self) -> list[str]:
        return []


@pytest.fixture
def ours(graph_run: GraphRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configured:
    write_conf(tmp_path, graph_run, "overlay", "true")
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(tmp_path / "storage.conf"))
    return Configured(*graph_run, "overlay")


def write_conf(directory: Path, roots: GraphRun, driver: str, enabled: str) -> None:
    (directory / "storage.conf").write_text(
        f'[storage]\ndriver = "{driver}"\ngraphroot = "{roots.graph}"\nrunroot = "{roots.run}"\n'
        f'[storage.options]\npull_options = {{enable_partial_images = "{enabled}"}}\n'
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    (top / "etc").mkdir(parents=True)
    (top / "etc" / "motd").write_text("hello\n")
    (top / "etc" / "link").symlink_to("motd")
    os.chown(top / "etc" / "motd", 3, 4)
    os.setxattr(top / "etc" / "motd", "user.note", b"x")
    (Path(os.fsdecode(b"%s/b\xff" % os.fsencode(top)))).touch()
    return top


def test_a_time_that_json_can_not_hold_is_the_last_it_can(ours: Configured) -> None:
    # Not every file system holds such times; the one of /dev/shm does.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as top:
        Path(top, "late").touch()
        os.utime(f"{top}/late", (300_000_000_000, 300_000_000_000))
        ours.run("applydiff-using-staging-dir", "late", top)

    table = ours.run_bytes("get-layer-data", "late", "zstd-chunked-manifest").stdout
    assert ["9999-12-31T23:59:59Z"] == [e["modtime"] for e in json.loads(table)["entries"]]


def test_a_layer_is_made_of_the_directory(ours: Configured, tree: Path) -> None:
    done = ours.run("applydiff-using-staging-dir", "new", str(tree))

    assert ("", "") == (done.stdout, done.stderr)
    [record] = ours.json("layers")
    table = ours.run_bytes("get-layer-data", "new", "zstd-chunked-manifest").stdout
    assert {
        "id": "new",
        "diff-digest": f"sha256:{hashlib.sha256(ours.run_bytes('diff', 'new').stdout).hexdigest()}",
        "toc-digest": f"sha256:{hashlib.sha256(table).hexdigest()}",
        "uidset": [0, 3],
        "gidset": [0, 4],
        "big-data-names": ["zstd-chunked-manifest", "zstd-chunked-layer-data"],
    } == {key: record[key] for key in record if key not in ("created", "diff-size")}
    entries = {entry["name"]: entry for entry in json.loads(table)["entries"]}
    motd = entries["etc/motd"]
    motd_digest = f"sha256:{hashlib.sha256(b'hello' + bytes([10])).hexdigest()}"
    assert ("reg", 6, 3, motd_digest) == tuple(motd[k] for k in ("type", "size", "uid", "digest"))
    assert {"user.note": "eA=="} == motd["xattrs"]
    assert "motd" == entries["etc/link"]["linkName"]
    top = ours.out("mount", "new")
    assert "hello\n" == Path(top, "etc/motd").read_text()
    ours.run("unmount", "new")
    assert "" == ours.run("check").stdout


@needs("containers-storage")
def test_a_layer_that_is_there_is_filled_and_others_can_use_it(
    ours: Configured, tree: Path, graph_run: GraphRun
) -> None:
    go = GoStore(*graph_run)
    go.run("create-layer", "-i", "there", "-n", "name")

    assert "" == ours.json("applydiff-using-staging-dir", "name", str(tree))

    assert ["there"] == [layer["id"] for layer in ours.json("layers")]
    assert "etc/motd" in {line.split()[-1] for line in _listed(go, "there")}


def _listed(go: GoStore, layer: str) -> list[str]:
    data = go.run_bytes("diff", "-u", layer).stdout
    return (
        subprocess.run(["tar", "-tv"], input=data, capture_output=True)
        .stdout.decode(errors="replace")
        .splitlines()
    )


def test_what_is_refused(ours: Configured, tree: Path, graph_run: GraphRun, tmp_path: Path) -> None:
    command = "applydiff-using-staging-dir"
    for words, said in (
        ([command, "new", "/no/dir"], "open /no/dir: no such file or directory\n"),
        ([command, "new", "/etc/hostname"], "open /etc/hostname: not a directory\n"),
        (["--graph", graph_run.graph, command, "new", str(tree)], "partial images are disabled\n"),
    ):
        done = ours.run(*words, check=False)
        assert (1, "", said) == (done.returncode, done.stdout, done.stderr)
    write_conf(tmp_path, graph_run, "overlay", "false")
    assert "partial images are disabled\n" == ours.run(command, "x", "y", check=False).stderr
    write_conf(tmp_path, graph_run, "vfs", "true")
    done = ours.run(command, "new", str(tree), check=False)
    assert (1, "not supported\n") == (done.returncode, done.stderr)
    assert "" == ours.run("layers").stdout
