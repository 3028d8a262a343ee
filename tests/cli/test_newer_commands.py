"""What 1.43 has no command for: looking after a store, the driver's own layers, images' places."""

import json
import os
import tarfile
from pathlib import Path

import pytest

from tests.cli.holdctl import Holdctl
from tests.conftest import GraphRun
from tests.needs import loop_mounted, needs

pytestmark = needs("root")

ORPHAN = "0123456789abcdef" * 4
LOST = "fedcba9876543210" * 4


@pytest.fixture(params=["vfs", pytest.param("overlay", marks=needs("overlay"))])
def ours(request: pytest.FixtureRequest, graph_run: GraphRun) -> Holdctl:
    return Holdctl(*graph_run, request.param)


@pytest.fixture
def filled(ours: Holdctl) -> Holdctl:
    """Give a healthy store: base ── top, image one on top, container k1 of it, layer lone."""
    ours.run("create-layer", "-i", "base")
    ours.run("create-layer", "-i", "top", "base")
    ours.run("create-layer", "-i", "lone")
    ours.run("create-image", "-i", "one", "-n", "name", "top")
    ours.run("set-image-data", "one", "manifest", input="{}")
    ours.run("set-layer-data", "base", "notes", input="text")
    ours.run("create-container", "-i", "k1", "one")
    ours.run("set-container-data", "k1", "config", input="x")
    return ours


def path(tool: Holdctl, kind: str, *names: str) -> Path:
    return Path(tool.graph, f"{tool.driver}-{kind}", *names)


def set_record(tool: Holdctl, kind: str, record_id: str, **changed: object) -> None:
    """Write other values into a record, as no tool would."""
    file = path(tool, kind, f"{kind}.json")
    records = json.loads(file.read_bytes())
    for record in records:
        if record["id"] == record_id:
            record.update(changed)
    file.write_text(json.dumps(records))


# -- names and places ------------------------------------------------------------------------------


def test_new_names_come_first_and_some_can_be_removed(filled: Holdctl) -> None:
    assert ["b", "c", "name"] == filled.json("add-names", "-n", "b", "-n", "c", "one")
    assert ["c"] == filled.json("remove-names", "-n", "b", "-n", "name", "-n", "nobody's", "one")
    assert "" == filled.run("removenames", "-n", "c", "one").stdout
    assert None is filled.json("remove-names", "one")

    done = filled.run("remove-names", "nope", check=False)
    assert (1, "layer not known\n") == (done.returncode, done.stderr)


def test_an_images_directories_are_made_for_the_image_that_is_meant(filled: Holdctl) -> None:
    where = filled.out("get-image-dir", "name")
    run = filled.json("get-image-run-dir", "one")

    assert f"{filled.graph}/{filled.driver}-images/one/userdata" == where
    assert f"{filled.run_root}/{filled.driver}-images/one/userdata" == run
    for directory in (where, run):
        assert 0o40700 == os.stat(directory).st_mode

    for ref in ("nope", "../../x", ""):
        done = filled.run("get-image-dir", ref, check=False)
        said = f'locating image with ID "{ref}": image not known\n'
        assert (1, "", said) == (done.returncode, done.stdout, done.stderr)
    assert not Path(filled.graph, "x").exists()


def test_a_layer_of_the_driver_alone_has_no_record(filled: Holdctl) -> None:
    assert "raw" == filled.out("create-storage-layer", "-i", "raw", "top")
    made = filled.json("createstoragelayer")

    own = {"base", "lone", "raw", "top", made}
    assert own < set(filled.json("storage-layers"))
    assert own < set(filled.out("storage-layers").split())
    assert "raw" not in filled.out("layers")
    assert 64 == len(made)
    # One that has no record can be a parent, too.
    filled.run("create-storage-layer", "-i", "on-it", "raw")
    done = filled.run("create-storage-layer", "-i", "raw", check=False)
    assert (1, "that ID is already in use\n") == (done.returncode, done.stderr)
    done = filled.run("create-storage-layer", "nope", check=False)
    assert (1, "layer not known\n") == (done.returncode, done.stderr)


def test_config_shows_the_configuration_and_not_this_command_line(ours: Holdctl) -> None:
    conf = Path(ours.graph).parent / "storage.conf"
    conf.write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{ours.graph}/other"\nrunroot = "/run/other"\n'
        'driver_priority = ["vfs", "overlay"]\n'
        "[storage.options]\ndisable-volatile = true\n[storage.options.pull_options]\na = 'b'\n"
    )
    done = ours.run("config", "/no/such/file", env={"CONTAINERS_STORAGE_CONF": str(conf)})

    assert (
        f'{{"runroot":"/run/other","root":"{ours.graph}/other","driver":"vfs",'
        '"driver-priority":["vfs","overlay"],"PullOptions":{"a":"b"},"disable-volatile":true}\n'
    ) == done.stdout


# -- gc --------------------------------------------------------------------------------------------


def test_gc_removes_what_no_record_accounts_for_and_nothing_else(filled: Holdctl) -> None:
    for kind in ("images", "containers", "layers"):
        path(filled, kind, ORPHAN).mkdir()
        path(filled, kind, ORPHAN, "manifest").write_text("{}")
        path(filled, kind, "others").mkdir()
    path(filled, "layers", f"{ORPHAN}.tar-split.gz").write_text("")
    path(filled, "layers", "base.tar-split.gz").write_text("")
    filled.run("create-storage-layer", "-i", "raw")
    before = filled.json("layers"), filled.json("images"), filled.json("containers")

    done = filled.run("gc")

    assert ("", "") == (done.stdout, done.stderr)
    assert "" == filled.json("gc")
    for kind in ("images", "containers", "layers"):
        assert not path(filled, kind, ORPHAN).exists()
        assert path(filled, kind, "others").is_dir()
    assert not path(filled, "layers", f"{ORPHAN}.tar-split.gz").exists()
    assert path(filled, "layers", "base.tar-split.gz").exists()
    assert path(filled, "layers", "base", "notes").exists()
    assert "raw" not in filled.json("storage-layers")
    assert before == (filled.json("layers"), filled.json("images"), filled.json("containers"))


def test_gc_of_a_damaged_index_deletes_nothing_of_it(filled: Holdctl) -> None:
    index = path(filled, "layers", "layers.json")
    index.write_bytes(index.read_bytes()[:-20])

    done = filled.run("gc", check=False)

    assert 1 == done.returncode
    assert "layers.json" in done.stderr
    assert {"base", "lone", "top"} < set(filled.json("storage-layers"))


def test_gc_ends_with_a_shutdown(filled: Holdctl) -> None:
    filled.run("mount", "k1")

    done = filled.run("gc")

    said = "shutdown: a layer is mounted: layer is in use by a container\n"
    assert (0, said) == (done.returncode, done.stderr)
    assert "" == filled.out("mounted", "k1")


# -- check -----------------------------------------------------------------------------------------

NO_ERRORS: dict[str, dict[str, object]] = {
    "Layers": {},
    "ROLayers": {},
    "Images": {},
    "ROImages": {},
    "Containers": {},
}


def test_check_of_a_healthy_store_says_nothing(filled: Holdctl) -> None:
    done = filled.run("check")

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    assert NO_ERRORS == filled.json("check", "--quick")
    assert not [name for name in os.listdir(filled.run_root) if name.startswith("holdfs-view-")]


def test_check_tells_missing_and_changed_data(filled: Holdctl) -> None:
    path(filled, "layers", "base", "notes").unlink()
    path(filled, "images", "one", "manifest").write_text("{ }")
    path(filled, "containers", "k1", "config").unlink()

    done = filled.run("check", check=False)

    of_layer = ' layer base: data item "notes": layer data item is missing\n'
    of_image = ' image one: data item "manifest": image data item has incorrect size\n'
    of_container = ' container k1: data item "config": container data item is missing\n'
    assert (
        f"layer base:\n{of_layer}"
        f"image one:\n{of_layer}{of_image}"
        f"container k1:\n{of_layer}{of_image}{of_container}"
    ) == done.stdout
    assert (
        "1 layer errors, 0 read-only layer errors, 1 image errors, 0 read-only image errors, "
        "1 container errors\n"
    ) == done.stderr
    assert 1 == done.returncode
    found = filled.run("check", "-j", check=False)
    assert {
        **NO_ERRORS,
        "Layers": {"base": [{}]},
        "Images": {"one": [{}, {}]},
        "Containers": {"k1": [{}, {}, {}]},
    } == json.loads(found.stdout)


def test_check_tells_what_is_missing_altogether(filled: Holdctl) -> None:
    set_record(filled, "layers", "lone", parent=LOST)
    set_record(filled, "images", "one", layer=ORPHAN)
    set_record(filled, "containers", "k1", image=LOST)
    filled.run("create-storage-layer", "-i", "raw")

    done = filled.run("check", check=False)

    assert [
        "layer lone:",
        f" layer {LOST}: layer is missing",
        "layer raw:",
        " layer raw: layer in lower level storage driver not accounted for",
        "image one:",
        f" image one: layer {ORPHAN}: image layer is missing",
        "container k1:",
        f" image {LOST}: image missing",
    ] == done.stdout.splitlines()


def test_check_tells_layers_that_can_not_be_mounted(filled: Holdctl) -> None:
    driver = Path(filled.graph, filled.driver)
    home = driver / "dir" if filled.driver == "vfs" else driver
    os.rename(home / "base", home.parent / "base-elsewhere")

    done = filled.run("check", check=False)

    assert 1 == done.returncode
    assert "layer base:\n layer base: " in done.stdout
    assert "no such file or directory" in done.stdout


def test_check_tells_layers_that_do_not_give_their_stream_again(
    ours: Holdctl, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("content")
    with tarfile.open(tmp_path / "layer.tar", "w") as archive:
        archive.add(tmp_path / "file", "file")
    for layer_id in ("good", "touched", "emptied", "other-digest", "other-size"):
        ours.run("import-layer", "-i", layer_id, "-f", str(tmp_path / "layer.tar"))
    assert "" == ours.run("check").stdout
    home = Path(ours.graph, ours.driver)

    def file_of(layer_id: str) -> Path:
        directory = f"{layer_id}/diff" if ours.driver == "overlay" else f"dir/{layer_id}"
        return home / directory / "file"

    file_of("touched").write_text("changed")
    file_of("emptied").unlink()
    set_record(ours, "layers", "other-digest", **{"diff-digest": "sha256:" + "0" * 64})
    set_record(ours, "layers", "other-size", **{"diff-size": 5})

    done = ours.run("check", "--quick", check=False)

    failed = 'file integrity checksum failed for "file"'
    lines = done.stdout.splitlines()
    assert [
        "layer touched:",
        f" layer touched: consume any trailer after the EOF marker: {failed}",
        f" layer touched: {failed}",
    ] == lines[:3]
    assert "layer emptied:" == lines[3]
    assert lines[4].startswith(" layer emptied: consume any trailer after the EOF marker: open ")
    assert lines[5].endswith("/file: no such file or directory")
    assert [
        "layer other-digest:",
        " layer other-digest: layer content incorrect digest",
        "layer other-size:",
        " layer other-size: read 10240 bytes instead of 5 bytes: layer content incorrect size",
    ] == lines[6:]
    assert (1, True) == (done.returncode, done.stderr.startswith("4 layer errors, "))


def test_check_tells_old_layers_that_nobody_uses(filled: Holdctl) -> None:
    set_record(filled, "layers", "lone", created="2020-01-01T00:00:00Z")
    set_record(filled, "layers", "base", created="2020-01-01T00:00:00Z")
    unused = " layer lone: layer not referenced by any images or containers\n"

    assert f"layer lone:\n{unused}" == filled.run("check", check=False).stdout
    assert "" == filled.run("check", "-m", "1000000h").stdout
    assert unused in filled.run("check", "--max=0s", check=False).stdout
    for text in ("x", "", "1", "1hh", "1d", "."):
        done = filled.run("check", f"--max={text}", check=False)
        said = f'time: invalid duration "{text}"\n' if text else done.stderr
        assert (1, said) == (done.returncode, done.stderr)


def test_repair_removes_what_is_damaged_but_containers(filled: Holdctl) -> None:
    filled.run("create-image", "-i", "two", "lone")
    set_record(filled, "images", "two", **{"big-data-names": ["gone"]})
    path(filled, "containers", "k1", "config").unlink()
    filled.run("create-storage-layer", "-i", "raw")

    done = filled.run("check", "--repair", check=False)

    said = "0 read-only layer errors, 0 read-only image errors, 1 container errors\n"
    assert (1, said) == (done.returncode, done.stderr)
    assert "one" == filled.out("images", "-q")
    assert {"base", "top"} < set(filled.out("layers", "-q").split())
    assert {"lone", "raw"}.isdisjoint(filled.json("storage-layers"))
    assert "k1" in filled.out("containers")


def test_repair_by_force_removes_containers_and_then_their_image(filled: Holdctl) -> None:
    path(filled, "layers", "base", "notes").unlink()

    refused = filled.run("check", "-r", check=False)
    done = filled.run("check", "--force")

    reason = "deleting image one: image used by k1: image is in use by a container\n"
    assert (1, True) == (refused.returncode, refused.stderr.startswith(reason))
    assert refused.stderr.endswith(reason)
    assert 0 == done.returncode
    assert ("", "", "lone") == (
        filled.out("containers"),
        filled.out("images"),
        filled.out("layers", "-q"),
    )
    assert NO_ERRORS == filled.json("check")


# -- dedup -----------------------------------------------------------------------------------------


def test_dedup_shares_nothing_where_the_file_system_can_not(filled: Holdctl) -> None:
    assert "Deduplicated 0 bytes" == filled.out("dedup")
    assert {"Deduped": 0} == filled.json("dedup", "--hash-method=sha256")
    done = filled.run("dedup", "--hash-method", "md5", check=False)
    assert (1, "dedup: invalid hash method: md5\n") == (done.returncode, done.stderr)


@needs("btrfs")
@pytest.mark.parametrize("method", ["crc", "sha256", "size"])
def test_dedup_shares_equal_files_of_images_layers(tmp_path: Path, method: str) -> None:
    with loop_mounted("btrfs", str(tmp_path)) as top:
        ours = Holdctl(f"{top}/graph", f"{top}/run", "vfs")
        for layer_id in ("base", "other", "unused"):
            ours.run("create-layer", "-i", layer_id)
            layer = Path(ours.graph, "vfs", "dir", layer_id)
            (layer / "same").write_bytes(b"same" * 10000)
            (layer / "differs").write_bytes(layer_id.encode().ljust(8192, b"-"))
            (layer / "empty").touch()
        os.link(layer / "same", layer / "again")
        for layer_id in ("base", "other"):
            ours.run("create-image", layer_id)

        for _ in range(2):
            assert "Deduplicated 40000 bytes" == ours.out("dedup", "--hash-method", method)
        for layer_id in ("base", "other", "unused"):
            layer = Path(ours.graph, "vfs", "dir", layer_id)
            assert b"same" * 10000 == (layer / "same").read_bytes()
            assert layer_id.encode().ljust(8192, b"-") == (layer / "differs").read_bytes()
