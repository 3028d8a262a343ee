"""What lives in the mount alone, with a clock that the test moves."""

import errno
import threading

import pytest

from holdfs.core.errors import ImageUsedByContainer
from holdfs.fusefs.scratch import LIMIT, is_saver_name
from tests.tree.conftest import Grove


def test_an_unlinked_entry_is_hidden_for_ten_seconds(grove: Grove) -> None:
    grove.store.create_layer(names=["x"])
    grove.do(grove.directory("layers/x").unlink(grove.tree.view, "id"))

    assert grove.find("layers/x/id") is None
    assert "id" not in grove.names("layers/x")
    grove.now += 9.9
    assert grove.find("layers/x/id") is None
    grove.now += 0.2
    assert grove.find("layers/x/id") is not None
    grove.tree.expire()
    assert b"shown again: id" in grove.tree.refusals.text()
    assert grove.tree.next_deadline() is None


def test_a_refused_unlink_refuses_all_for_ten_seconds(grove: Grove) -> None:
    grove.store.create_image(names=["x"])
    grove.store.create_container(image="x", names=["c"])
    directory = grove.directory("images/x")
    plan = directory.unlink(grove.tree.view, "id")
    assert plan is not None
    assert plan.step is not None
    assert plan.failed is not None
    with pytest.raises(ImageUsedByContainer) as caught:
        plan.step()
    plan.failed(caught.value)

    with pytest.raises(ImageUsedByContainer):
        directory.unlink(grove.tree.view, "names")
    grove.now += 10.1
    grove.do(directory.unlink(grove.tree.view, "names"))
    assert grove.find("images/x/names") is None


def test_what_is_hidden_of_a_deleted_object_is_forgotten(grove: Grove) -> None:
    grove.store.create_layer(names=["x"])
    grove.do(grove.directory("layers/x").unlink(grove.tree.view, "id"))
    grove.store.delete_layer("x")
    grove.tree.load()
    while (news := grove.tree.take_news()) is not None:
        grove.tree.note(news)

    assert not grove.tree.hidden
    grove.now += 11
    grove.tree.expire()
    assert b"" == grove.tree.refusals.text()


def test_a_directory_of_names_stays_ten_seconds_after_its_last_name(grove: Grove) -> None:
    grove.store.create_layer(names=["q/r/x"])
    grove.do(grove.directory("layers/by-name/q/r").unlink(grove.tree.view, "x"))

    assert [] == grove.names("layers/by-name/q/r")
    grove.now += 10.1
    assert grove.find("layers/by-name/q") is None


def test_a_made_directory_stays_until_it_is_removed(grove: Grove) -> None:
    assert grove.directory("layers/by-name").mkdir(grove.tree.view, "q") is None
    grove.now += 100_000
    grove.tree.expire()

    assert ["q"] == grove.names("layers/by-name")
    grove.do(grove.directory("layers/by-name").rmdir(grove.tree.view, "q"))
    assert [] == grove.names("layers/by-name")


def test_scratch_goes_ten_seconds_after_its_last_close(grove: Grove) -> None:
    grove.store.create_layer(names=["x"])
    directory = grove.directory("layers/x")
    node, handle = directory.create(grove.tree.view, "notes", append=False)
    handle.write(0, b"text")
    grove.now += 1000
    assert grove.find("layers/x/notes") is not None
    handle.close()
    grove.now += 9.9
    assert grove.find("layers/x/notes") is not None
    grove.now += 0.2
    assert grove.find("layers/x/notes") is None
    grove.tree.expire()
    assert grove.tree.next_deadline() is None
    assert 0 == node.attributes(grove.tree.view).size


def test_scratch_is_bounded_and_its_room_comes_back(grove: Grove) -> None:
    grove.store.create_layer(names=["x"])
    directory = grove.directory("layers/x")
    for _ in range(3):
        _, handle = directory.create(grove.tree.view, "big", append=False)
        handle.write(LIMIT - 1, b"x")
        with pytest.raises(OSError) as caught:
            handle.write(LIMIT, b"x")
        assert errno.ENOSPC == caught.value.errno
        directory.unlink(grove.tree.view, "big")
        handle.close()


@pytest.mark.parametrize(
    "name",
    ["sedAb12Cd", ".goutputstream-X1Y2Z3", ".x.swp", ".x.swpx", ".manifest.swo", "4913", "x~",
     "x.bak", "x.tmp", "tmpab12cd_9", ".x.AbC123"],
)  # fmt: skip
def test_names_that_savers_use_are_known(name: str) -> None:
    assert is_saver_name(name)


@pytest.mark.parametrize(
    "name",
    ["manifest", "sha256:ab", "signature-12", "sedan", "tmp", "x.swp.json", ".config", "491"],
)
def test_other_names_are_items(name: str) -> None:
    assert not is_saver_name(name)


def test_news_are_taken_once_and_in_order_whoever_has_loaded_them(grove: Grove) -> None:
    ids = []
    for name in ("first", "second"):
        ids.append(grove.store.create_layer(names=[name]).id)
        loader = threading.Thread(target=grove.tree.load)
        loader.start()
        loader.join()
    grove.tree.load()  # finds nothing that is new

    news = [grove.tree.take_news() for _ in range(3)]

    assert [(ids[0],), (ids[1],)] == [tuple(one.changes.layers.added) for one in news if one]
    assert news[2] is None
