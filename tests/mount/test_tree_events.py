"""`events`: a line for each change, exact sizes, no read that waits, and poll."""

import json
import os
import select
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from holdfs.core.formats import times
from tests.mount.daemons import PATIENCE_S, eventually, serving
from tests.mount.scene import Scene
from tests.mount.shop import Shop

pytestmark = pytest.mark.needs("root", "fuse", "overlay", "containers-storage")

Line = dict[str, Any]


def lines(shop: Shop) -> list[Line]:
    return [json.loads(line) for line in (shop.root / "events").read_text().splitlines()]


def told(shop: Shop) -> list[tuple[str, str, str]]:
    return [(line["kind"], line["action"], line["id"]) for line in lines(shop)]


def change(shop: Shop, text: str) -> None:
    (shop.images / shop.scene.image / "metadata").write_text(text)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


def test_a_fresh_mount_has_none(shop: Shop) -> None:
    assert b"" == (shop.root / "events").read_bytes()
    assert 0 == (shop.root / "events").stat().st_size


def test_a_line_says_what_became_of_what(shop: Shop) -> None:
    (shop.images / "shop" / "containers" / "db").mkdir()
    db = (shop.containers / "db" / "id").read_text().strip()
    layer = Path(os.readlink(shop.containers / "db" / "layer")).name
    (shop.containers / "db" / "metadata").write_text("text\n")
    (shop.containers / "by-name" / "db").rename(shop.containers / "by-name" / "store")
    (shop.containers / "store").rmdir()

    found = lines(shop)

    assert list(range(1, len(found) + 1)) == [line["seq"] for line in found]
    assert [
        ("container", "create", ["db"]),
        ("container", "change", ["db"]),
        ("container", "rename", ["store"]),
        ("container", "delete", ["store"]),
    ] == [(x["kind"], x["action"], x["names"]) for x in found if x["id"] == db]
    actions = [line["action"] for line in found if line["id"] == layer]
    assert ["create", "delete"] == [actions[0], actions[-1]]
    assert {"seq", "time", "kind", "action", "id", "names"} == set(found[0])


def test_size_and_mtime_are_those_of_the_last_line(shop: Shop) -> None:
    change(shop, "a")

    found = (shop.root / "events").stat()

    content = (shop.root / "events").read_bytes()
    last = json.loads(content.splitlines()[-1])
    assert (len(content), times.parse_time(last["time"])) == (found.st_size, found.st_mtime_ns)
    assert 0o100444 == found.st_mode


@pytest.mark.needs("podman")
def test_what_other_tools_do_is_told(shop: Shop) -> None:
    web, image = shop.scene.web, shop.scene.image
    acts: list[tuple[list[str], tuple[str, str, str]]] = [
        (["add-names", "-n", "extra", image], ("image", "rename", image)),
        (["set-metadata", "-m", "text", web.id], ("container", "change", web.id)),
        (["mount", "web"], ("layer", "mount", web.layer)),
        (["unmount", "web"], ("layer", "unmount", web.layer)),
        (["delete-container", "web"], ("container", "delete", web.id)),
        (["delete-image", image], ("image", "delete", image)),
    ]
    for command, expected in acts:
        shop.go.run(*command)
        eventually(lambda e=expected: e in told(shop), f"{command}: not told")  # type: ignore[misc]


def test_a_thousand_quick_changes_lose_none(shop: Shop) -> None:
    made = []
    for number in range(250):
        made.append(shop.scene.store.create_image(names=[f"n{number}"]).id)
        shop.scene.store.set_names("images", made[-1], [f"m{number}"])
    for image_id in made:
        shop.scene.store.set_metadata("images", image_id, "x")
    eventually(
        lambda: '"x"' in (shop.images / made[-1] / "info.json").read_text(), "not up to date"
    )
    for image_id in made:
        shop.scene.store.delete_image(image_id)

    eventually(lambda: ("image", "delete", made[-1]) in told(shop))
    found = lines(shop)
    assert list(range(1, len(found) + 1)) == [line["seq"] for line in found]
    for number, image_id in enumerate(made):
        actions = [line["action"] for line in found if line["id"] == image_id]
        assert ("create", "delete") == (actions[0], actions[-1]), number
        assert "change" in actions or "rename" in actions
        assert [f"m{number}"] == [line["names"] for line in found if line["id"] == image_id][-1]


def test_a_thousand_changes_through_the_mount_are_a_thousand_lines(shop: Shop) -> None:
    path = shop.images / "shop" / "metadata"
    with open(path, "wb", buffering=0) as file:
        for number in range(1000):
            file.seek(0)
            file.write(b"%04d" % number)

    assert 1000 == told(shop).count(("image", "change", shop.scene.image))


def test_a_read_at_the_end_gives_nothing_and_later_the_rest(shop: Shop) -> None:
    with opened(shop.root / "events") as fd:
        assert b"" == os.read(fd, 1 << 16)
        change(shop, "a")
        first = os.read(fd, 1 << 16)
        assert b"" == os.read(fd, 1 << 16)
        change(shop, "b")
        assert first + os.read(fd, 1 << 16) == (shop.root / "events").read_bytes()


# -- poll ------------------------------------------------------------------------------------------


def wait_by_poll(fd: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


def wait_by_select(fd: int, timeout_s: float) -> bool:
    return bool(select.select([fd], [], [], timeout_s)[0])


def wait_by_epoll(fd: int, timeout_s: float) -> bool:
    with select.epoll() as epoll:
        epoll.register(fd, select.EPOLLIN)
        return bool(epoll.poll(timeout_s))


@pytest.mark.parametrize("wait", [wait_by_poll, wait_by_select, wait_by_epoll])
def test_poll_waits_for_the_next_line(shop: Shop, wait: Callable[[int, float], bool]) -> None:
    with opened(shop.root / "events") as fd:
        assert not wait(fd, 0)
        with subprocess.Popen(["sh", "-c", "read _ && echo a > images/shop/metadata"],
                              cwd=shop.root, stdin=subprocess.PIPE) as writer:  # fmt: skip
            assert not wait(fd, 0.01)
            assert writer.stdin is not None
            writer.stdin.write(b"now\n")
            writer.stdin.flush()
            assert wait(fd, PATIENCE_S)
        assert b'"change"' in os.read(fd, 1 << 16)
        assert not wait(fd, 0)
        shop.go.run("set-metadata", "-m", "from another tool", shop.scene.image)
        assert wait(fd, PATIENCE_S)


def test_two_who_wait_are_both_woken(shop: Shop) -> None:
    program = (
        "import os, select, sys\n"
        "fd = os.open('events', os.O_RDONLY)\n"
        "poll = select.poll(); poll.register(fd, select.POLLIN)\n"
        "print('waiting', len(poll.poll(0)), flush=True)\n"
        "print(len(poll.poll(30000)), os.read(fd, 100)[:8].decode(), flush=True)\n"
    )
    waiting = [
        subprocess.Popen(["python3", "-c", program], cwd=shop.root, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in waiting:
        assert process.stdout is not None
        assert b"waiting 0\n" == process.stdout.readline()

    change(shop, "a")

    for process in waiting:
        assert b'1 {"seq":1\n' == process.communicate(timeout=PATIENCE_S)[0]


def test_a_waiter_can_be_killed_and_the_mount_ends(shop: Shop) -> None:
    program = (
        "import os, select\nfd = os.open('events', os.O_RDONLY)\n"
        "poll = select.poll(); poll.register(fd, select.POLLIN)\n"
        "print(flush=True); poll.poll()\n"
    )
    with subprocess.Popen(
        ["python3", "-c", program], cwd=shop.root, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()

    change(shop, "a")
    assert [("image", "change", shop.scene.image)] == told(shop)


def test_a_waiter_does_not_keep_the_daemon(shop: Shop) -> None:
    fd = os.open(shop.root / "events", os.O_RDONLY)
    with select.epoll() as epoll:
        epoll.register(fd, select.EPOLLIN)
        assert [] == epoll.poll(0.01)

        shop.daemon.process.terminate()

        assert 0 == shop.daemon.wait()
        assert [(fd, select.EPOLLERR)] == epoll.poll(PATIENCE_S)
    with pytest.raises(OSError, match="not connected"):
        os.close(fd)


def test_a_waiter_is_woken_in_a_mount_that_is_detached(shop: Shop) -> None:
    with opened(shop.root / "events") as fd, select.epoll() as epoll:
        epoll.register(fd, select.EPOLLIN)
        assert [] == epoll.poll(0.01)
        subprocess.run(["umount", "-l", shop.root], check=True)

        shop.scene.store.set_metadata("images", shop.scene.image, "changed")

        assert epoll.poll(PATIENCE_S)
        assert b'"action":"change"' in os.read(fd, 1 << 16)
    assert 0 == shop.daemon.wait()


def test_other_files_are_always_ready(shop: Shop) -> None:
    with opened(shop.images / "shop" / "id") as fd:
        assert wait_by_poll(fd, 0)
        assert wait_by_select(fd, 0)


def test_a_new_open_is_ready_as_there_is_something_to_read(shop: Shop) -> None:
    change(shop, "a")

    with opened(shop.root / "events") as fd:
        assert wait_by_poll(fd, 0)
        os.lseek(fd, 0, os.SEEK_END)
        assert b"" == os.read(fd, 100)
        assert not wait_by_poll(fd, 0)


# -- rotation, programs ----------------------------------------------------------------------------


def fill(shop: Shop) -> None:
    """Let the file grow over 1 MiB: the last line of it is a long one."""
    names = [f"{number:04d}{'x' * 230}" for number in range(2300)]
    shop.scene.store.set_names("images", shop.scene.image, [*names, "shop"])
    shop.scene.store.set_metadata("images", shop.scene.image, "more")
    eventually(lambda: (shop.root / "events").stat().st_size >= 1 << 20)


def test_from_a_mebibyte_on_it_begins_anew(shop: Shop) -> None:
    with opened(shop.root / "events") as fd:
        fill(shop)
        while os.read(fd, 1 << 20):
            pass
        last = lines(shop)[-1]["seq"]
        assert not wait_by_poll(fd, 0)

        change(shop, "b")

        assert wait_by_poll(fd, PATIENCE_S)
        assert b"" == os.read(fd, 1 << 16)
        assert not wait_by_poll(fd, 0), "would spin"
        assert [last + 1] == [line["seq"] for line in lines(shop)]
        os.lseek(fd, 0, os.SEEK_SET)
        assert os.read(fd, 1 << 20) == (shop.root / "events").read_bytes()


def test_tail_f_follows_and_notices_that_it_begins_anew(shop: Shop) -> None:
    with subprocess.Popen(
        ["tail", "-f", "-n", "+1", "-s", "0.05", "events"],
        cwd=shop.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as tail:  # fmt: skip
        try:
            assert tail.stdout is not None
            (shop.images / "shop" / "metadata").write_text("text\n")
            assert b'"seq":1,' in tail.stdout.readline()
            shop.go.run("set-metadata", "-m", "from another tool", shop.scene.image)
            assert b'"seq":2,' in tail.stdout.readline()
            fill(shop)
            while b'"action":"change"' not in (line := tail.stdout.readline()):
                assert line
            (shop.images / shop.scene.image / "names").write_text("shop\n")
            assert b"file truncated" in tail.stdout.readline()
            assert b'"names":["shop"]' in tail.stdout.readline()
        finally:
            tail.kill()


def add_images(shop: Shop, number: int) -> list[str]:
    """Let so many images appear in one change, as a copied file brings them; return their IDs."""
    path = Path(shop.go.graph, "overlay-images", "images.json")
    there = path.read_bytes()
    same = {key: json.loads(there)[0][key] for key in ("layer", "created")}
    ids = [f"{n:064x}" for n in range(1, number + 1)]
    added = json.dumps([{"id": i, "names": [f"n{n}"], **same} for n, i in enumerate(ids)])
    new = path.with_name("new.json")
    # What is there stays, byte for byte.
    new.write_bytes(there.rstrip()[:-1] + b"," + added.encode()[1:])
    new.rename(path)
    return ids


def test_a_change_of_over_a_mebibyte_is_told_whole(shop: Shop) -> None:
    with opened(shop.root / "events") as fd:
        added = add_images(shop, 10_000)

        assert wait_by_poll(fd, PATIENCE_S)
        assert (1 << 20) < os.fstat(fd).st_size
        data = b""
        while read := os.read(fd, 1 << 20):
            data += read
        found = [json.loads(line) for line in data.splitlines()]
        assert [("create", i) for i in added] == [(x["action"], x["id"]) for x in found]
        assert list(range(1, 10_001)) == [line["seq"] for line in found]

        change(shop, "b")

        assert wait_by_poll(fd, PATIENCE_S)
        assert [10_001] == [line["seq"] for line in lines(shop)]


def test_tail_f_loses_nothing_to_a_change_longer_than_the_file(shop: Shop) -> None:
    with subprocess.Popen(
        ["tail", "-f", "-n", "+1", "-s", "0.05", "events"],
        cwd=shop.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as tail:  # fmt: skip
        try:
            assert tail.stdout is not None
            fill(shop)
            while b'"action":"change"' not in (line := tail.stdout.readline()):
                assert line
            added = add_images(shop, 10_000)
            seqs = [json.loads(tail.stdout.readline())["seq"] for _ in added]
            change(shop, "again")
            assert b"file truncated" in tail.stdout.readline()
            seqs.append(json.loads(tail.stdout.readline())["seq"])
        finally:
            tail.kill()
    assert list(range(seqs[0], seqs[0] + 10_001)) == seqs


@pytest.mark.parametrize(
    "command", ["grep -r seq events", "tar cf - events", "cp -r events ../copy", "wc -l events"]
)
def test_programs_that_read_it_end(shop: Shop, command: str) -> None:
    change(shop, "a")

    assert 0 == shop.try_sh(command).returncode


def test_a_damaged_file_is_no_deletion(shop: Shop) -> None:
    shop.daemon.expected.append("images.json")
    path = Path(shop.go.graph, "overlay-images", "images.json")
    sound = path.read_bytes()

    path.write_bytes(b"[{")
    eventually(lambda: "Damaged" in (shop.root / "status").read_text())
    path.write_bytes(sound)
    eventually(lambda: "Damaged" not in (shop.root / "status").read_text())

    assert [] == told(shop)


def test_strict_tells_too(scene: Scene, root: Path) -> None:
    with serving(scene.go.graph, scene.go.run_root, root, "strict") as daemon:
        shop = Shop(scene, daemon)
        scene.store.set_metadata("images", scene.image, "text")
        assert [("image", "change", scene.image)] == told(shop)
        with opened(root / "events") as fd:
            os.read(fd, 1 << 16)
            assert not wait_by_poll(fd, 0)
            scene.store.set_metadata("images", scene.image, "more")
            assert wait_by_poll(fd, PATIENCE_S)


def test_no_object_made_by_two_go_tools_at_once_is_left_out(shop: Shop) -> None:
    """Changes that come together share a look at the store, and each still has its line."""
    go = shop.scene.go
    names = [f"quick-{number}" for number in range(60)]
    script = 'for n in "$@"; do ' + " ".join(go.command("create-layer", "-n")) + ' "$n"; done'
    makers = [
        subprocess.Popen(
            ["sh", "-ec", script, "sh", *names[half::2]], stdout=subprocess.PIPE, text=True
        )
        for half in range(2)
    ]
    said = [maker.communicate(timeout=2 * PATIENCE_S)[0] for maker in makers]
    assert [0, 0] == [maker.returncode for maker in makers]
    made = sorted(word for text in said for word in text.split() if len(word) == 64)
    assert len(names) == len(made)

    eventually(lambda: len(told(shop)) >= len(names), "lines are missing")

    found = lines(shop)
    assert list(range(1, len(found) + 1)) == [line["seq"] for line in found]
    assert made == sorted(line["id"] for line in found if line["action"] == "create")


@pytest.mark.whole  # a thousand starts of a program
def test_a_thousand_quick_changes_by_the_go_tool_lose_none(shop: Shop) -> None:
    go = shop.scene.go
    numbers = [str(number) for number in range(250)]

    def each(words: list[str], refs: list[str]) -> list[str]:
        """Run the Go tool once for each of these, and return what it prints."""
        script = f'for n in "$@"; do {" ".join(go.command(*words))}; done'
        done = subprocess.run(
            ["sh", "-ec", script, "sh", *refs], stdout=subprocess.PIPE, check=True, text=True
        )
        return done.stdout.splitlines()

    made = [word for word in each(["create-image", "-n", "n$n"], numbers) if len(word) == 64]
    assert 250 == len(made)
    each(["set-names", "-n", "m$n", "n$n"], numbers)
    each(["set-metadata", "-m", "x", "m$n"], numbers)
    eventually(lambda: told(shop)[-1][1:] == ("change", made[-1]))
    each(["delete-image", "$n"], made)

    eventually(lambda: told(shop)[-1] == ("image", "delete", made[-1]))
    found = lines(shop)
    assert list(range(1, len(found) + 1)) == [line["seq"] for line in found]
    for number, image_id in enumerate(made):
        mine = [line for line in found if line["id"] == image_id]
        actions = [line["action"] for line in mine]
        assert ["create", "rename", "change", "delete"] == actions
        assert [[f"n{number}"], *[[f"m{number}"]] * 3] == [line["names"] for line in mine]
