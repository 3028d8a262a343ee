"""What is made from an earlier reading and the change is what a first reading would give."""

import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfs.core.comparing import SetChanges, compare
from holdfs.core.formats.records import Image
from holdfs.core.formats.shapes import IMAGES
from holdfs.core.lockfile import LockFile
from holdfs.core.part import Source
from holdfs.core.reading import Records
from holdfs.core.recordset import RecordSet
from holdfs.core.snapshot import Snapshot

IDS = "abcde"
#: An ID, the names it is to have (None: it is to go), and whether its record lies in memory only.
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(IDS),
        st.one_of(st.none(), st.lists(st.sampled_from("xyz"), max_size=2, unique=True)),
        st.booleans(),
    ),
    max_size=6,
)


def _open(top: str) -> RecordSet[Image]:
    return RecordSet(
        IMAGES,
        LockFile(f"{top}/images.lock"),
        [
            Source(f"{top}/images.json"),
            Source(f"{top}/volatile.json", volatile=True),
            Source(f"{top}/other.json", read_only=True),
        ],
    )


def _apply(images: RecordSet[Image], changes: Sequence[tuple[str, list[str] | None, bool]]) -> None:
    with images.edit() as edit:
        for record_id, names, volatile in changes:
            is_there = record_id in edit.records and not edit.records.is_read_only(record_id)
            if names is None:
                if is_there:
                    edit.remove(record_id)
            elif is_there:
                edit.change(record_id, {"names": names})
            else:
                image = Image(id=record_id, names=tuple(names), created="2026-01-01T00:00:00Z")
                edit.add(image, volatile=volatile)


def _told(records: Records[Image]) -> object:
    return (
        records.ids,
        {i: (records.raw(i), records.names_of(i), records.is_read_only(i)) for i in records},
        dict(records.by_name),
        records.count_names(),
        [records.resolve(prefix) for prefix in IDS],
    )


def _snapshot(images: Records[Image]) -> Snapshot:
    # The other kinds are the same object in all, and so not looked at.
    return Snapshot(_NOTHING, images, _NOTHING, {})  # type: ignore[arg-type]


_NOTHING: object = object()


def _changes(old: Records[Image], new: Records[Image]) -> SetChanges:
    found = compare(_snapshot(old), _snapshot(new)).images
    return SetChanges(
        *(tuple(sorted(ids)) for ids in (found.added, found.removed)),
        *(tuple(sorted(ids)) for ids in (found.changed, found.renamed)),
    )


@settings(deadline=None)  # a busy machine is no failure
@given(
    other=st.lists(st.sampled_from(IDS), max_size=2, unique=True),
    bursts=st.lists(CHANGES, max_size=4),
    by_us=st.booleans(),
)
def test_records_after_changes_are_what_a_first_reading_gives(
    other: list[str], bursts: list[list[tuple[str, list[str] | None, bool]]], by_us: bool
) -> None:
    with TemporaryDirectory() as top:
        records = [{"id": i, "names": ["x"], "created": "2026-01-01T00:00:00Z"} for i in other]
        Path(top, "other.json").write_text(json.dumps(records))
        watched = _open(top)
        first = watched.current()
        assert first.by_name.keys() <= {"x"}
        for burst in bursts:
            before = watched.current()
            _apply(watched if by_us else _open(top), burst)

            after, fresh = watched.current(), _open(top).current()

            assert _told(fresh) == _told(after)
            # Nothing is known of where two readings of their own differ: all is compared.
            assert _changes(_reread(before), fresh) == _changes(before, after)
            assert _changes(_reread(first), fresh) == _changes(first, after)


def _reread(records: Records[Image]) -> Records[Image]:
    """Return the same records as if from another process: of no known origin."""
    parts = [part.saved(part.signature) for part in records.parts]
    for part in parts:
        part.mark = object()
    return Records(records.shape, parts, records.token)


def test_who_looks_during_an_edit_sees_what_was_last_saved(tmp_path: Path) -> None:
    images = _open(str(tmp_path))
    _apply(images, [("a", ["x"], False)])
    seen = []

    def look() -> None:
        seen.append((images.current().ids, images.current().by_name.get("y")))

    def look_elsewhere() -> None:
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()

    with images.edit() as edit:
        edit.change("a", {"names": ["y"]})
        look_elsewhere()
        edit.save()
        look_elsewhere()
    assert [(("a",), None), (("a",), "a")] == seen


def test_after_an_edit_that_failed_the_disk_is_looked_at_again(tmp_path: Path) -> None:
    images = _open(str(tmp_path))
    _apply(images, [("a", ["x"], False)])
    try:
        with images.edit():
            raise KeyError
    except KeyError:
        pass
    _apply(_open(str(tmp_path)), [("b", ["y"], False)])
    assert ("a", "b") == images.current().ids


def test_who_looks_during_a_save_waits_for_what_it_saves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The watch is woken by the last rename of a save, and by nothing after it.
    images = _open(str(tmp_path))
    _apply(images, [("a", ["x"], False)])
    seen: list[Sequence[str]] = []
    looking = threading.Thread(target=lambda: seen.append(images.current().ids))
    sync = os.fdatasync

    def look_and_sync(fd: int) -> None:
        looking.start()
        sync(fd)

    monkeypatch.setattr(os, "fdatasync", look_and_sync)
    _apply(images, [("b", ["y"], False)])
    looking.join()
    assert [("a", "b")] == seen
