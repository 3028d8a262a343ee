"""Bad input, each kind in a row: exit status and words as the contract has them; no traceback."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfs.core.cli import table
from holdfs.core.cli.command import Command
from tests.cli.holdctl import Holdctl
from tests.conftest import GraphRun
from tests.needs import needs

pytestmark = needs("root")

ZEROS = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Holdctl:
    """Give a store in which "base" is a layer, and "both" is one of each; nobody changes it."""
    top = tmp_path_factory.mktemp("store")
    made = Holdctl(f"{top}/graph", f"{top}/run", "vfs")
    made.run("create-layer", "-i", "base", "-n", "taken")
    made.run("create-layer", "-i", "both")
    made.run("create-image", "-i", "both", "-n", "taken", "both")
    made.run("create-container", "-i", "both", "-n", "taken", "both")
    # Two that begin alike.
    made.run("create-layer", "-i", "begin1")
    made.run("create-layer", "-i", "begin2")
    return made


def records(tool: Holdctl) -> list[bytes]:
    return [path.read_bytes() for path in sorted(Path(tool.graph).glob("vfs-*/*.json"))]


#: What it is, the words, exit status, what is on stdout first, what is on stderr first.
ROWS = [
    ("unknown command", ["nope"], 1, "nope: unrecognized command.\n", ""),
    ("unknown option", ["layers", "--nope"], 125, "", "flag provided but not defined: --nope\n"),
    ("option without value", ["layer", "--run"], 125, "", "flag needs an argument: --run\n"),
    ("missing argument", ["mount"], 1, "mount: more arguments required.\n", ""),
    ("one too many", ["gc", "x"], 1, "gc: too many arguments ([x]).\n", ""),
    ("no such layer", ["diff", "nope"], 1, "", "layer not known\n"),
    (
        "no such image",
        ["create-container", "nope"],
        1,
        "",
        'locating image with ID "nope": image not known\n',
    ),
    ("no such container", ["get-container-dir", "nope"], 1, "", "container not known\n"),
    ("ambiguous", ["diffsize", "begin"], 1, "", "layer not known\n"),
    ("wrong kind", ["delete-image", "base"], 1, "", "base: identifier is not an image\n"),
    ("wrong kind too", ["delete-layer", "x"], 1, "", "x: identifier is not a layer\n"),
    ("ID in use", ["create-layer", "-i", "base"], 1, "", "that ID is already in use\n"),
    ("name in use", ["create-layer", "-n", "taken"], 1, "", "that name is already in use\n"),
    (
        "image name in use",
        ["create-image", "-n", "taken"],
        1,
        "",
        'image name "taken" is already associated with image "both": that name is already in use\n',
    ),
    (
        "digest of another length",
        ["create-image", "-d", "sha256:00"],
        1,
        "",
        'validating digests for new image: validating image digest "sha256:00": '
        "invalid checksum digest length\n",
    ),
    ("digest that is none", ["images-by-digest", "x"], 1, "", "invalid checksum digest format\n"),
    ("no tar", ["import-layer", "-f", "/etc/hostname"], 1, "", "unexpected EOF"),
    ("no tar", ["applydiff", "-f", "/etc/hostname", "base"], 1, "", "unexpected EOF"),
    ("no file", ["applydiff", "-f", "/no", "base"], 1, "", "open /no: no such file or directory\n"),
    ("an ID that leads out", ["create-layer", "-i", "../x"], 1, "", ""),
    ("no duration", ["check", "-m", "x"], 1, "", 'time: invalid duration "x"\n'),
    ("no file name", ["import", ""], 1, "", "open : no such file or directory\n"),
    ("used", ["delete-layer", "both"], 1, "", "both: used by layer "),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_bad_input_is_told_as_the_contract_says(
    ours: Holdctl, row: tuple[str, list[str], int, str, str]
) -> None:
    _, words, status, stdout, stderr = row
    before = records(ours)

    done = ours.run(*words, check=False)

    assert status == done.returncode
    assert done.stdout.startswith(stdout)
    assert done.stderr.startswith(stderr)
    assert "Traceback" not in done.stderr
    if not stdout:
        assert done.stderr
    assert before == records(ours)


def test_what_does_not_fit_its_digest_is_no_layer(ours: Holdctl, tmp_path: Path) -> None:
    blobs = tmp_path / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    (blobs / ("0" * 64)).write_text("{}")
    (tmp_path / "index.json").write_text(
        f'{{"schemaVersion":2,"manifests":[{{"digest":"{ZEROS}","size":2}}]}}'
    )

    done = ours.run("import", str(tmp_path), check=False)

    said = f"blobs/sha256/{'0' * 64} is not what its name says\n"
    assert (1, "", said) == (done.returncode, done.stdout, done.stderr)


def test_a_read_only_store_is_not_changed(ours: Holdctl, stores: Callable[[], GraphRun]) -> None:
    own = Holdctl(*stores(), "vfs", [f"vfs.imagestore={ours.graph}"])

    for words, said in (
        (["delete-layer", "base"], "base: identifier is not a layer\n"),
        (["delete-image", "both"], "both: identifier is not an image\n"),
        (["set-image-data", "both", "x"], 'locating image with ID "both": image not known\n'),
        (["set-names", "-n", "x", "base"], "layer not known\n"),
    ):
        done = own.run(*words, check=False)
        assert (1, "", said) == (done.returncode, done.stdout, done.stderr), words


ODD = [os.fsdecode(b"\xff\xfe\n"), "", "x" * 5000, "../../x", "%s{}\\'\"\t"]
#: What runs a command of its own.
NOT_TRIED = {"unshare"}


@pytest.mark.parametrize(
    "command",
    [each for each in table.COMMANDS if each.names[0] not in NOT_TRIED],
    ids=lambda command: command.names[0],
)
def test_odd_arguments_and_a_full_disk_never_give_a_traceback(
    graph_run: GraphRun, tmp_path: Path, command: Command
) -> None:
    ours = Holdctl(*graph_run, "vfs")
    name = command.names[0]
    count = max(command.min_args, 0 if command.max_args == 0 else 1)
    valued = [option for option in command.options if option.kind != "flag"]
    # In turn, so that each place gets something else.
    arguments = [ODD[i % len(ODD)] for i in range(count)]
    later = [ODD[(i + 1) % len(ODD)] for i in range(count)]
    options = [
        word for i, option in enumerate(valued) for word in (option.names[0], ODD[i % len(ODD)])
    ]
    with open("/dev/full", "wb") as full, open("/dev/null", "rb") as nothing:
        for words, stdout in (
            ([name, *arguments], subprocess.PIPE),
            ([name, *options, *later], full),
        ):
            done = subprocess.run(
                ours.command(*words),
                cwd=tmp_path,
                stdin=nothing,
                stdout=stdout,
                stderr=subprocess.PIPE,
                timeout=60,
                check=False,
            )
            assert done.returncode in (0, 1, 125)
            assert b"Traceback" not in done.stderr
            assert b"internal error" not in done.stderr, (words, done.stderr)
