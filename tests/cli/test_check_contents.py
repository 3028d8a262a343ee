"""`check` without --quick: the trees that layers show are what their streams' headers describe."""

import io
import os
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.cli.holdctl import Holdctl
from tests.conftest import GraphRun
from tests.needs import loop_mounted, needs
from tests.peers import GoStore

pytestmark = needs("root", "containers-storage")

WHEN = 1_600_000_000
#: Name (a directory's with its slash), and what is not as with all others.
Member = tuple[str, dict[str, object]]

BASE: list[Member] = [
    ("./", {}),
    ("etc/", {}),
    ("etc/motd", {"size": 5, "mode": 0o640, "uid": 3, "gid": 4}),
    ("etc/old/", {}),
    ("etc/old/one", {}),
    ("etc/old/two", {}),
    ("etc-more", {"size": 1}),
    ("opaque/", {"mode": 0o1777}),
    ("opaque/below/", {}),
    ("opaque/below/it", {}),
    ("a-file", {"size": 3, "mode": 0o4755}),
    ("link", {"type": tarfile.SYMTYPE, "linkname": "etc/motd", "uid": 7}),
    # As any tar has it: with what the file has. Whoever unpacks sets it once more.
    (
        "hard",
        {
            "type": tarfile.LNKTYPE,
            "linkname": "./etc/motd",
            "mode": 0o640,
            "uid": 3,
            "gid": 4,
        },
    ),
    ("fifo", {"type": tarfile.FIFOTYPE}),
    ("null", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}),
    ("no/header/of/these", {"size": 2}),
    ("b\udcff", {"size": 1}),
    ("é", {"mtime": WHEN + 0.75}),
    ("became-a-file/", {}),
    ("became-a-file/x", {}),
]
TOP: list[Member] = [
    ("etc/", {"mtime": WHEN + 1}),
    ("etc/.wh.old", {}),
    ("opaque/", {"mode": 0o1777}),
    ("opaque/new", {}),
    ("opaque/.wh..wh..opq", {}),
    ("became-a-file", {"size": 4}),
    ("link/", {"mtime": WHEN + 2}),
    ("link/in-it", {}),
    ("no/header/.wh.of", {}),
    ("a-file", {"size": 6}),
    ("z-link", {"type": tarfile.LNKTYPE, "linkname": "a-file"}),
]


def write_tar(path: Path, members: Sequence[Member]) -> str:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, other in members:
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            member.mode = 0o755 if name.endswith("/") else 0o644
            member.mtime = WHEN
            for key, value in other.items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return str(path)


@pytest.fixture(params=["overlay", "vfs", pytest.param("btrfs", marks=needs("btrfs"))])
def roots(
    request: pytest.FixtureRequest, graph_run: GraphRun, tmp_path: Path
) -> Iterator[tuple[str, str, str]]:
    if request.param != "btrfs":
        yield *graph_run, request.param
        return
    with loop_mounted("btrfs", str(tmp_path)) as top:
        yield f"{top}/graph", f"{top}/run", "btrfs"


@pytest.mark.parametrize("program", [GoStore, Holdctl], ids=["filled by Go", "filled by us"])
def test_healthy_layers_are_found_healthy(
    roots: tuple[str, str, str], tmp_path: Path, program: type[GoStore]
) -> None:
    filler, ours = program(*roots), Holdctl(*roots)
    base, top = write_tar(tmp_path / "base", BASE), write_tar(tmp_path / "top", TOP)
    filler.run("import-layer", "-i", "base", "-f", base)
    filler.run("import-layer", "-i", "top", "-f", top, "base")
    filler.run("import-layer", "-i", "again", "-f", base, "top")
    maps = ["--uidmap", "0:1000:100", "--gidmap", "0:2000:100"]
    filler.run("import-layer", "-i", "mapped", *maps, "-f", base)
    filler.run("create-layer", "-i", "written", "top")
    filler.run("copy", "/etc/hostname", "written:/whatever")

    done = ours.run("check", check=False)

    assert ("", "", 0) == (done.stdout, done.stderr, done.returncode)


def test_each_change_of_a_tree_is_told(roots: tuple[str, str, str], tmp_path: Path) -> None:
    ours = Holdctl(*roots)
    ours.run("import-layer", "-i", "base", "-f", write_tar(tmp_path / "base", BASE))
    ours.run("import-layer", "-i", "top", "-f", write_tar(tmp_path / "top", TOP), "base")
    below = {"overlay": "overlay/top/diff", "vfs": "vfs/dir/top", "btrfs": "btrfs/subvolumes/top"}
    tree = Path(ours.graph, below[ours.driver])
    (tree / "opaque" / "extra").mkdir()
    (tree / "opaque" / "extra" / "more").touch()
    (tree / "opaque" / "file").touch()
    os.chown(tree / "opaque" / "new", 5, 6)
    os.utime(tree / "opaque", (WHEN, WHEN))
    os.chmod(tree / "a-file", 0o600)
    os.utime(tree / "became-a-file", (0, WHEN + 16))
    (tree / "link" / "in-it").unlink()
    os.mkfifo(tree / "link" / "in-it")
    os.utime(tree / "link", (WHEN + 2, WHEN + 2))

    done = ours.run("check", check=False)

    changes = [
        "/a-file(mode:0644\uffeb0600)",
        f"/became-a-file(mtime:{WHEN:#x}\uffeb{WHEN + 16:#x})",
        "/link/in-it(filetype:file\uffebfifo)",
        "+/opaque/extra/",
        "+/opaque/file",
        "/opaque/new(uid:0\uffeb5,gid:0\uffeb6)",
        "/z-link(mode:0644\uffeb0600)",
    ]
    lines = [line for line in done.stdout.splitlines() if "trailer" not in line]
    told = [line for line in lines if line.endswith(", layer content modified")]
    assert [f" layer top: {change}, layer content modified" for change in changes] == told
    assert "layer top:" == lines[0]
    assert 1 == done.returncode
    quick = ours.run("check", "--quick", check=False)
    assert "modified" not in quick.stdout


def test_a_layer_missing_from_the_tree_shows_in_all_that_stand_on_it(
    roots: tuple[str, str, str], tmp_path: Path
) -> None:
    ours = Holdctl(*roots)
    members: list[Member] = [("d/", {}), ("d/e/", {}), ("d/e/f", {}), ("g", {})]
    ours.run("import-layer", "-i", "base", "-f", write_tar(tmp_path / "base", members))
    above: list[Member] = [("d/", {}), ("h", {})]
    ours.run("import-layer", "-i", "top", "-f", write_tar(tmp_path / "top", above), "base")
    below = {"overlay": "overlay/{}/diff", "vfs": "vfs/dir/{}", "btrfs": "btrfs/subvolumes/{}"}
    tree = Path(ours.graph, below[ours.driver].format("base"))
    (tree / "d" / "e" / "f").unlink()
    (tree / "d" / "e").rmdir()
    os.utime(tree / "d", (WHEN, WHEN))
    found = ours.run("check", check=False).stdout.splitlines()

    assert "layer base:" == found[0]
    assert " layer base: -/d/e/, layer content modified" in found
    # Overlay shows it through, the others have a copy of their own.
    through = " layer top: -/d/e/, layer content modified" in found
    assert through == (ours.driver == "overlay")
