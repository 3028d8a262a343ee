"""
Which JSON files are refused, and which are taken.

The rule is the newest Go code's (spec 7.3): what it refuses we refuse, with file and position. In
one thing we are kinder: a single bad record hides no other, though nothing is saved over it.
"""

from pathlib import Path

import pytest

from holdfs.core.errors import StoreDamaged
from holdfs.core.formats.records import Layer
from holdfs.core.formats.shapes import LAYERS
from holdfs.core.part import Source, read_part
from holdfs.core.reading import Records
from holdfs.core.unsure import check_part
from tests.formats.real import SHAPES, STORES, array

GOOD = b'{"id":"good","names":["n"],"created":"2026-01-01T00:00:00Z"}'


def read(path: Path, data: bytes) -> Records[Layer]:
    path.write_bytes(data)
    return Records(LAYERS, [read_part(Source(str(path)), LAYERS)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "layers.json"


@pytest.mark.parametrize(
    ("data", "position"),
    [
        (b"[" + GOOD, 1 + len(GOOD)),
        (b"[" + GOOD + b',{"id":"half', 13 + len(GOOD)),
        (b"[" + GOOD + b"] x", 4 + len(GOOD)),
        (b"[" + GOOD + b"][]", 3 + len(GOOD)),
        (b"[" + GOOD + b",]", 2 + len(GOOD)),
        (b"\xef\xbb\xbf[]", 0),
        (b"x", 0),
        (b" ", 1),
        (b"\0" * 512, 0),
        (b'{"id":"a"}', 0),
        (b'"text"', 0),
        (b"7", 0),
        (b"true", 0),
        (b"[" + GOOD + b',{"id":}]', 8 + len(GOOD)),
        (b"[" + GOOD + b",7]", 2 + len(GOOD)),
        (b"[" + GOOD + b",[]]", 2 + len(GOOD)),
        (b"[" + GOOD + b",{}]", 2 + len(GOOD)),
        (b"[" + GOOD + b',{"id":7}]', 2 + len(GOOD)),
        (b'[{"id":"\xff"}]', 1),
        (b"[" + GOOD + b',{"ID":"other"}]', 2 + len(GOOD)),
        (b"[" + GOOD + b',{"id":"deep","later":' + b"[" * 20000, 0),
        (b"[" + GOOD[:-1] + b',"flags":{"deep":' + b"[" * 5000 + b"]" * 5000 + b"}}]", 0),
    ],
)
def test_a_damaged_file_is_refused_with_its_name_and_the_position(
    path: Path, data: bytes, position: int
) -> None:
    records = read(path, data)

    damage = records.damage
    assert damage is not None
    assert (str(path), position) == (damage.path, damage.position)
    assert str(path) in str(damage)
    assert damage.words.startswith(f'loading "{path}": ')
    assert () == records.ids


@pytest.mark.parametrize(
    "fields",
    [
        b'"names":"n"',
        b'"names":[1]',
        b'"names":{}',
        b'"parent":1',
        b'"created":"yesterday"',
        b'"created":"2026-01-01 00:00:00Z"',
        b'"created":"2026-01-01T00:00:00"',
        b'"created":"2026-02-30T00:00:00Z"',
        b'"created":"2025-02-29T00:00:00Z"',
        b'"created":"2026-01-01T00:00:00Z\\n"',
        '"created":"٢٠٢٦-01-01T00:00:00Z"'.encode(),
        b'"created":7',
        b'"diff-size":1.5',
        b'"diff-size":"1"',
        b'"diff-size":1e3',
        b'"uidset":["a"]',
        b'"flags":[]',
        b'"uidmap":[{"container_id":"0"}]',
        b'"metadata":{}',
        b'"big-data-names":{"a":1}',
        # Go takes these for `parent` and `names`, so do some others.
        b'"Parent":"good"',
        b'"parent":"","PARENT":"good"',
        '"name\u017f":["n"]'.encode(),
    ],
)
def test_a_damaged_record_is_refused_and_the_others_served(path: Path, fields: bytes) -> None:
    data = b"[" + GOOD + b',{"id":"bad",' + fields + b"}," + GOOD.replace(b"good", b"next") + b"]"
    records = read(path, data)

    assert ("good", "bad", "next") == records.ids
    assert records.get("good")
    assert records.get("next")
    with pytest.raises(StoreDamaged, match=str(path)):
        records.get("bad")
    with pytest.raises(StoreDamaged) as caught:
        check_part(records.parts[0], LAYERS)
    assert len(GOOD) + 2 == caught.value.position
    assert data == path.read_bytes()


@pytest.mark.parametrize("data", [None, b"", b"null", b"[]", b" [ ] \n"])
def test_a_file_that_holds_nothing_is_no_damage(path: Path, data: bytes | None) -> None:
    if data is not None:
        path.write_bytes(data)
    part = read_part(Source(str(path)), LAYERS)

    check_part(part, LAYERS)
    assert () == Records(LAYERS, [part]).ids


@pytest.mark.parametrize(
    "fields",
    [
        b'"names":null',
        b'"names":null,"created":"2026-01-01T00:00:00Z"',
        b'"created":"2026-01-01T00:00:00,5Z"',
        b'"created":"2026-01-01T00:00:00.123456789+02:00"',
        b'"parent":null,"flags":null,"uidmap":null,"diff-size":null,"created":null',
        b'"unknown":{"deep":[1,2.5,null]}',
        '"unbekannte größe":1'.encode(),
        b'"diff-size":-1',
    ],
)
def test_what_go_takes_is_taken(path: Path, fields: bytes) -> None:
    records = read(path, b"[" + GOOD + b',{"id":"odd",' + fields + b"}]")

    check_part(records.parts[0], LAYERS)
    assert records.damage is None
    layer = records.get("odd")
    assert layer is not None
    assert () == layer.names
    assert () == records.names_of("odd")
    records.created_ns("odd")


def test_of_two_records_with_one_id_the_last_counts(path: Path) -> None:
    records = read(path, b"[" + GOOD + b"," + GOOD.replace(b'"n"', b'"later"') + b"]")

    assert ("good",) == records.ids
    assert ("later",) == records.names_of("good")


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("kind", SHAPES)
def test_real_files_are_read_whole_and_cut_ones_are_refused(
    path: Path, store: str, kind: str
) -> None:
    data = array(store, kind)
    path.write_bytes(data)
    shape = SHAPES[kind]
    part = read_part(Source(str(path)), shape)
    check_part(part, shape)
    assert data == b"[" + b",".join(bytes(raw) for raw in part.raws) + b"]"

    for length in range(1, len(data), 97):
        path.write_bytes(data[:length])
        damage = read_part(Source(str(path)), shape).damage
        assert damage is not None
        assert length == damage.position


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (b'"created":"yesterday"', "expected a time as in RFC 3339 - at `$.created`"),
        (b'"names":["\\x"]', "JSON is malformed: invalid escaped character"),
        (b'"names":["\xff"]', "it is not UTF-8"),
        (b'"Parent":"a"', "the key `Parent` has to be written `parent`"),
    ],
)
def test_what_is_wrong_is_said_in_words_for_people(path: Path, fields: bytes, words: str) -> None:
    records = read(path, b"[" + GOOD[:-1] + b"," + fields + b"}]")

    with pytest.raises(StoreDamaged) as caught:
        check_part(records.parts[0], LAYERS)
    damage = caught.value
    way_out = f"at byte {damage.position}; repair or restore that file"
    assert f'loading "{path}": {words} {way_out}' == damage.words
