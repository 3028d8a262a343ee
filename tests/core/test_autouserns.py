"""
Automatic user namespaces: the ranges that podman's `--userns=auto` gives, of the same files.

Both work in a mount namespace in which /etc/subuid and /etc/subgid are those of a made-up user.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from holdfs.core.config import load_options
from holdfs.core.store import Store
from tests.conftest import GraphRun
from tests.core.test_filling import import_layer, tar_of
from tests.needs import needs

pytestmark = needs("root", "overlay", "podman")

_USER: Final = "made-up"
_SUBUID: Final = f"other:1000000:65536\n{_USER}:200000:3000\n{_USER}:500000:20000\n"
_SUBGID: Final = f"{_USER}:300000:40000\n"
#: What podman is told, and the same for us.
_WISHES: Final[list[tuple[str, dict[str, Any]]]] = [
    ("auto", {}),
    ("auto:size=1500", {"size": 1500}),
    ("auto:size=3000", {"size": 3000}),
    (
        "auto:size=10,uidmapping=5:900000:2,gidmapping=3:900000:1",
        {
            "size": 10,
            "additional_uidmap": [[5, 900000, 2]],
            "additional_gidmap": [[3, 900000, 1]],
        },
    ),
    ("auto:size=100", {"size": 100}),
    ("auto", {}),
]
_PASSWD: Final = b"root:x:0:0::/:/bin/sh\nhigh:x:1700:1800::/:/bin/sh\nnobody:x:65534:65534::/:\n"
_OURS: Final = """
import json, os, sys
from holdfs.core.autouserns import AutoMaps
from holdfs.core.config import load_options
from holdfs.core.errors import StoreError
from holdfs.core.formats.records import IdMap
from holdfs.core.store import Store
store = Store.open(load_options())
for wishes in json.loads(sys.argv[1]):
    for key in ("additional_uidmap", "additional_gidmap"):
        wishes[key] = tuple(
            IdMap(container_id=c, host_id=h, size=s) for c, h, s in wishes.get(key, ())
        )
    try:
        store.create_container(image="localhost/i:1", auto_maps=AutoMaps(**wishes))
    except StoreError as error:
        print(error)
"""


class Place:
    """A store with an image that needs some IDs, a configuration, and the files of sub-IDs."""

    def __init__(
        self,
        roots: GraphRun,
        top: Path,
        driver: str,
        options: str = "",
        owner: int = 1800,
        passwd: bytes | None = _PASSWD,
    ) -> None:
        self.roots = roots
        self.driver = driver
        top.mkdir()
        (top / "subuid").write_text(_SUBUID)
        (top / "subgid").write_text(_SUBGID)
        (top / "storage.conf").write_text(
            f'[storage]\ndriver = "{driver}"\ngraphroot = "{roots.graph}"\n'
            f'runroot = "{roots.run}"\n[storage.options]\n'
            f'root-auto-userns-user = "{_USER}"\n{options}\n'
        )
        self.top = top
        store = Store.open(load_options(graph_root=roots.graph, run_root=roots.run, driver=driver))
        import_layer(
            store,
            tar_of(("etc", None), ("etc/passwd", passwd), ("file", b"x"), uid=owner),
            layer_id="1" * 64,
        )
        store.create_described_image(layer="1" * 64, names=("localhost/i:1",))
        store.shutdown()

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        script = (
            'mount --bind "$0/subuid" /etc/subuid; mount --bind "$0/subgid" /etc/subgid; exec "$@"'
        )
        return subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "bash", "-ec", script,
             str(self.top), "env", f"CONTAINERS_STORAGE_CONF={self.top}/storage.conf", *command],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )  # fmt: skip

    def podman_create(self, userns: str) -> "subprocess.CompletedProcess[str]":
        words = ("create", "--network", "none", "--userns", userns, "localhost/i:1", "true")
        return self.run("podman", "--tmpdir", f"{self.roots.run}/libpod", *words)

    def maps(self) -> list[tuple[Any, Any]]:
        """Return the maps of all containers, in the order in which they were made."""
        path = Path(self.roots.graph, f"{self.driver}-containers/containers.json")
        return [(c.get("uidmap"), c.get("gidmap")) for c in json.loads(path.read_bytes())]


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_maps_are_those_that_podman_gives(
    driver: str, stores: Callable[[], GraphRun], tmp_path: Path
) -> None:
    theirs = Place(stores(), tmp_path / "theirs", driver)
    ours = Place(stores(), tmp_path / "ours", driver)

    for wish, _ in _WISHES:
        done = theirs.podman_create(wish)
        assert 0 == done.returncode, done.stderr
    done = ours.run(sys.executable, "-c", _OURS, json.dumps([given for _, given in _WISHES]))

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    assert theirs.maps() == ours.maps()
    uids = {m["host_id"] for uidmap, _ in ours.maps() for m in uidmap}
    assert 200_000 in uids and 500_000 in uids
    # In both stores: the one goes on where the other has ended.
    assert len(_WISHES) == len(ours.maps())


def test_one_does_not_give_what_the_other_has_given(
    stores: Callable[[], GraphRun], tmp_path: Path
) -> None:
    place = Place(stores(), tmp_path / "both", "overlay")
    for _ in range(2):
        done = place.run(sys.executable, "-c", _OURS, '[{"size": 1000}]')
        assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
        done = place.podman_create("auto:size=1000")
        assert 0 == done.returncode, done.stderr
    taken = [
        (m["host_id"] + n) for uidmap, _ in place.maps() for m in uidmap for n in range(m["size"])
    ]
    assert len(taken) == len(set(taken)) == 4000


def test_what_can_not_be_given_is_refused_and_nothing_made(
    stores: Callable[[], GraphRun], tmp_path: Path
) -> None:
    place = Place(stores(), tmp_path / "both", "overlay", "auto-userns-max-size = 1500")

    done = place.run(sys.executable, "-c", _OURS, '[{"size": 25000}, {}, {"size": 23000}]')

    assert "" == done.stderr
    too_few, too_large = done.stdout.splitlines()
    assert _USER in too_few and "/etc/subuid" in too_few
    assert "1801 IDs" in too_large and "auto-userns-max-size" in too_large
    assert 1 == len(place.maps())


def test_the_highest_account_of_the_image_sets_the_size(
    stores: Callable[[], GraphRun], tmp_path: Path
) -> None:
    # As 1.43: 1800 IDs, from 0 on, so that group 1800 itself has none.
    place = Place(stores(), tmp_path / "one", "overlay", owner=7)

    place.run(sys.executable, "-c", _OURS, "[{}]")

    [([uids], [gids])] = place.maps()
    assert 1800 == uids["size"] == gids["size"]


@pytest.mark.parametrize("passwd", [None, b"long:x:" + b"9" * 5000 + b":0::/:\n"])
def test_an_image_without_a_sound_passwd_gets_the_least(
    passwd: bytes | None, stores: Callable[[], GraphRun], tmp_path: Path
) -> None:
    # (None makes a directory of that name.)
    place = Place(stores(), tmp_path / "one", "overlay", owner=7, passwd=passwd)

    done = place.run(sys.executable, "-c", _OURS, "[{}]")

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    [([uids], [gids])] = place.maps()
    assert 1024 == uids["size"] == gids["size"]


def test_a_layer_that_is_its_own_ancestor_ends_the_search(
    stores: Callable[[], GraphRun], tmp_path: Path
) -> None:
    place = Place(stores(), tmp_path / "one", "overlay")
    path = Path(place.roots.graph, "overlay-layers/layers.json")
    [layer] = json.loads(path.read_bytes())
    path.write_text(json.dumps([{**layer, "parent": layer["id"]}]))

    done = place.run(sys.executable, "-c", _OURS, "[{}]")

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    assert 1 == len(place.maps())
