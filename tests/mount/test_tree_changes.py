"""changes: what a layer changes against its parent, a line each, as it is when it is read."""

import errno
import os
from pathlib import Path

import pytest

from tests.mount.shop import Shop

pytestmark = pytest.mark.needs("root", "fuse", "overlay", "containers-storage")


@pytest.fixture
def kid(shop: Shop) -> Path:
    """Give a layer with one of each kind of change, on a parent made for it."""
    shop.sh(
        "mkdir layers/par; mkdir -p layers/par/rootfs/etc; cd layers/par/rootfs; "
        "echo a > etc/stays; echo b > etc/changes; echo c > etc/goes"
    )
    shop.sh(
        "mkdir layers/par/children/kid; cd layers/kid/rootfs; "
        "echo new > etc/comes; echo bb > etc/changes; rm etc/goes"
    )
    return shop.layers / "kid"


def test_a_line_for_each_change(shop: Shop, kid: Path) -> None:
    lines = (kid / "changes").read_text().splitlines()

    assert ["C /etc", "C /etc/changes", "A /etc/comes", "D /etc/goes"] == lines
    told = shop.go.out("changes", "kid")
    assert sorted(line.split()[1].strip('"') for line in told.splitlines()) == sorted(
        line.split()[1] for line in lines
    )


def test_it_is_what_is_there_at_the_time(kid: Path) -> None:
    before = (kid / "changes").read_text()

    (kid / "rootfs" / "later").write_text("x")

    assert before + "A /later\n" == (kid / "changes").read_text()


def test_stat_computes_nothing(shop: Shop, kid: Path) -> None:
    (kid / "changes").read_text()

    status = (kid / "changes").stat()
    assert (0, 0o444) == (status.st_size, status.st_mode & 0o777)
    with shop.refused(errno.EACCES, "open", kid / "changes"):
        os.open(kid / "changes", os.O_WRONLY)


def test_odd_names_stay_on_their_line(shop: Shop) -> None:
    rootfs = os.fsencode(shop.layers / "loose" / "rootfs")
    for name in (b"new\nline", b"50%", b"\xff\xfe", "é €".encode()):
        os.close(os.open(os.path.join(rootfs, name), os.O_WRONLY | os.O_CREAT))

    lines = (shop.layers / "loose" / "changes").read_bytes().splitlines()

    assert sorted([b"A /50%25", b"A /new%0Aline", "A /é €".encode(), b"A /\xff\xfe"]) == sorted(
        line for line in lines if line != b"C /"
    )


def test_a_layer_without_its_directory_is_an_error_in_words(shop: Shop) -> None:
    layer = Path(shop.scene.store.driver.diff_path(shop.scene.loose)).parent
    layer.rename(layer.with_name("away"))
    try:
        with shop.refused(errno.EIO, "open", shop.layers / "loose" / "changes"):
            (shop.layers / "loose" / "changes").read_bytes()
    finally:
        layer.with_name("away").rename(layer)
