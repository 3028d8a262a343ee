"""Tokens of lock files."""

import os
import struct
import time

import pytest

from holdfs.core.formats.lastwrite import TOKEN_SIZE, new_token
from tests.formats.real import DATA, STORES


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("kind", ["layers", "images", "containers", "mountpoints"])
def test_a_real_token_has_the_layout_that_we_write(store: str, kind: str) -> None:
    token = (DATA / store / f"{kind}.lock").read_bytes()

    written_ns, count, pid = struct.unpack("<QQI", token[:20])

    assert len(token) == TOKEN_SIZE
    assert 1_700_000_000 < written_ns / 1e9 < 4_000_000_000
    assert 0 < count < 1000
    assert 0 < pid < 2**22


def test_a_token_says_when_and_by_whom_and_is_never_the_same() -> None:
    before = time.time_ns()
    first, second = new_token(), new_token()

    written_ns, count, pid = struct.unpack("<QQI", first[:20])

    assert before <= written_ns <= time.time_ns()
    assert os.getpid() == pid
    assert count + 1 == struct.unpack("<Q", second[8:16])[0]
    assert first[20:] != second[20:]
    assert len(first) == TOKEN_SIZE
