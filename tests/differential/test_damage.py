"""
Damaged files in a real store: refused with file and position, never written over, others served.

1.43 takes what it can decode of such a file and saves that; the newest Go code refuses, as we do.
"""

from collections.abc import Callable

import pytest

from holdfs.core.errors import StoreDamaged
from holdfs.core.store import Store
from tests.differential.live import KINDS, Live
from tests.needs import needs

pytestmark = needs("root", "containers-storage")

CHANGES: dict[str, Callable[[Store], object]] = {
    "layers": lambda s: s.set_metadata("layers", "lone", "x"),
    "images": lambda s: s.set_metadata("images", "two", "x"),
    "containers": lambda s: s.set_metadata("containers", "c0", "x"),
}
#: What needs other kinds, too.
WIDE: dict[str, list[Callable[[Store], object]]] = {
    "layers": [
        lambda s: s.create_layer(),
        lambda s: s.create_image(layer="base"),
        lambda s: s.create_container(image="one"),
        lambda s: s.mount("c1"),
        lambda s: s.delete_container("c1"),
        lambda s: s.wipe(),
    ],
    "images": [
        lambda s: s.create_image(),
        lambda s: s.create_container(image="one"),
        lambda s: s.delete_layer("lone"),
        lambda s: s.delete_image("two"),
        lambda s: s.wipe(),
    ],
    "containers": [
        lambda s: s.create_container(),
        lambda s: s.delete_image("two"),
        lambda s: s.delete_layer("lone"),
        lambda s: s.create_layer(parent="top"),
        lambda s: s.wipe(),
    ],
}


def _whole(live: Live) -> dict[str, bytes]:
    return {kind: live.file(kind) for kind in KINDS}


@pytest.mark.parametrize("cut", [-1, -30, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_file_is_refused_and_nothing_is_written(
    twins: tuple[Live, Live], kind: str, cut: int
) -> None:
    live, _ = twins
    path = live.path(kind)
    path.write_bytes(path.read_bytes()[:cut])
    before = _whole(live)
    store = live.store

    for change in (CHANGES[kind], *WIDE[kind]):
        with pytest.raises(StoreDamaged) as caught:
            change(store)
        assert (str(path), len(before[kind])) == (caught.value.path, caught.value.position)
    assert before == _whole(live)


@pytest.mark.parametrize("kind", KINDS)
def test_one_bad_record_is_enough_to_refuse_every_change(
    twins: tuple[Live, Live], kind: str
) -> None:
    live, _ = twins
    path = live.path(kind)
    # The first record: of a layer with children, an image with a container, that container.
    path.write_bytes(path.read_bytes().replace(b'"created":"2', b'"created":"x2', 1))
    before = _whole(live)
    store = live.store

    for change in (CHANGES[kind], *WIDE[kind]):
        if kind == "layers" and change is WIDE[kind][3]:
            continue  # mounting needs one layer's record, and that one is good
        with pytest.raises(StoreDamaged) as caught:
            change(store)
        assert (str(path), 1) == (caught.value.path, caught.value.position)
    assert before == _whole(live)


@pytest.mark.parametrize("kind", KINDS)
def test_the_other_kinds_are_served_and_changed(twins: tuple[Live, Live], kind: str) -> None:
    live, whole = twins
    live.path(kind).write_bytes(b"[{]")
    store = live.store

    for other in KINDS:
        if other != kind:
            assert whole.our_view(other) == live.our_view(other)
            CHANGES[other](store)
            assert live.file(other) != whole.file(other)
    assert b"[{]" == live.file(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_listing_of_a_damaged_kind_fails_in_one_line(twins: tuple[Live, Live], kind: str) -> None:
    live, whole = twins
    path = live.path(kind)
    path.write_bytes(path.read_bytes()[:-1])

    for option in ("--json", "--json=false"):
        failed = live.holdctl.run(kind, option, check=False)
        assert (1, "") == (failed.returncode, failed.stdout)
        assert failed.stderr.startswith(f'loading "{path}": ')
        assert 1 == failed.stderr.count("\n")
    for other in KINDS:
        if other != kind:
            expected = whole.holdctl.run(other, "--json").stdout
            assert expected == live.holdctl.run(other, "--json").stdout


@pytest.mark.parametrize("kind", ["images", "containers"])
def test_layers_are_listed_without_what_cannot_be_read_and_the_status_says_so(
    twins: tuple[Live, Live], kind: str
) -> None:
    live, whole = twins
    live.path(kind).write_bytes(b"[")

    listed = live.holdctl.run("layers", check=False)

    assert 1 == listed.returncode
    assert listed.stderr.startswith(f'loading "{live.path(kind)}": ')
    user = kind.removesuffix("s")
    whole_lines = whole.holdctl.run("layers").stdout.split("\n")
    expected = []
    of_user = False
    for line in whole_lines:
        # A user's names are indented once more, below it.
        of_user = line.startswith(f"\t{user}: ") or (of_user and line.startswith("\t\t"))
        if not of_user:
            expected.append(line)
    assert expected == listed.stdout.split("\n")


def test_a_damaged_mount_table_stops_mounting_only(twins: tuple[Live, Live]) -> None:
    live, whole = twins
    live.path("mountpoints").write_bytes(b"[{")
    store = live.store

    for change in (lambda: store.mount("c1"), lambda: store.unmount("c1"), store.shutdown):
        with pytest.raises(StoreDamaged) as caught:
            change()
        assert str(live.path("mountpoints")) == caught.value.path
    assert b"[{" == live.file("mountpoints")
    for kind in KINDS:
        assert whole.our_view(kind) == live.our_view(kind)
        CHANGES[kind](store)
