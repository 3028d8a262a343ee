"""What is read ahead for whom, and what becomes of it when something else is asked for."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import wait

import pytest

from holdfs.fusefs.tree.ahead import PIECES, Ahead, Piece

STEP = 128 << 10
DATA = random.Random(4).randbytes(40 * STEP + 777)


class Source:
    """DATA, read by `Ahead`, and where it was read."""

    def __init__(self) -> None:
        self.read_at: list[int] = []
        self.places = threading.Semaphore(1)
        self.made: list[Ahead] = []

    def read(self, off: int, size: int) -> memoryview:
        self.read_at.append(off)
        return memoryview(DATA)[off : off + size]

    def ahead(self) -> Ahead:
        self.made.append(Ahead(self.read, len(DATA), self.places))
        return self.made[-1]


@pytest.fixture
def source() -> Iterator[Source]:
    source = Source()
    yield source
    for ahead in source.made:
        ahead.stop()


def data_of(piece: Piece | None) -> memoryview:
    assert piece is not None
    return piece.result()


def begun(source: Source) -> Ahead:
    """Return one that was asked for two steps in a row."""
    ahead = source.ahead()
    assert [None, None] == [ahead.expect(0, STEP), ahead.expect(STEP, STEP)]
    return ahead


def test_who_reads_on_is_given_all_up_to_the_end(source: Source) -> None:
    ahead = begun(source)

    pieces = [data_of(ahead.expect(off, STEP)) for off in range(2 * STEP, len(DATA), STEP)]

    assert DATA[2 * STEP :] == b"".join(pieces)
    assert len(pieces) == len(source.read_at)


def test_no_more_is_read_than_a_few_pieces(source: Source) -> None:
    ahead = begun(source)
    third = ahead.expect(2 * STEP, STEP)
    ahead.stop()

    assert DATA[2 * STEP : 3 * STEP] == data_of(third)
    assert set(source.read_at) <= {(2 + i) * STEP for i in range(PIECES + 1)}


def test_two_requests_may_come_the_other_way_round(source: Source) -> None:
    ahead = begun(source)

    second, first = (data_of(ahead.expect(off * STEP, STEP)) for off in (3, 2))

    assert DATA[2 * STEP : 4 * STEP] == bytes(first) + bytes(second)
    assert DATA[4 * STEP : 5 * STEP] == data_of(ahead.expect(4 * STEP, STEP))


def test_the_last_request_may_be_a_smaller_one(source: Source) -> None:
    ahead = begun(source)
    for off in range(2 * STEP, 40 * STEP, STEP):
        assert ahead.expect(off, STEP) is not None

    assert DATA[40 * STEP :] == data_of(ahead.expect(40 * STEP, 4096))


@pytest.mark.parametrize(("off", "size"), [(20 * STEP, STEP), (3 * STEP, 2 * STEP), (5, STEP)])
def test_another_request_ends_it(source: Source, off: int, size: int) -> None:
    ahead = begun(source)

    assert ahead.expect(off, size) is None
    assert ahead.expect(2 * STEP, STEP) is None


def test_it_begins_anew_elsewhere(source: Source) -> None:
    ahead = begun(source)
    assert [None, None] == [ahead.expect(off * STEP, STEP) for off in (20, 21)]

    assert DATA[22 * STEP : 23 * STEP] == data_of(ahead.expect(22 * STEP, STEP))


def test_small_or_scattered_reads_start_no_thread(source: Source) -> None:
    small, scattered = source.ahead(), source.ahead()
    for i in range(10):
        small.expect(i * 4096, 4096)
        scattered.expect(i * 2 * STEP, STEP)

    assert [False, False] == [small.has_threads, scattered.has_threads]
    assert [] == source.read_at


def test_without_a_place_nothing_is_expected_until_one_is_free(source: Source) -> None:
    first, second = begun(source), begun(source)
    assert second.expect(2 * STEP, STEP) is None

    first.stop()

    assert second.expect(3 * STEP, STEP) is None
    assert DATA[4 * STEP : 5 * STEP] == data_of(second.expect(4 * STEP, STEP))


def test_stopping_leaves_no_thread(source: Source) -> None:
    before = threading.active_count()
    ahead = begun(source)
    assert threading.active_count() > before

    ahead.stop()

    assert before == threading.active_count()


def test_an_error_is_of_the_piece_alone(source: Source) -> None:
    def read(off: int, size: int) -> memoryview:
        if off == 3 * STEP:
            raise OSError("gone")
        return source.read(off, size)

    ahead = Ahead(read, len(DATA), source.places)
    source.made.append(ahead)
    ahead.expect(0, STEP)
    ahead.expect(STEP, STEP)
    pieces = [ahead.expect(off * STEP, STEP) for off in (2, 3, 4)]
    wait([piece for piece in pieces if piece is not None])

    assert DATA[2 * STEP : 3 * STEP] == data_of(pieces[0])
    with pytest.raises(OSError, match="gone"):
        data_of(pieces[1])
    assert DATA[4 * STEP : 5 * STEP] == data_of(pieces[2])
