"""Records: what is read from real stores, and that what is written is what Go writes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfs.core.formats.records import (
    Container,
    IdMap,
    Image,
    Layer,
    Record,
    decode_sound,
    edited,
    encode_value,
    to_json,
)
from holdfs.core.formats.shapes import CONTAINERS, IMAGES, LAYERS, Shape
from holdfs.core.formats.typed import UNDECODABLE, decode, decode_mounts
from holdfs.core.unsure import members_of
from tests.formats.real import ALL_RECORDS, SHAPES, STORES, array, raws

ODD_NAMES = (
    "plain",
    "a<b>&c",
    "line\u2028paragraph\u2029end",
    "Größe-漢字-🙂",
    'quote"back\\slash',
    "tab\tnewline\ncontrol\x01\x7f",
    " blank ",
    "docker.io/library/busybox:1.36@sha256",
    "",
)


def record(store: str, kind: str, index: int) -> Any:
    return decode(raws(store, kind)[index], SHAPES[kind])


# -- reading -----------------------------------------------------------------------------------


def test_names_of_any_kind_are_read_as_they_were_given() -> None:
    assert ODD_NAMES == record("mapped", "layers", 0).names
    assert ODD_NAMES == record("mapped", "containers", 0).names


@pytest.mark.parametrize(
    ("name", "compression"), [("none", 0), ("bzip2", 1), ("gzip", 2), ("xz", 3), ("zstd", 4)]
)
def test_compression_is_read(name: str, compression: int) -> None:
    found = {r.names: r for r in (decode(raw, LAYERS) for raw in raws("mapped", "layers"))}

    layer = found[(name,)]

    assert compression == layer.compression
    assert (0, 1000) == layer.uidset
    assert (0, 2000) == layer.gidset
    assert layer.diff_digest == found[("none",)].compressed_diff_digest
    assert (layer.compressed_size < layer.diff_size) is bool(compression)


def test_id_maps_and_flags_of_a_container_are_read() -> None:
    volatile, mapped, no_image = (record("mapped", "containers", i) for i in range(3))

    assert {"MountLabel": "", "ProcessLabel": "", "Volatile": True} == volatile.flags
    assert (IdMap(0, 100000, 65536),) == mapped.uidmap
    assert (IdMap(0, 200000, 1000), IdMap(1000, 300000, 10)) == mapped.gidmap
    assert ("no image", "") == (no_image.id, no_image.image)


def test_an_image_has_its_digest_first_and_each_other_manifests_once() -> None:
    image = record("mapped", "images", 0)

    assert (image.digest, image.big_data_digests["manifest-foo"]) == image.digests
    assert ("plain", "second", "first") == image.names_history
    assert 1 == len(image.mapped_layers)
    assert 'meta<>&"data"' == image.metadata
    assert 17 == image.big_data_sizes["漢字"]


def test_an_image_without_a_layer_has_its_given_digest() -> None:
    image = record("mapped", "images", 1)

    assert ("no layer", "", ("sha256:" + "0" * 64,)) == (image.id, image.layer, image.digests)


@pytest.mark.parametrize("store", STORES)
def test_the_mount_table_is_read(store: str) -> None:
    [entry] = decode_mounts(array(store, "mountpoints"))

    assert entry.id in {decode(raw, LAYERS).id for raw in raws(store, "layers")}
    assert (1, True) == (entry.count, entry.id in entry.path)


def test_a_mount_whose_count_go_alone_would_see_is_refused() -> None:
    with pytest.raises(UNDECODABLE, match="`Count` has to be written `count`"):
        decode_mounts(b'[{"id":"a","path":"/a","Count":1}]')


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"id":"a","names":null,"created":"2026-01-01T00:00:00Z"}', ()),
        (b'{"id":"a","names":null,"flags":null,"uidmap":null}', ()),
        (b'{"id":"a"}', ()),
        (b' { "id" : "a" , "names" : [ "b" ] } ', ("b",)),
    ],
)
def test_absent_and_null_are_the_same(text: bytes, expected: tuple[str, ...]) -> None:
    layer = decode(text, LAYERS)

    assert ("a", expected, {}) == (layer.id, layer.names, layer.flags)


# -- writing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "raw"), ALL_RECORDS)
def test_a_record_is_written_byte_for_byte_as_go_wrote_it(kind: str, raw: bytes) -> None:
    assert raw == to_json(decode(raw, SHAPES[kind]))


def test_what_is_empty_is_left_out_but_for_what_never_is() -> None:
    zero = b'"created":"0001-01-01T00:00:00Z"'

    assert b'{"id":"a",' + zero + b"}" == to_json(Layer(id="a"))
    assert b'{"id":"a",' + zero + b"}" == to_json(Image(id="a"))
    assert b'{"id":"a","image":"","layer":"",' + zero + b"}" == to_json(Container(id="a"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("<>&", b'"\\u003c\\u003e\\u0026"'),
        ("\u2028\u2029", b'"\\u2028\\u2029"'),
        ('"\\/', b'"\\"\\\\/"'),
        ("\n\r\t\x01\x1f\x7f", b'"\\n\\r\\t\\u0001\\u001f\x7f"'),
        ("é漢🙂", '"é漢🙂"'.encode()),
        (
            {"b": 1, "a": 2, "B": 3, "é": 4, "<": 5},
            '{"\\u003c":5,"B":3,"a":2,"b":1,"é":4}'.encode(),
        ),
        ({"Volatile": True, "MountOpts": ["a", "b"]}, b'{"MountOpts":["a","b"],"Volatile":true}'),
        ((IdMap(0, 1, 2),), b'[{"container_id":0,"host_id":1,"size":2}]'),
    ],
)
def test_values_are_escaped_and_sorted_as_by_go(value: object, expected: bytes) -> None:
    assert expected == encode_value(value)


# -- editing -----------------------------------------------------------------------------------

UNKNOWN = (
    b'{"id":"a","x-first":{"k": [1, 2.50,"\\u00e9"]},"names":["n"],"created":'
    b'"2026-01-01T00:00:00.100Z","toc-digest":"sha256:x","flags":{"z":1,"a":1e3},"x-last":null}'
)


def test_unknown_keys_and_unchanged_values_keep_their_bytes() -> None:
    old = decode(UNKNOWN, LAYERS)

    new = edited(members_of(UNKNOWN), old, old.replaced(metadata="m", names=("n", "o<")))

    assert (
        b'{"id":"a","names":["n","o\\u003c"],"metadata":"m","created":"2026-01-01T00:00:00.100Z",'
        b'"toc-digest":"sha256:x","flags":{"z":1,"a":1e3},'
        b'"x-first":{"k": [1, 2.50,"\\u00e9"]},"x-last":null}'
    ) == new


def test_a_value_that_became_empty_is_left_out() -> None:
    old = decode(UNKNOWN, LAYERS)

    new = edited(members_of(UNKNOWN), old, old.replaced(names=(), flags={}))

    assert {"id", "created", "toc-digest", "x-first", "x-last"} == json.loads(new).keys()


@pytest.mark.parametrize(("kind", "raw"), ALL_RECORDS)
def test_an_edit_gives_what_go_would_have_written_for_the_whole_record(
    kind: str, raw: bytes
) -> None:
    old = decode(raw, SHAPES[kind])
    new = old.replaced(names=("<new>",), metadata="\u2028")

    assert to_json(new) == edited(members_of(raw), old, new)


# -- any record ----------------------------------------------------------------------------------

texts = st.text(max_size=8)
names = st.lists(texts, unique=True, max_size=3).map(tuple)
counts = st.integers(0, 2**63 - 1)
maps = st.lists(st.builds(IdMap, counts, counts, counts), max_size=2).map(tuple)
flags = st.dictionaries(
    texts,
    st.one_of(texts, st.booleans(), st.integers(-(2**53), 2**53), st.lists(texts)),
    max_size=3,
)
ids = st.lists(st.integers(0, 2**32 - 1), max_size=3).map(tuple)
layers = st.builds(
    Layer,
    id=texts,
    names=names,
    parent=texts,
    metadata=texts,
    mount_label=texts,
    compressed_size=counts,
    diff_size=st.integers(-1, 2**63 - 1),
    compression=st.integers(0, 4),
    uidset=ids,
    gidset=ids,
    flags=flags,
    uidmap=maps,
    gidmap=maps,
    big_data_names=names,
)
images = st.builds(
    Image,
    id=texts,
    digest=texts,
    names=names,
    names_history=names,
    layer=texts,
    mapped_layers=names,
    metadata=texts,
    big_data_names=names,
    big_data_sizes=st.dictionaries(texts, counts, max_size=3),
    big_data_digests=st.dictionaries(texts, texts, max_size=3),
    flags=flags,
)
containers = st.builds(
    Container,
    id=texts,
    names=names,
    image=texts,
    layer=texts,
    metadata=texts,
    big_data_names=names,
    big_data_sizes=st.dictionaries(texts, counts, max_size=3),
    uidmap=maps,
    gidmap=maps,
    flags=flags,
)
any_record = st.one_of(layers, images, containers)
SHAPE_OF: dict[type[Record], Shape[Any]] = {Layer: LAYERS, Image: IMAGES, Container: CONTAINERS}


@given(any_record)
def test_what_is_written_is_read_again(made: Layer | Image | Container) -> None:
    written = to_json(made)

    assert made == decode(written, SHAPE_OF[type(made)])
    assert made == decode_sound(written, SHAPE_OF[type(made)])
    assert written == to_json(decode(written, SHAPE_OF[type(made)]))
    assert not set("<>&\u2028\u2029\n") & set(written.decode())


@given(
    any_record,
    st.dictionaries(texts.map("x-{}".format), st.one_of(texts, st.none(), flags), max_size=3),
    names,
)
def test_an_edit_changes_one_value_and_loses_nothing(
    made: Layer | Image | Container, unknown: dict[str, object], new_names: tuple[str, ...]
) -> None:
    document = json.loads(to_json(made)) | unknown
    raw = json.dumps(document, indent=1).encode()
    old: Any = decode(raw, SHAPE_OF[type(made)])

    new = json.loads(edited(members_of(raw), old, old.replaced(names=new_names)))

    expected = document | {"names": list(new_names)}
    if not new_names:
        del expected["names"]
    assert expected == new
