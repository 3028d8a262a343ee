"""
Any sequence of commands, on two equal stores: after each step both tools have said the same, both
stores hold the same, and each tool goes on with the other's store.
"""

import shutil
from collections.abc import Callable, Sequence
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import GraphRun
from tests.differential.conftest import fill
from tests.differential.live import Comparable, Live, copy
from tests.differential.outcomes import Plainer
from tests.differential.test_every_command import alike, newest
from tests.mounts import unmount_below
from tests.needs import needs

pytestmark = needs("root", "overlay", "containers-storage")

# Few of each, so that they are met again. No name of hexadecimal digits alone that is no ID: one of
# the random IDs would begin with it now and then.
LAYERS = st.sampled_from(["base", "child", "top", "lone", "child-name", "l1", "l2", "ch", "nope"])
IMAGES = st.sampled_from(["one", "two", "none", "spare", "g", "k", "i1", "i2", "nope"])
CONTAINERS = st.sampled_from(["c1", "c0", "uno", "zero", "k1", "k2", "nope"])
NAMES = st.sampled_from(["g", "h", "k", "lone-name", "first", "x", "y", "<&>"])
KEYS = st.sampled_from(["manifest", "manifest-x", "odd key", "é", "data"])
TEXTS = st.sampled_from(["", "{}", "text\n", "<&>"])
ANY = LAYERS | IMAGES | CONTAINERS


def line(*parts: st.SearchStrategy[str] | str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.tuples(*(st.just(p) if isinstance(p, str) else p for p in parts))


#: The words of a command, each with the input that goes with it.
STEPS = st.tuples(
    st.one_of(
        line("create-layer", "-i", st.sampled_from(["l1", "l2"]), "-n", NAMES),
        line("create-layer", "-i", st.sampled_from(["l1", "l2"]), LAYERS),
        line("create-image", "-i", st.sampled_from(["i1", "i2"]), "-n", NAMES, LAYERS),
        line("create-image", "-j", "-i", st.sampled_from(["i1", "i2"]), "-m", TEXTS),
        line("create-container", "-i", st.sampled_from(["k1", "k2"]), IMAGES),
        line("create-container", "-i", st.sampled_from(["k1", "k2"]), "-n", NAMES, IMAGES),
        line("set-names", "-n", NAMES, "-n", NAMES, ANY),
        line("set-names", "-j", ANY),
        line("get-names", "-j", ANY),
        line("set-metadata", "-m", TEXTS, ANY),
        line("metadata", ANY, ANY),
        line("exists", "-l", ANY, ANY),
        line("set-layer-data", LAYERS, KEYS),
        line("set-image-data", IMAGES, KEYS),
        line("set-container-data", CONTAINERS, KEYS),
        line("get-layer-data", LAYERS, KEYS),
        line("get-image-data", IMAGES, KEYS),
        line("get-image-data-digest", IMAGES, KEYS),
        line("get-container-data-size", CONTAINERS, KEYS),
        line("layer", LAYERS, LAYERS),
        line("image", IMAGES),
        line("container", CONTAINERS),
        line("layers"),
        line("images", "-j"),
        line("mount", CONTAINERS),
        line("unmount", CONTAINERS),
        line("mounted", CONTAINERS, LAYERS),
        line("delete-layer", st.sampled_from(["base", "child", "top", "lone", "l1", "l2"])),
        line("delete-image", IMAGES),
        line("delete-image", "-t", IMAGES),
        line("delete-container", CONTAINERS),
        line("delete", CONTAINERS | IMAGES),
    ),
    TEXTS,
)


def few(examples: int) -> settings:
    return settings(
        max_examples=examples,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


SEQUENCES = st.lists(STEPS, min_size=8, max_size=12)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("driver", ["overlay", "vfs"])
@few(5)
@given(steps=SEQUENCES)
def test_whatever_is_done_both_tools_say_and_leave_the_same(
    stores: Callable[[], GraphRun], driver: str, steps: list[tuple[tuple[str, ...], str]]
) -> None:
    one = Live(stores(), driver)
    fill(one)
    one.go.run("shutdown")
    lives = one, copy(one, stores())
    base = b"".join(map(one.file, ("layers", "images", "containers")))

    _go_on_in_turn(lives, (Plainer(lives[0]), Plainer(lives[1])), steps, base)


@needs("btrfs")
@pytest.mark.timeout(300)
@few(3)
@given(steps=SEQUENCES)
def test_on_btrfs_too(
    btrfs_top: str, stores: Callable[[], GraphRun], steps: list[tuple[tuple[str, ...], str]]
) -> None:
    # Filled alike, as a copy would have no subvolumes: nothing is the same but what is numbered.
    graphs = [f"{mkdtemp(dir=btrfs_top)}/graph" for _ in range(2)]
    lives = tuple(Live(GraphRun(graph, stores().run), "btrfs") for graph in graphs)
    plainers = tuple(map(Plainer, lives))
    for live in lives:
        fill(live)

    _go_on_in_turn(lives, plainers, steps, b"")
    for graph in graphs:
        unmount_below(graph)
        shutil.rmtree(graph)


def _go_on_in_turn(
    lives: Sequence[Live],
    plainers: Sequence[Plainer],
    steps: list[tuple[tuple[str, ...], str]],
    base: bytes,
) -> None:
    """Run each step on both of two equal stores, by the Go tool on one and by ours on the other."""
    for number, (words, text) in enumerate(steps):
        # In turn: what one tool left, the other goes on with.
        theirs, ours = number % 2, 1 - number % 2
        expected = plainers[theirs].run(lives[theirs].go, words, text)
        said = plainers[ours].run(lives[ours].holdctl, words, text)
        given_words = list(words)
        expected = alike(given_words, newest(given_words, expected))
        assert expected == alike(given_words, said), words
        assert Comparable(lives[0], base).content() == Comparable(lives[1], base).content(), words
    for live in lives:
        for layer_id in [entry["id"] for entry in live.mounts()]:
            live.go.run("unmount", "--force", layer_id)
