"""What others change in the store shows in the mount, however the kernel has cached it."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.mount.daemons import Daemon, eventually, serving
from tests.mount.scene import Scene
from tests.mount.shop import Shop

pytestmark = pytest.mark.needs("root", "fuse", "overlay", "containers-storage")


def look(path: Path) -> object:
    """Return what one sees of a path, so that the kernel has it cached afterwards."""
    try:
        if path.is_symlink():
            return os.readlink(path)
        return sorted(os.listdir(path)) if path.is_dir() else path.read_text()
    except FileNotFoundError:
        return None


def shows(path: Path, expected: object) -> bool:
    return look(path) == expected


@pytest.fixture(params=["default", "strict"])
def any_shop(request: pytest.FixtureRequest, scene: Scene, root: Path) -> Iterator[Shop]:
    """Give the shop, mounted with either way to stay fresh."""
    options = [request.param] if request.param == "strict" else []
    with serving(scene.go.graph, scene.go.run_root, root, *options) as daemon:
        yield Shop(scene, daemon)


def test_what_containers_storage_changes_shows(any_shop: Shop) -> None:
    shop = any_shop
    image, web = shop.scene.image, shop.scene.web.id
    acts: list[tuple[list[str], dict[str, object]]] = [
        (
            ["add-names", "-n", "extra", image],
            {"images/by-name": ["extra", "shop"], f"images/{image}/names": "shop\nextra\n"},
        ),
        (
            ["set-names", "-n", "store", image],
            {
                "images/by-name": ["store"],
                "images/by-name/shop": None,
                "images/by-name/store": f"../{image}",
                "images/shop/id": None,
                "images/store/id": f"{image}\n",
            },
        ),
        (
            ["set-metadata", "-m", "new text", web],
            {f"containers/{web}/metadata": "new text\n", "containers/web/metadata": "new text\n"},
        ),
        (["mount", "web"], {"containers/web/mount-count": "1\n"}),
        (["unmount", "web"], {"containers/web/mount-count": "0\n"}),
        (
            ["delete-container", "web"],
            {
                f"containers/{web}": None,
                f"containers/{web}/id": None,
                "containers/by-name/web": None,
                "containers/by-name": [],
                f"images/{image}/containers": [],
                f"images/{image}/containers/{web}": None,
                f"layers/{shop.scene.top}/children": [],
            },
        ),
        (
            ["delete-image", image],
            {"images/by-name": [], f"images/{image}/names": None, "layers/by-name": ["loose"]},
        ),
    ]
    for command, shown in acts:
        for path in shown:
            look(shop.root / path)
        shop.go.run(*command)
        for path, expected in shown.items():
            eventually(partial(shows, shop.root / path, expected), f"{command}: {path}")


def test_strict_shows_every_change_at_once(scene: Scene, root: Path) -> None:
    with serving(scene.go.graph, scene.go.run_root, root, "strict") as daemon:
        path = daemon.root / "images" / "shop" / "metadata"
        for number in range(50):
            scene.store.set_metadata("images", "shop", str(number))
            assert f"{number}\n" == path.read_text()
            assert len(str(number)) + 1 == path.stat().st_size


def test_our_own_change_shows_everywhere_at_once(shop: Shop) -> None:
    web, image, top = shop.scene.web.id, shop.scene.image, shop.scene.top
    paths = [
        f"images/{image}/containers",
        f"images/{image}/containers/{web}",
        f"containers/{web}/id",
        "containers/by-name/web",
        f"layers/{top}/children/{shop.scene.web.layer}",
        f"layers/{shop.scene.web.layer}/id",
    ]
    for path in paths:
        assert look(shop.root / path)

    (shop.containers / "web").rmdir()

    for path in paths[1:]:
        assert not os.path.lexists(shop.root / path), path
    assert [] == os.listdir(shop.root / paths[0])


def test_a_name_that_moves_leads_to_its_new_owner_at_once(shop: Shop) -> None:
    link = shop.layers / "by-name" / "mine"
    for owner in (shop.scene.base, shop.scene.top, shop.scene.loose) * 3:
        with (shop.layers / owner / "names").open("a") as names:
            names.write("mine\n")
        assert f"../{owner}" == os.readlink(link)
        assert f"{owner}\n" == (link / "id").read_text()


def test_a_shorter_name_moves_the_longer_ones_beside_it(shop: Shop) -> None:
    by_name = shop.images / "by-name"
    names = shop.images / shop.scene.image / "names"
    for _ in range(3):
        names.write_text("a/b\n")
        assert (["a"], ["b"]) == (os.listdir(by_name), os.listdir(by_name / "a"))
        assert os.readlink(by_name / "a" / "b")
        names.write_text("a\na/b\n")
        assert ["a", "a%2Fb"] == os.listdir(by_name)
        assert (by_name / "a").is_symlink()
        assert os.readlink(by_name / "a%2Fb")


def test_cached_attributes_do_not_ask_the_daemon(shop: Shop) -> None:
    path = shop.images / shop.scene.image / "id"
    path.stat()
    before = cpu_ticks(shop.daemon)
    for _ in range(20_000):
        os.stat(path)

    # 20,000 requests would take it a second and more.
    assert cpu_ticks(shop.daemon) - before < 20


def cpu_ticks(daemon: Daemon) -> int:
    fields = Path(f"/proc/{daemon.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_listing_is_that_of_its_opendir(shop: Shop) -> None:
    store = shop.scene.store
    for number in range(500):
        store.create_layer(names=[f"l{number}"], layer_id=f"{number:064x}")
    shop.catch_up()
    before = set(os.listdir(shop.layers))

    with os.scandir(shop.layers) as entries:
        seen = [next(entries).name]
        store.delete_layer("l499")
        store.create_layer(names=["late"])
        shop.catch_up()
        seen += [entry.name for entry in entries]

    assert len(seen) == len(set(seen))
    assert before == set(seen) | {f"{499:064x}"}
    assert f"{499:064x}" not in os.listdir(shop.layers)
    assert not (shop.layers / f"{499:064x}").exists()


def test_two_writers_lose_nothing(shop: Shop) -> None:
    """Ours through the tree, theirs through the Go tool; metadata, as its names are not atomic."""
    count = 100
    ours = [f"ours{n}" for n in range(count)]
    failures: list[BaseException] = []

    def write() -> None:
        try:
            for name in ours:
                with (shop.images / shop.scene.image / "names").open("a") as names:
                    names.write(f"{name}\n")
        except BaseException as error:
            failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    for number in range(count):
        shop.go.run("create-layer", "-n", f"theirs{number}")
        shop.go.run("set-metadata", "-m", str(number), shop.scene.image)
    writer.join(60)

    assert [] == failures
    assert {"shop", *ours} == set(shop.go_names("images", shop.scene.image))
    assert str(count - 1) == shop.go_object("images", shop.scene.image)["metadata"]
    shop.catch_up()
    assert {f"theirs{n}" for n in range(count)} <= set(os.listdir(shop.layers / "by-name"))


def test_readers_see_whole_values_while_they_change(shop: Shop) -> None:
    values = {f"{c * n}\n" for c, n in zip("abcdefgh", range(1, 900, 112), strict=False)}
    path = shop.images / shop.scene.image / "metadata"
    path.write_text(min(values))
    end = time.monotonic() + 2
    wrong: list[str] = []

    def write(change: Callable[[str], object]) -> None:
        while time.monotonic() < end:
            for value in values:
                change(value)

    writers = [
        threading.Thread(target=write, args=(change,))
        for change in (
            path.write_text,
            lambda value: shop.scene.store.set_metadata(
                "images", shop.scene.image, value.rstrip("\n")
            ),
        )
    ]
    for writer in writers:
        writer.start()
    while time.monotonic() < end:
        seen = path.read_text()
        if seen not in values:
            wrong.append(seen)
    for writer in writers:
        writer.join(30)

    assert [] == wrong


def test_a_damaged_index_hides_no_other_kind(shop: Shop) -> None:
    path = Path(shop.go.graph, "overlay-images", "images.json")
    good = path.read_bytes()
    path.write_bytes(good[:-20])
    eventually(lambda: "Damaged: " in (shop.root / "status").read_text())

    with pytest.raises(OSError) as caught:
        os.listdir(shop.images)
    assert "Input/output error" in str(caught.value)
    assert "images.json is damaged" in shop.errors()[-1]
    assert "web\n" == (shop.containers / "web" / "names").read_text()
    assert 3 + 4 == len(os.listdir(shop.layers))
    with pytest.raises(OSError, match="Input/output error"):
        (shop.images / "new").mkdir()
    assert good[:-20] == path.read_bytes()

    path.with_suffix(".new").write_bytes(good)
    path.with_suffix(".new").rename(path)
    shop.catch_up()
    assert shop.scene.image in os.listdir(shop.images)


def test_a_damaged_record_hides_no_other(shop: Shop) -> None:
    path = Path(shop.go.graph, "overlay-layers", "layers.json")
    good = path.read_bytes()
    loose = shop.layers / shop.scene.loose
    broken = good.replace(b'"names":["loose"]', b'"names":"loose!"')
    path.with_suffix(".new").write_bytes(broken)
    path.with_suffix(".new").rename(path)
    shop.catch_up()

    assert "damaged\n" in (loose / "health").read_text()
    assert f"{shop.scene.loose}\n" == (loose / "id").read_text()
    assert "loose!" in (loose / "info.json").read_text()
    assert ["health", "id", "info.json", "read-only"] == sorted(os.listdir(loose))
    with pytest.raises(OSError, match="Input/output error"):
        (loose / "names").read_text()
    assert "base\n" == (shop.layers / "base" / "names").read_text()
    path.with_suffix(".new").write_bytes(good)
    path.with_suffix(".new").rename(path)


def test_descriptors_stay_flat(shop: Shop) -> None:
    def use() -> None:
        shop.sh("find . -type f -exec cat {} + >/dev/null; echo x > images/shop/big-data/x")

    def settled() -> int:
        # Diffs that were read are kept for a moment, each with a file that has no name.
        eventually(lambda: not any("(deleted)" in fd for fd in shop.daemon.fds()))
        return len(shop.daemon.fds())

    use()
    before = settled()
    for _ in range(5):
        use()

    assert before == settled()


def test_many_clients_at_once_are_served(shop: Shop) -> None:
    clients = [
        subprocess.Popen(
            ["bash", "-c", "for i in {1..20}; do find . -name names -exec cat {} + ; done"],
            cwd=shop.root,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    for number in range(20):
        (shop.layers / f"l{number}").mkdir()
        (shop.layers / f"l{number}").rmdir()
    for client in clients:
        said = client.communicate(timeout=60)[1].splitlines()
        assert [] == [line for line in said if not line.endswith("No such file or directory")]


def test_what_is_deleted_under_one_name_is_gone_under_all_at_once(shop: Shop) -> None:
    """A deletion takes several steps in the store: the watch may see the first before its end."""
    for number in range(100):
        name = f"c{number}"
        (shop.images / "shop" / "containers" / name).mkdir()
        by_id = shop.containers / (shop.containers / name / "id").read_text().strip()
        for path in (by_id, by_id / "names"):
            path.stat()

        (shop.containers / name).rmdir()

        assert [] == [path for path in (by_id, by_id / "names") if path.exists()], number
