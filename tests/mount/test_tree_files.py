"""`files`: content that the daemon serves, beside the same content at the kernel's own speed."""

import errno
import io
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mount.contents import (
    CAPABILITY,
    LARGE_END,
    LARGE_SIZE,
    LINKS,
    LONG_NAME,
    RAW_NAME,
    census,
    fill,
    hide,
)
from tests.mount.daemons import PATIENCE_S, serving
from tests.mount.scene import Scene
from tests.mount.shop import Shop
from tests.mounts import unmount_below
from tests.needs import needs
from tests.peers import DEMO_IMAGE, DEMO_MOTD, GoStore

pytestmark = pytest.mark.needs("root", "fuse", "overlay", "containers-storage")


@pytest.fixture(scope="module", params=["overlay", "vfs"])
def all_of_it(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """Give a mount with an image `all` of one of everything, for tests that change nothing."""
    top = os.path.realpath(tempfile.mkdtemp(prefix="holdfs"))
    graph, run = f"{top}/graph", f"{top}/run"
    for directory in (graph, run):
        os.mkdir(directory, 0o700)
    root = tmp_path_factory.mktemp("files") / "mnt"
    try:
        scene = Scene(graph, run, request.param)
        fill(scene, scene.loose)
        scene.store.create_layer(parent="loose", names=["over"])
        hide(scene, "over")
        scene.store.create_image(layer="over", names=["all"])
        with serving(graph, run, root, "files", driver=request.param) as daemon:
            yield Shop(scene, daemon)
    finally:
        unmount_below(top)
        shutil.rmtree(top)


@pytest.fixture
def files(all_of_it: Shop) -> Path:
    """Give the top of that image's content, as it is served."""
    return all_of_it.images / "all" / "files"


@pytest.fixture
def rootfs(all_of_it: Shop) -> Path:
    """Give the same, mounted."""
    return Path(os.path.realpath(all_of_it.images / "all" / "rootfs"))


# -- the same content --------------------------------------------------------------------------


def test_every_entry_is_as_in_rootfs(files: Path, rootfs: Path) -> None:
    served, mounted = census(files.resolve()), census(rootfs)

    assert mounted.keys() == served.keys()
    for path, line in mounted.items():
        assert line == served[path], path
    assert {os.path.join(b"odd", RAW_NAME), b"odd/new\nline"} < served.keys()
    assert f"odd/{LONG_NAME}".encode() in served


def test_diff_finds_no_difference_but_links(files: Path, rootfs: Path) -> None:
    done = subprocess.run(
        ["diff", "-r", "--no-dereference", "-x", "links", "-x", "large", f"{rootfs}/", f"{files}/"],
        capture_output=True,
        timeout=PATIENCE_S,
    )
    # What it says of devices and fifos, on either side, it says of equal ones too.
    said = [line for line in done.stdout.splitlines() if not line.startswith(b"File ")]
    assert ([], b"") == (said, done.stderr)


def test_tar_makes_the_same_archive_of_both(files: Path, rootfs: Path) -> None:
    def archive(top: Path) -> bytes:
        words = ["tar", "c", "--sort=name", "--xattrs", "--xattrs-include=*", "--format=pax"]
        words += [
            "--pax-option=delete=atime,delete=ctime",
            "--exclude=./links",
            "--exclude=./large",
        ]
        done = subprocess.run(
            [*words, "-C", str(top), "."], capture_output=True, check=True, timeout=PATIENCE_S
        )
        return done.stdout

    served = archive(files)
    assert archive(rootfs) == served
    with tarfile.open(fileobj=io.BytesIO(served)) as tar:
        assert [True, False] == sorted(
            (tar.getmember(name).islnk() for name in ("./hard-a", "./etc/hard-b")), reverse=True
        )


def test_what_a_layer_hides_is_hidden(files: Path) -> None:
    assert [] == os.listdir(files / "gone")
    assert ["new"] == os.listdir(files / "opaque")
    assert not (files / "gone" / "file").exists()


def test_owners_are_those_of_the_content(files: Path) -> None:
    found = (files / "home" / "notes").stat()
    assert (1000, 1001, 0o100600) == (found.st_uid, found.st_gid, found.st_mode)


def test_names_of_one_file_are_one_inode(files: Path) -> None:
    first, second = (files / "hard-a").stat(), (files / "etc" / "hard-b").stat()
    assert (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)
    assert 2 == first.st_nlink == second.st_nlink


def test_inodes_are_the_same_in_the_next_mount(all_of_it: Shop, tmp_path: Path) -> None:
    def inodes(top: Path) -> dict[str, int]:
        return {str(p.relative_to(top)): p.lstat().st_ino for p in (top, *top.rglob("*"))}

    go = all_of_it.go
    before = inodes((all_of_it.images / "all" / "files").resolve())
    with serving(go.graph, go.run_root, tmp_path / "mnt", "files", driver=go.driver) as daemon:
        again = inodes((daemon.root / "images" / "all" / "files").resolve())
    assert before == again
    # But for the two names of one file each inode is of its own.
    assert len(before) - 1 == len(set(before.values()))


def test_a_file_over_4_gib_is_read_near_its_end(files: Path) -> None:
    with (files / "large").open("rb") as file:
        assert LARGE_SIZE == os.fstat(file.fileno()).st_size
        assert b"\0" * 100 + LARGE_END == os.pread(
            file.fileno(), 1000, LARGE_SIZE - len(LARGE_END) - 100
        )
        assert b"" == os.pread(file.fileno(), 10, LARGE_SIZE)


def test_holes_are_told_by_blocks(files: Path) -> None:
    found = (files / "sparse").stat()
    assert found.st_blocks * 512 < found.st_size
    data = (files / "sparse").read_bytes()
    assert b"begin" + b"\0" * ((1 << 20) - 5) + b"end" == data


def test_attributes_of_the_content_can_be_read(files: Path) -> None:
    assert CAPABILITY == os.getxattr(files / "ping", "security.capability")
    assert ["security.capability"] == os.listxattr(files / "ping")
    assert b"\x00\xff" == os.getxattr(files / "etc" / "motd", "user.mark")
    assert [] == os.listxattr(files / "hard-a")
    for name, number in (("user.other", errno.ENODATA), ("trusted.overlay.opaque", errno.ENOTSUP)):
        with pytest.raises(OSError) as caught:
            os.getxattr(files / "opaque", name)
        assert number == caught.value.errno


def test_the_object_is_told_by_its_attribute(all_of_it: Shop, files: Path) -> None:
    image_id = (all_of_it.images / "all" / "id").read_text().strip()
    assert image_id == os.getxattr(files / "etc" / "motd", "user.holdfs.id").decode()


# -- links -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LINKS)
def test_links_stay_inside(files: Path, rootfs: Path, name: str) -> None:
    text, shown = LINKS[name]
    link = files / "links" / name

    assert text == os.readlink(rootfs / "links" / name)
    assert shown == os.readlink(link)
    assert len(shown) == link.lstat().st_size
    top = files.resolve()
    assert os.path.realpath(link).startswith(str(top))


def test_links_lead_to_what_they_mean(files: Path) -> None:
    for name in ("absolute", "relative", "climbing", "by-a-link", "by-the-top"):
        assert "base\n" == (files / "links" / name).read_text(), name
    for name in ("absolute-top", "climbing-out", "to-top"):
        assert (files / "links" / name).samefile(files), name
    for name in ("dangling", "dangling-absolute"):
        assert not (files / "links" / name).exists(), name
    with pytest.raises(OSError) as caught:
        (files / "links" / "round").stat()
    assert errno.ELOOP == caught.value.errno


# -- what is not read --------------------------------------------------------------------------


def test_devices_are_not_opened_and_a_fifo_is_the_kernels(files: Path) -> None:
    with pytest.raises(PermissionError):
        os.open(files / "dev" / "null", os.O_RDONLY)
    # A reader that does not wait; no writer of the daemon's is on its other end.
    reader = os.open(files / "dev" / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert b"" == os.read(reader, 1)
    finally:
        os.close(reader)
    with pytest.raises(OSError) as caught:
        os.open(files / "dev" / "fifo", os.O_WRONLY | os.O_NONBLOCK)
    assert errno.ENXIO == caught.value.errno


def test_recursive_tools_stay_out(all_of_it: Shop) -> None:
    said = all_of_it.sh(
        "find . -name motd; grep -rl 'of uid 1000' --exclude=diff.tar . || true;"
        "tar c --exclude=diff.tar . | tar t | grep motd || true"
    )
    assert "" == said
    assert [] == os.listdir(all_of_it.root / ".files")
    assert [] == os.listdir(all_of_it.root / ".files" / "images")
    assert ".files" not in os.listdir(all_of_it.root)


def test_the_link_leads_there_from_every_depth(all_of_it: Shop) -> None:
    image = (all_of_it.images / "all" / "id").read_text().strip()
    for path in ("images/all", f"images/{image}", "layers/over/images/all"):
        target = os.readlink(all_of_it.root / path / "files")
        assert f".files/images/{image}" == os.path.normpath(f"{path}/{target}")
    assert (all_of_it.layers / "over" / "files" / "etc").is_dir()
    assert not (all_of_it.root / ".files" / "images" / "all").exists()


Act = Callable[[Path], object]
ACTS: dict[str, tuple[str, Act]] = {
    "create": ("create", lambda top: (top / "etc" / "new").touch()),
    "raw": ("create", lambda top: (top / "etc" / os.fsdecode(RAW_NAME)).touch()),
    "write": ("open", lambda top: os.open(top / "etc" / "motd", os.O_WRONLY)),
    "truncate": ("setattr", lambda top: os.truncate(top / "etc" / "motd", 0)),
    "mkdir": ("mkdir", lambda top: (top / "new").mkdir()),
    "symlink": ("symlink", lambda top: (top / "new").symlink_to("etc")),
    "link": ("link", lambda top: os.link(top / "ping", top / "new")),
    "mknod": ("mknod", lambda top: os.mkfifo(top / "new")),
    "unlink": ("unlink", lambda top: (top / "ping").unlink()),
    "rmdir": ("rmdir", lambda top: (top / "deep").rmdir()),
    "rename": ("rename", lambda top: (top / "ping").rename(top / "etc" / "new")),
    "chmod": ("setattr", lambda top: (top / "ping").chmod(0o600)),
    "chown": ("setattr", lambda top: os.chown(top / "ping", 1, 1)),
    "utime": ("setattr", lambda top: os.utime(top / "etc")),
}


@pytest.mark.parametrize("act", ACTS)
def test_nothing_can_be_changed(all_of_it: Shop, files: Path, act: str) -> None:
    operation, do = ACTS[act]
    before = len(all_of_it.errors())

    with pytest.raises(OSError) as caught:
        do(files)

    assert errno.EROFS == caught.value.errno
    (line,) = all_of_it.errors()[before:]
    assert f"  {operation}  .files/images/" in line and "  EROFS  files shows " in line


# -- the switch --------------------------------------------------------------------------------


def test_without_the_option_there_is_none(shop: Shop) -> None:
    assert not os.path.lexists(shop.images / "shop" / "files")
    assert not (shop.root / ".files").exists()


def test_an_owner_named_by_options_is_that_of_content_too(scene: Scene, root: Path) -> None:
    fill(scene, scene.loose)
    with serving(scene.go.graph, scene.go.run_root, root, "files", "uid=1234") as daemon:
        notes = daemon.root / "layers" / "loose" / "files" / "home" / "notes"
        assert (1234, os.getgid()) == (notes.stat().st_uid, notes.stat().st_gid)
        assert stat.S_IFREG | 0o600 == notes.stat().st_mode


@needs("buildah", "busybox")
def test_an_image_of_buildahs_is_served(demo_store: GoStore, root: Path) -> None:
    with serving(demo_store.graph, demo_store.run_root, root, "files"):
        image = root / "images" / DEMO_IMAGE.replace("/", "%2F")
        assert DEMO_MOTD == (image / "files" / "etc" / "motd").read_text()
        mounted = census(os.path.realpath(image / "rootfs"))
        assert mounted == census(os.path.realpath(image / "files"))
