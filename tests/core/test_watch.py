"""The watch reports what the Go tools do to a store, and sleeps through everything else."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfs.core.watch import Watch

#: Long enough that reaching it means that nothing came.
_PATIENCE_S = 10.0


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A graph root with its image records and no layer records yet."""
    graph = tmp_path / "graph"
    (graph / "overlay-images").mkdir(parents=True)
    (graph / "overlay-images" / "images.lock").touch()
    return graph


@pytest.fixture
def watch(top: Path) -> Iterator[Watch]:
    with Watch([f"{top}/overlay-layers", f"{top}/overlay-images"]) as watch:
        yield watch


def _write_token(directory: Path, name: str = "images.lock") -> None:
    fd = os.open(directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.pwrite(fd, os.urandom(64), 0)
    finally:
        os.close(fd)


def _replace_json(directory: Path, name: str = "images.json") -> None:
    temporary = directory / f".tmp-{name}123"
    temporary.write_text("[]")
    temporary.rename(directory / name)


def test_nothing_is_reported_when_nothing_happens(watch: Watch) -> None:
    assert not watch.wait(0)


def test_a_token_is_reported(watch: Watch, top: Path) -> None:
    _write_token(top / "overlay-images")

    assert watch.wait(0)
    assert not watch.wait(0)


def test_replaced_json_is_reported(watch: Watch, top: Path) -> None:
    _replace_json(top / "overlay-images")

    assert watch.wait(0)


def test_json_written_in_place_is_reported(watch: Watch, top: Path) -> None:
    _replace_json(top / "overlay-images")
    watch.wait(0)

    (top / "overlay-images" / "images.json").write_text("[{}]")

    assert watch.wait(0)


def test_removed_json_is_reported(watch: Watch, top: Path) -> None:
    _replace_json(top / "overlay-images")
    watch.wait(0)

    (top / "overlay-images" / "images.json").unlink()

    assert watch.wait(0)


def test_a_burst_is_one_report(watch: Watch, top: Path) -> None:
    for _ in range(100):
        _write_token(top / "overlay-images")
        _replace_json(top / "overlay-images")

    assert watch.wait(0)
    assert not watch.wait(0)


def test_locks_taken_and_big_data_written_are_not_reported(watch: Watch, top: Path) -> None:
    with open(top / "overlay-images" / "images.lock", "r+b"):
        pass
    (top / "overlay-images" / ".tmp-images.json1").write_text("x")
    (top / "overlay-images" / ("0" * 64)).mkdir()
    (top / "overlay-images" / ("0" * 64) / "manifest").write_text("x")
    (top / "overlay").mkdir()
    (top / "storage.lock").write_text("x")

    assert not watch.wait(0)


def test_a_record_directory_that_appears_later_is_followed(watch: Watch, top: Path) -> None:
    layers = top / "overlay-layers"
    layers.mkdir()
    assert watch.wait(0)

    _write_token(layers, "layers.lock")

    assert watch.wait(0)


@pytest.mark.parametrize("how", ["remove", "rename"])
def test_a_store_removed_and_made_again_is_followed(watch: Watch, top: Path, how: str) -> None:
    if how == "remove":
        shutil.rmtree(top)
    else:
        top.rename(top.with_name("aside"))
    assert watch.wait(0)

    (top / "overlay-images").mkdir(parents=True)
    assert watch.wait(0)
    assert not watch.wait(0)

    _write_token(top / "overlay-images")
    assert watch.wait(0)


def test_a_store_moved_away_is_watched_no_more(watch: Watch, top: Path) -> None:
    aside = top.rename(top.with_name("aside"))
    assert watch.wait(0)

    _write_token(aside / "overlay-images")

    assert not watch.wait(0)


def test_a_removed_directory_that_someone_has_open_is_noticed(watch: Watch, top: Path) -> None:
    fd = os.open(top / "overlay-images", os.O_RDONLY | os.O_DIRECTORY)
    try:
        shutil.rmtree(top)

        assert watch.wait(0)
    finally:
        os.close(fd)


def test_a_store_that_is_not_there_yet_is_awaited(tmp_path: Path) -> None:
    with Watch([f"{tmp_path}/a/b/overlay-images"]) as watch:
        (tmp_path / "other").mkdir()
        assert not watch.wait(0)

        (tmp_path / "a" / "b" / "overlay-images").mkdir(parents=True)
        assert watch.wait(0)

        _write_token(tmp_path / "a" / "b" / "overlay-images")
        assert watch.wait(0)


def test_a_file_in_the_place_of_a_directory_is_waited_out(tmp_path: Path) -> None:
    (tmp_path / "records").touch()
    with Watch([f"{tmp_path}/records"]) as watch:
        (tmp_path / "records").unlink()
        (tmp_path / "records").mkdir()
        assert watch.wait(0)

        _write_token(tmp_path / "records")
        assert watch.wait(0)


def test_two_names_of_one_directory_do_not_hide_each_other(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with Watch([f"{tmp_path}/real", f"{tmp_path}/link"]) as watch:
        _write_token(tmp_path / "real")
        assert watch.wait(0)


def test_an_overflow_of_the_queue_is_a_report(watch: Watch, top: Path) -> None:
    size = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    images = top / "overlay-images"
    names = [str(images / f"x{i % 2}") for i in range(2)]
    # Two names in turn, so that the kernel can't merge equal events; each open+close is one.
    for i in range(size // 2 + 2):
        os.close(os.open(names[i % 2], os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.unlink(names[i % 2])

    assert watch.wait(0)
    assert not watch.wait(0)


def test_a_sleeping_wait_is_woken_by_the_change(watch: Watch, top: Path) -> None:
    thread = threading.Timer(0.05, _write_token, [top / "overlay-images"])
    thread.start()

    assert watch.wait(_PATIENCE_S)
    thread.join()


def test_wait_gives_up_at_its_deadline_though_strangers_write(watch: Watch, top: Path) -> None:
    stop = threading.Event()

    def scribble() -> None:
        while not stop.wait(0.001):
            (top / "overlay-images" / "stranger").write_text("x")

    thread = threading.Thread(target=scribble)
    thread.start()
    try:
        assert not watch.wait(0.1)
    finally:
        stop.set()
        thread.join()


def test_it_leaves_no_descriptor(top: Path) -> None:
    before = os.listdir("/proc/self/fd")

    Watch([str(top / "overlay-images")]).close()

    assert before == os.listdir("/proc/self/fd")


def test_its_descriptor_is_not_inherited(watch: Watch) -> None:
    inherited = subprocess.run(
        ["ls", "-l", "/proc/self/fd"], capture_output=True, text=True, check=True, timeout=10
    ).stdout

    assert "inotify" not in inherited
