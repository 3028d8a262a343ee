"""The one transaction: lock, reload, change one record, token, rename; and reading without it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfs.core.errors import StoreDamaged, StoreReadOnly
from holdfs.core.formats.records import Image
from holdfs.core.formats.shapes import IMAGES
from holdfs.core.lockfile import LockFile
from holdfs.core.part import Source
from holdfs.core.recordset import RecordSet

A = "a" * 64
B = "b" * 64
C = "c" * 64


class Disk:
    """A set of images in a directory."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.json = top / "images.json"
        self.lock = top / "images.lock"
        self.other = top / "other.json"
        self.volatile = top / "volatile-images.json"

    def open(self) -> RecordSet[Image]:
        return RecordSet(
            IMAGES,
            LockFile(str(self.lock)),
            [
                Source(str(self.json)),
                Source(str(self.volatile), volatile=True),
                Source(str(self.other), read_only=True),
            ],
        )


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def _image(image_id: str, *names: str) -> Image:
    return Image(id=image_id, names=names, created="2026-01-01T00:00:00Z")


def _line(image_id: str, *names: str, **more: object) -> bytes:
    record = {"id": image_id, "names": names, **more, "created": "2026-01-01T00:00:00Z"}
    return json.dumps(record, separators=(",", ":")).encode()


def test_a_missing_file_is_an_empty_set_and_the_first_edit_makes_it(disk: Disk) -> None:
    images = disk.open()
    assert () == images.current().ids
    with images.edit() as edit:
        edit.add(_image(A, "one"))
    assert b"[" + _line(A, "one") + b"]" == disk.json.read_bytes()
    assert 0o100600 == disk.json.stat().st_mode
    assert ["images.json", "images.lock"] == sorted(os.listdir(disk.top))


def test_removing_the_last_record_leaves_an_empty_list(disk: Disk) -> None:
    images = disk.open()
    with images.edit() as edit:
        edit.add(_image(A))
    with images.edit() as edit:
        edit.remove(A)
    assert b"[]" == disk.json.read_bytes()


def test_what_was_not_changed_goes_back_byte_for_byte(disk: Disk) -> None:
    odd = (
        b'{ "id" :"%s", "x-new":{"deep": [1.50]}, "created":"2026-01-01T00:00:00,5Z"}' % A.encode()
    )
    disk.json.write_bytes(b"[" + odd + b", " + _line(B, "two") + b"]")
    with disk.open().edit() as edit:
        edit.replace(edit.records.one(B).replaced(metadata="m"))
    assert disk.json.read_bytes().startswith(b"[" + odd + b",")


def test_unknown_keys_of_a_changed_record_stay(disk: Disk) -> None:
    disk.json.write_bytes(b"[" + _line(A, "one", **{"x-new": {"deep": [1]}}) + b"]")
    with disk.open().edit() as edit:
        edit.replace(edit.records.one(A).replaced(metadata="<m>"))
    assert b'"metadata":"\\u003cm\\u003e"' in disk.json.read_bytes()
    assert {"deep": [1]} == json.loads(disk.json.read_bytes())[0]["x-new"]


def test_the_token_is_renewed_before_the_file_is_replaced(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = disk.open()
    seen = []
    rename = os.rename

    def look(source: str, target: str) -> None:
        seen.append(LockFile(str(disk.lock)).token())
        rename(source, target)

    monkeypatch.setattr(os, "rename", look)
    with images.edit() as edit:
        edit.add(_image(A))
    assert [LockFile(str(disk.lock)).token()] == seen
    assert 64 == len(seen[0])


def test_an_edit_that_changes_nothing_writes_nothing(disk: Disk) -> None:
    images = disk.open()
    with images.edit() as edit:
        edit.add(_image(A))
    before = disk.json.stat(), disk.lock.read_bytes()
    with images.edit():
        pass
    assert before == (disk.json.stat(), disk.lock.read_bytes())


def test_an_exception_drops_what_was_not_saved(disk: Disk) -> None:
    images = disk.open()
    with pytest.raises(ZeroDivisionError), images.edit() as edit:
        edit.add(_image(A))
        edit.save()
        edit.add(_image(B))
        raise ZeroDivisionError
    assert (A,) == images.current().ids
    assert (A,) == disk.open().current().ids


def test_a_reader_keeps_its_object_until_somebody_writes(disk: Disk) -> None:
    ours, theirs = disk.open(), disk.open()
    with theirs.edit() as edit:
        edit.add(_image(A))
    first = ours.current()
    assert first is ours.current()
    with theirs.edit() as edit:
        edit.add(_image(B))
    assert (A, B) == ours.current().ids
    assert (A,) == first.ids


@pytest.mark.parametrize("nothing", [None, b"", b"[]", b"null"])
def test_the_one_file_that_has_records_is_given_as_it_is(disk: Disk, nothing: bytes | None) -> None:
    def only() -> bytes | None:
        found = disk.open().only(("id", "names"))
        return None if found is None else found[0]

    for path in (disk.json, disk.volatile):
        if nothing is not None:
            path.write_bytes(nothing)
    assert only() == b"[]"

    disk.volatile.write_bytes(b"[%b]" % _line(A))
    assert only() == disk.volatile.read_bytes()

    disk.json.write_bytes(b"[%b]" % _line(B))
    assert only() is None


def test_an_edit_starts_from_what_another_process_wrote_last(disk: Disk) -> None:
    ours, theirs = disk.open(), disk.open()
    with ours.edit() as edit:
        edit.add(_image(A))
    with theirs.edit() as edit:
        edit.remove(A)
        edit.add(_image(B))
    with ours.edit() as edit:
        edit.add(_image(C))
    assert (B, C) == disk.open().current().ids


def test_a_damaged_file_is_refused_with_its_place_and_not_written_over(disk: Disk) -> None:
    damaged = b"[" + _line(A) + b",{"
    disk.json.write_bytes(damaged)
    images = disk.open()
    damage = images.current().damage
    assert damage is not None
    assert (str(disk.json), len(damaged)) == (damage.path, damage.position)
    with (
        pytest.raises(StoreDamaged, match=r"images\.json is damaged at byte"),
        images.edit() as edit,
    ):
        edit.add(_image(B))
    assert damaged == disk.json.read_bytes()
    assert b"" == disk.lock.read_bytes()


def test_one_record_of_a_wrong_type_is_listed_and_blocks_only_writing(disk: Disk) -> None:
    broken = b'{"id":"%s","metadata":5}' % B.encode()
    content = b"[" + _line(A, "one") + b"," + broken + b"," + _line(C) + b"]"
    disk.json.write_bytes(content)
    images = disk.open()
    records = images.current()
    assert (A, B, C) == records.ids
    assert records.one(A).names == ("one",)
    with pytest.raises(StoreDamaged):
        records.get(B)
    with pytest.raises(StoreDamaged) as refused, images.edit() as edit:
        edit.remove(A)
    assert content.index(broken) == refused.value.position
    assert content == disk.json.read_bytes()


def test_of_two_records_with_one_id_the_last_counts_and_both_stay(disk: Disk) -> None:
    content = b"[" + _line(A, "old") + b"," + _line(B) + b"," + _line(A, "new") + b"]"
    disk.json.write_bytes(content)
    images = disk.open()
    assert ((A, B), ("new",)) == (images.current().ids, images.current().one(A).names)
    with images.edit() as edit:
        edit.add(_image(C))
    assert [A, B, A, C] == [r["id"] for r in json.loads(disk.json.read_bytes())]


def test_of_two_records_with_one_name_the_later_keeps_it(disk: Disk) -> None:
    disk.json.write_bytes(b"[" + _line(A, "n", "own") + b"," + _line(B, "n") + b"]")
    images = disk.open()
    assert B == images.current().by_name["n"]
    with images.edit():
        pass
    assert [["own"], ["n"]] == [r["names"] for r in json.loads(disk.json.read_bytes())]


def test_a_changed_record_goes_back_to_the_file_it_came_from(disk: Disk) -> None:
    disk.json.write_bytes(b"[" + _line(A) + b"]")
    disk.volatile.write_bytes(b"[" + _line(B) + b"]")
    images = disk.open()
    stable = disk.json.stat()
    with images.edit() as edit:
        edit.replace(edit.records.one(B).replaced(metadata="m"))
    assert stable == disk.json.stat()
    assert "m" == json.loads(disk.volatile.read_bytes())[0]["metadata"]
    with images.edit() as edit:
        edit.add(_image(C), volatile=True)
    assert [B, C] == [r["id"] for r in json.loads(disk.volatile.read_bytes())]


def test_an_additional_store_is_shown_after_ours_and_never_written(disk: Disk) -> None:
    disk.json.write_bytes(b"[" + _line(B, "ours") + b"]")
    disk.other.write_bytes(b"[" + _line(A, "theirs", "ours") + b"," + _line(B, "shadowed") + b"]")
    images = disk.open()
    records = images.current()
    assert (B, A) == records.ids
    assert (False, True) == (records.is_read_only(B), records.is_read_only(A))
    assert {"ours": B, "theirs": A} == dict(records.by_name)
    before = disk.other.read_bytes()
    with pytest.raises(StoreReadOnly), images.edit() as edit:
        edit.remove(A)
    with images.edit() as edit:
        edit.add(_image(C))
    assert before == disk.other.read_bytes()


def test_a_full_disk_leaves_the_old_file_and_no_temporary_one(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = disk.open()
    with images.edit() as edit:
        edit.add(_image(A))
    before = disk.json.read_bytes()

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(OSError, match="No space left"), images.edit() as edit:
        edit.add(_image(B))
    assert before == disk.json.read_bytes()
    assert ["images.json", "images.lock"] == sorted(os.listdir(disk.top))
    assert (A,) == images.current().ids


def test_two_processes_lose_no_change(disk: Disk) -> None:
    writer = (
        "import sys\n"
        "from holdfs.core.formats.records import Image\n"
        "from holdfs.core.formats.shapes import IMAGES\n"
        "from holdfs.core.lockfile import LockFile\n"
        "from holdfs.core.part import Source\n"
        "from holdfs.core.recordset import RecordSet\n"
        "top, prefix = sys.argv[1:]\n"
        "lock, source = LockFile(top + '/images.lock'), Source(top + '/images.json')\n"
        "images = RecordSet(IMAGES, lock, [source])\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "for i in range(100):\n"
        "    with images.edit() as edit:\n"
        "        edit.add(Image(id=f'{prefix}{i}'))\n"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", writer, str(disk.top), prefix],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for prefix in ("one", "two")
    ]
    for process in running:
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in running:
        process.communicate(timeout=60)
        assert 0 == process.returncode
    expected = {f"{prefix}{i}" for prefix in ("one", "two") for i in range(100)}
    assert expected == set(disk.open().current().ids)


@pytest.mark.parametrize(
    ("ref", "found"),
    [
        ("abc", "abc"),
        ("named", "ffff"),
        ("ab", None),
        ("abd", "abd1"),
        ("f", "ffff"),
        ("", None),
        ("zz", None),
        ("with", None),
        ("with blank", "with blank"),
        ("dd", "eeee"),
    ],
)
def test_look_up_takes_id_then_name_then_unique_prefix(
    disk: Disk, ref: str, found: str | None
) -> None:
    lines = [_line("abc"), _line("abcd"), _line("abd1"), _line("ffff", "named")]
    lines += [_line("with blank"), _line("dd11"), _line("eeee", "dd")]
    disk.json.write_bytes(b"[" + b",".join(lines) + b"]")
    assert found == disk.open().current().resolve(ref)


def test_a_change_that_leaves_the_stat_as_it_was_is_seen_by_its_token(disk: Disk) -> None:
    # Three writers within one tick of the clock: the third file has the first one's inode number.
    images = disk.open()
    with images.edit() as edit:
        edit.add(_image(A, "one"))
    before = disk.json.stat()
    with disk.json.open("r+b") as file:
        file.write(b"[" + _line(A, "two") + b"]")
    os.utime(disk.json, ns=(before.st_atime_ns, before.st_mtime_ns))
    with disk.lock.open("r+b") as file:
        file.write(b"x" * 64)

    assert ("two",) == images.current().names_of(A)
    with images.edit() as edit:
        assert ("two",) == edit.records.names_of(A)
