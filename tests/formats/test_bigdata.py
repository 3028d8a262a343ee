"""File names of data items, and digests."""

import base64
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfs.core.errors import InvalidBigDataName, InvalidDigest
from holdfs.core.formats.bigdata import file_name
from holdfs.core.formats.digests import check_digest, digest, is_manifest, manifest_digest
from tests.formats.real import DATA, raws

REAL = json.loads((DATA / "big-data.json").read_bytes())


@pytest.mark.parametrize(("key", "name"), REAL.items())
def test_a_key_has_the_file_name_that_go_gave_it(key: str, name: str) -> None:
    assert name == file_name(key)


@pytest.mark.parametrize("key", ["", ".", "..", "/", "\0", "a" * 256, "a-" * 128])
def test_a_key_whose_file_would_be_elsewhere_is_refused(key: str) -> None:
    with pytest.raises(InvalidBigDataName) as caught:
        file_name(key)
    assert "not a valid name for a big data item" in caught.value.words


@given(st.text(min_size=1, max_size=80))
def test_a_file_name_is_one_name_and_tells_the_key(key: str) -> None:
    try:
        name = file_name(key)
    except InvalidBigDataName:
        return
    assert "/" not in name
    assert "\0" not in name
    assert name not in ("", ".", "..")
    if name != key:
        data = name[1:] + "/" * (-len(name[1:]) % 4)
        assert key == base64.b64decode(data).decode()


def test_digests_of_real_data_are_computed_alike() -> None:
    image = json.loads(raws("mapped", "images")[0])

    for key in image["big-data-names"]:
        data = f"data of {key!r}\n".encode()
        expected = image["big-data-digests"][key]
        assert expected == (manifest_digest(data) if is_manifest(key) else digest(data))
        assert expected == check_digest(expected)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "invalid checksum digest format"),
        ("abc", "invalid checksum digest format"),
        ("sha256:", "invalid checksum digest format"),
        (":abc", "invalid checksum digest format"),
        ("sha256:1234", "invalid checksum digest length"),
        ("sha256:" + "0" * 65, "invalid checksum digest length"),
        ("sha512:" + "0" * 64, "invalid checksum digest length"),
        ("sha256:" + "G" * 64, "invalid checksum digest format"),
        ("sha256:" + "A" * 64, "invalid checksum digest format"),
        ("md5:" + "0" * 32, "unsupported digest algorithm"),
        ("sha1:" + "0" * 40, "unsupported digest algorithm"),
    ],
)
def test_what_is_no_digest_is_refused_in_gos_words(text: str, words: str) -> None:
    with pytest.raises(InvalidDigest) as caught:
        check_digest(text)
    assert words == caught.value.words


@pytest.mark.parametrize(
    "text", ["sha256:" + "0" * 64, "sha384:" + "a" * 96, "sha512:" + "0f" * 64]
)
def test_digests_of_each_algorithm_are_taken(text: str) -> None:
    assert text == check_digest(text)


def test_a_signed_schema_1_manifest_is_known_by_what_is_signed() -> None:
    payload = b'{\n   "schemaVersion": 1,\n   "name": "x"\n}'
    protected = base64url(
        json.dumps({"formatLength": len(payload) - 2, "formatTail": base64url(b"\n}")})
    )
    signed = payload[:-2] + b',\n   "signatures": [{"protected": "%s"}]\n}' % protected.encode()

    assert "sha256:" + hashlib.sha256(payload).hexdigest() == manifest_digest(signed)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not json",
        b'{"signatures":[]}',
        b'{"schemaVersion":2,"signatures":[{"protected":"e30"}]}',
        b'{"schemaVersion":1,"signatures":[{"protected":"e30"}]}',
        b'{"schemaVersion":1,"signatures":7}',
        b'["signatures"]',
        b'{"signatures":' + b"[" * 100_000,
        b'{"schemaVersion":1,"signatures":[{"protected":"eyJmb3JtYXRMZW5ndGgiOjFlOTk5fQ"}]}',
    ],
)
def test_any_other_manifest_is_known_by_its_bytes(data: bytes) -> None:
    assert "sha256:" + hashlib.sha256(data).hexdigest() == manifest_digest(data)


def base64url(data: bytes | str) -> str:
    raw = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
