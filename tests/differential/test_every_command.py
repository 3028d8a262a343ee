"""
Every command of the table, beside the real tool on an equal store, command line for command line.

Compared are exit status, both streams, and all that is in the stores after each row. Where the
newest behaviour, which we follow, is not 1.43's, `NEWEST` changes the expectation by name.
What 1.43 lacks altogether is in tests/cli/test_newer_commands.py.
"""

import gzip
import json
import os
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfs.core.cli import table
from tests.cli.test_usage import NEWER_COMMANDS
from tests.differential.live import Comparable, Live
from tests.differential.outcomes import Outcome, Plainer
from tests.differential.test_commands import LISTS, MOUNTS
from tests.needs import needs

pytestmark = needs("root", "overlay", "containers-storage")

NO_SUCH_DIGEST = "sha256:" + "0" * 64
ONES = "sha256:" + "1" * 64

#: Command lines in a row, on one store each; what stands after "<" is the input.
ROWS = [
    # Creating.
    ["create-layer -i new", "create-layer -j -i new2 -n x -n y new", "layers"],
    ["createlayer -n x -n y -l some:label lone-name", "layers -j"],
    ["create-layer -r -i new base-name", "create-layer -i base", "create-layer nope"],
    ["create-layer -n base-name", "create-layer -i new -n free -n lone-name base"],
    ["create-image -i new", "create-image -j -i new2 -n x -n x -n y top", "images"],
    ["createimage -n x child-name", "images -j"],
    ["create-image -i one", "create-image -n a", "create-image nope"],
    [f"create-image -i new -d {ONES} -m text", "image new", f"images-by-digest {ONES}"],
    ["create-image -d sha256:12", "create-image -d md5:12", "create-image -d x"],
    ["create-image -i new -m x -f /etc/hostname", "metadata new", "create-image -f /no/file"],
    ["create-container -i new one", "create-container -j -i new2 -n x a", "containers"],
    ["createcontainer -i new -n x -n y -m text two", "container new"],
    ["create-container one", "create-container -i new --volatile c", "create-container -i new ''"],
    ["create-container nope", "create-container -i c1 one", "create-container -n zero one"],
    ["create-container -i new -f /etc/hostname none", "metadata new"],
    # ID maps.
    [
        "create-layer --uidmap 0:1000:100 --gidmap 0:2000:100 -i new base",
        "create-layer --uidmap 0:1000:100 -i new2 lone",
        "create-layer --hostuidmap -i new3 new",
        "create-layer -i new4 new",
        "layer new new2 new3 new4",
        "layer-parent-owners -j new",
        "mount new",
        "layer-parent-owners new",
        "layer-parent-owners -j new new3",
        "layers -j",
        "unmount new",
    ],
    ["create-layer --uidmap 0:1", "create-layer --uidmap x", "create-layer --gidmap 0:1:x"],
    ["create-layer --hostuidmap --uidmap 0:1:2", "create-layer --hostgidmap --gidmap 0:1:2"],
    ["create-layer --subuidmap nobody-here", "create-layer --subgidmap nobody-here"],
    [
        "create-container -i k0 --hostuidmap --hostgidmap one",
        "create-container -i k1 --uidmap 0:1000:100 --gidmap 0:2000:100 one",
        "create-container -i k2 --uidmap 0:1000:100 --gidmap 0:2000:100 one",
        "create-container -i k3 --uidmap 0:3000:100 two",
        "container k0 k1 k3",
        "container-parent-owners k1",
        "images -j",
        "containers -j",
        "layers -j",
        "delete-layer top",
        "delete-container k1",
    ],
    # Tar streams in.
    [
        "import-layer -i new -n new-name -f {tar}",
        "importlayer -j -f {tar}.gz base",
        "import-layer -i empty new",
        "import-layer -i no -f /etc/hostname",
        "import-layer -i no -f /no/file",
        "import-layer -i base -f {tar}",
        "import-layer -f {tar} nope",
        "import-layer --uidmap 0:5:9 --gidmap 0:6:9 -i mapped -f {tar}",
        "layers -j",
    ],
    [
        "applydiff -f {tar} lone",
        "apply-diff -f {tar}.gz lone-name",
        "applydiff -f {tar} nope",
        "applydiff -f /no/file lone",
        "applydiff new",
        "layer -j lone",
    ],
    # What layers change.
    [
        "import-layer -i new -f {tar} base",
        "diff -u new",
        "diff -u new base",
        "diff new new",
        "diff -b new",
        "diff --bz2 -x new",
        "diff nope",
        "diff -f {graph}/made nope",
        "diff -f /no/dir new",
        "diffsize new",
        "changes new",
        "changes -j new",
    ],
    [
        "import-layer -i new -f {tar}",
        "create-layer -i next new",
        "copy /etc/hostname next:/a/file",
        'copy /etc/hostname next:/a/b/one\tmore"é',
        "changes next",
        "changes -j next",
        "changes next nope",
        "changes next lone",
        "changes -j lone next",
        "changes next next",
        "changes -j next next",
        "changes nope",
        "diffsize next",
        "diff-size next lone",
        "diffsize nope",
        "image one",
    ],
    # Looking.
    ["layer base child nope lone-name", "layer -j base child", "layer -j nope", "layer nope"],
    ["layer ba", "layer b", "layer ''"],
    ["image one two none spare-name", "image a nope c", "image -j one c", "image -j nope"],
    ["container c1 c0 first", "container nope uno", "container -j c1 zero", "container -j nope"],
    ["images-by-digest sha256:12", "images-by-digest x", "images-by-digest md5:12"],
    [f"images-by-digest {NO_SUCH_DIGEST}", f"images-by-digest -j {NO_SUCH_DIGEST}"],
    [f"images-by-digest {ONES}", f"images-by-digest -q {ONES}", f"images-by-digest -j {ONES}"],
    [
        "layer-parent-owners base nope",
        "layer-parent-owners -j base child",
        "mount lone",
        "layer-parent-owners lone",
        "unmount lone",
    ],
    ["container-parent-owners c1 zero nope", "container-parent-owners -j first c0"],
    ["exists base one c1", "exists base nope", "exists -j one nope one", "exists -q nope"],
    ["exists -q base", "exists -l base", "exists -l one", "exists -i one", "exists -c c1 uno"],
    ["exists -li base", "exists -cq one", "exists ''"],
    ["status", "status -j"],
    # Data items.
    ["list-layer-data base", "listlayerdata -j base-name", "list-layer-data lone"],
    ["list-layer-data nope", "list-image-data nope", "list-container-data nope"],
    ["list-image-data one", "listimagedata -j a", "list-image-data -j two"],
    ["list-container-data c1", "listcontainerdata -j first", "list-container-data -j c0"],
    ["get-layer-data base some-data", "getlayerdata base nope", "get-layer-data nope x"],
    ["get-layer-data base ''", "get-image-data one ''", "get-container-data c1 ''"],
    ["get-image-data one manifest", "getimagedata a 'odd key'", "get-image-data one nope"],
    ["get-image-data nope x", "get-image-data -f {graph}/out one manifest ignored"],
    ["get-image-data -f {graph}/made nope x", "get-image-data -f /no/dir one manifest"],
    ["get-container-data c1 config.json", "getcontainerdata uno nope", "get-container-data x y"],
    ["get-image-data-size one manifest", "getimagedatasize a nope", "get-image-data-size x y"],
    ["get-image-data-size one ''", "get-image-data-digest one ''"],
    ["get-container-data-size c1 ''", "get-container-data-digest c1 ''"],
    ["get-image-data-digest one manifest", "getimagedatadigest a nope"],
    ["get-container-data-size c1 config.json", "getcontainerdatasize c1 nope"],
    ["get-container-data-digest c1 config.json", "getcontainerdatadigest c1 nope"],
    ["set-layer-data base x <text", "setlayerdata base some-data", "set-layer-data nope x"],
    ["set-layer-data base ''", "set-image-data one ''", "set-container-data c1 ''"],
    ["set-image-data one manifest <{}", "image one", "setimagedata c manifest-x <{}", "image two"],
    ["set-image-data one 'odd key' <odd", "set-image-data -f /etc/hostname none a-b", "images -j"],
    ["set-image-data nope x", "set-image-data -f /no/file one x"],
    ["set-container-data c1 config.json <{1}", "set-container-data zero é <é", "containers -j"],
    ["setcontainerdata nope x <1", "set-container-data -f /etc/hostname c1 x y z"],
    # Directories.
    ["get-container-dir c1", "getcontainerdir first", "get-container-dir nope"],
    ["get-container-run-dir c1", "getcontainerrundir uno", "get-container-run-dir nope"],
    ["get-container-dir c1", "container c1"],
    # Names and metadata.
    ["get-names base", "getnames -j a", "get-names c1", "get-names top", "get-names -j nope"],
    ["set-names -n x -n y one", "set-names -j -n c one", "setnames -j two", "images -j"],
    ["set-names -n first zero", "set-names -n lone-name base", "layers -j", "containers -j"],
    ["set-names -n x nope", "set-names one", "set-names -n x -n x base ignored", "get-names base"],
    ["add-names -n c two", "addnames -j -n c two", "add-names -j two", "images -j"],
    ["add-names -n x top", "add-names -j none", "add-names -n x nope"],
    ["metadata one base c1", "metadata one nope a", "metadata -q one nope", "metadata -j one nope"],
    [
        "set-metadata -m new one",
        "set-metadata -m '<&>' base",
        "setmetadata -f /etc/hostname c1",
        "metadata one base c1",
        "metadata -j base",
        "layers -j",
    ],
    ["set-metadata one", "set-metadata -m '' one", "set-metadata -m x nope"],
    ["set-metadata -m x -f /no/file one"],
    # Mounting; more rows of it are in test_commands.py.
    [
        "mounted c1 nope lone",
        "mount c1 lone",
        "mounted c1 lone base",
        "mounted -j c1 nope base",
        "unmount c1 lone",
        "mounted -j c1",
    ],
    # Deleting.
    ["delete-layer base", "delete-layer top", "delete-layer one", "delete-layer -j nope base top"],
    ["delete-layer lone-name", "deletelayer lone", "layers"],
    ["delete-image one", "delete-image -j one nope", "delete-image -t one", "delete-image base"],
    ["delete-image -t spare", "delete-image -jt spare", "delete-image spare-name", "layers"],
    [
        "delete-container c1",
        "delete-image -t one",
        "delete-image -tj spare",
        "delete-image spare",
        "delete-image -j one",
        "layers",
        "images",
    ],
    ["delete-container -j c1 c1", "deletecontainer zero nope", "containers"],
    ["deleteimage none none", "delete-image two c", "layers"],
    ["delete base", "delete -j child nope", "layers", "images"],
    ["delete one", "delete a", "layers", "delete c1 zero", "containers", "delete -j one"],
    ["mount c1 lone", "delete c1", "delete-layer lone", "layers -t"],
    ["wipe", "layers", "images -j", "wipe -j"],
    # The end of it.
    ["mount c1", "shutdown", "shutdown -j", "unmount c1", "shutdown", "shutdown -j"],
    # Copying.
    ["copy /etc/hostname lone:/x", "copy lone:/x {graph}/y", "copy lone:x base:z"],
    ["copy /etc/hostname nope:/x", "copy nope:/x /x", "copy /no/file lone:/x"],
    ["copy --chown 5:6 /etc/hostname lone:/x", "copy -j /etc/default lone:/a/b/c"],
    ["copy /etc/hostname lone-name:/b/", "copy --chown 5 /etc/hostname /etc/passwd lone:/c/d"],
]


def split(line: str) -> tuple[list[str], str]:
    """Return a command line's words and its input; quotes hold words together."""
    command, _, given = line.partition(" <")
    words = [quoted or plain for quoted, plain in re.findall(r"'([^']*)'|([^' ]+)", command)]
    return words, given


@pytest.fixture
def tar(tmp_path: Path) -> str:
    """Give the path of a tar with a bit of everything, and of the same with .gz behind it."""
    top = tmp_path / "top"
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "file").write_text("content\n")
    (top / "a" / "b" / "other").write_bytes(b"x" * 5000)
    os.link(top / "a" / "file", top / "a" / "again")
    (top / "link").symlink_to("a/file")
    os.mkfifo(top / "a" / "fifo")
    os.chown(top / "a" / "b", 3, 4)
    path = tmp_path / "some.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(top, ".")
    Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    return str(path)


@pytest.mark.parametrize("row", ROWS, ids="; ".join)
def test_a_row_of_commands_is_the_real_tools(
    twins_on_each_driver: tuple[Live, Live], tar: str, row: list[str]
) -> None:
    theirs, ours = twins_on_each_driver
    their_plainer, our_plainer = Plainer(theirs), Plainer(ours)
    base = b"".join(map(ours.file, ("layers", "images", "containers")))

    for line in row:
        words, given = split(line.replace("{tar}", tar))
        expected = newest(words, their_plainer.run(theirs.go, words, given))
        said = our_plainer.run(ours.holdctl, words, given)
        assert alike(words, expected) == alike(words, said), line
    assert Comparable(theirs, base).content() == Comparable(ours, base).content()


def test_every_command_and_alias_is_in_the_table_above() -> None:
    rows = [split(line)[0][0] for row in ROWS for line in row]
    rows += [words[0] for words in LISTS] + [words[0] for row in MOUNTS for words in row]
    # Told apart elsewhere: what 1.43 lacks, and `version`, of which it prints nothing.
    elsewhere = {*NEWER_COMMANDS, "version"}
    missing = [
        name
        for command in table.COMMANDS
        for name in command.names
        if not elsewhere.intersection(command.names) and name not in rows
    ]
    assert not missing


def alike(words: list[str], outcome: Outcome) -> Outcome:
    """Return the outcome without what neither tool promises."""
    if words[0] == "exists" or words[0].startswith("delete"):
        # Go's maps have no order.
        streams = ["".join(sorted(text.splitlines(keepends=True))) for text in outcome[1:]]
        return Outcome(outcome.status, *streams)
    if words[0] == "changes":
        # Ours are sorted.
        text = outcome.stdout
        if text.startswith("["):
            found = sorted(json.loads(text), key=lambda change: str(change["Path"]))
            return outcome._replace(stdout=json.dumps(found))
        return outcome._replace(stdout="".join(sorted(text.splitlines(keepends=True))))
    if words[0] in ("import-layer", "applydiff") and "unexpected EOF" in outcome.stderr:
        # Only the inner reason is worth matching: spec cli 7.4.
        return outcome._replace(stderr="unexpected EOF")
    return outcome


# -- where the newest tool is not 1.43 ------------------------------------------------------------


def newest(words: list[str], outcome: Outcome) -> Outcome:
    """Return what the newest tool gives where 1.43 gave `outcome`."""
    for names, change in NEWEST:
        if words[0] in names:
            outcome = change(words, outcome)
    return outcome


def _null_for_no_layers(words: list[str], outcome: Outcome) -> Outcome:
    return outcome._replace(stdout="null\n") if outcome.stdout == "[]\n" else outcome


def _a_newline_after_each_name(words: list[str], outcome: Outcome) -> Outcome:
    if "\t" not in outcome.stdout:
        return outcome
    return outcome._replace(stdout=re.sub(r"(?<!\n)\t", "\n\t", outcome.stdout) + "\n")


def _no_argument_before_a_bad_digest(words: list[str], outcome: Outcome) -> Outcome:
    return outcome._replace(stderr=outcome.stderr.removeprefix(f"{words[-1]}: "))


def _more_status(words: list[str], outcome: Outcome) -> Outcome:
    from tests.differential.test_commands import newest as of_lists

    status, stdout, stderr = of_lists(words, list(outcome))
    assert isinstance(status, int)
    return Outcome(status, str(stdout), str(stderr))


NEWEST: list[tuple[tuple[str, ...], Callable[[list[str], Outcome], Outcome]]] = [
    (("layers",), _null_for_no_layers),
    (("create-container", "createcontainer"), _a_newline_after_each_name),
    (("images-by-digest",), _no_argument_before_a_bad_digest),
    (("status",), _more_status),
]
