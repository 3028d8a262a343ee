"""
What a store holds, read with nothing of ours but the naming of files: plain values to compare.

    "layer base"             the record                 "layer base: tree"   the layer's own content
    "image shop/manifest"    content of big data        "mount web"          (count, path)

An object that a template does not have is called by its name, if it has one, else `new`, and the
times at which it was made are left out: two runs of one act give equal states.
"""

import json
import os
import re
import stat
from dataclasses import dataclass
from typing import Any, Final

from holdfs.core.formats.bigdata import file_name
from tests.mounts import mounts_below

_KINDS: Final = ("layers", "images", "containers")
#: What a crash may leave, and nobody reads.
_TEMPORARY: Final = re.compile(r"\.tmp-[\w.=+-]+\d+$|holdfs-[0-9a-f]{16}(\.lock)?$")

State = dict[str, object]


@dataclass(frozen=True, slots=True)
class Roots:
    """A store's directories, and the driver's name."""

    graph: str
    run: str
    driver: str

    def records(self, kind: str) -> list[dict[str, Any]]:
        """Return the records of a kind, in the order of the files."""
        found: list[dict[str, Any]] = []
        for name in (f"{kind}.json", f"volatile-{kind}.json"):
            found += _json(f"{self.graph}/{self.driver}-{kind}/{name}")
        return found

    def table(self) -> list[dict[str, Any]]:
        """Return the mount table as it is on disk."""
        return _json(f"{self.run}/{self.driver}-layers/mountpoints.json")

    def layer_dir(self, layer_id: str) -> str:
        """Return where the driver keeps the layer's own content."""
        if self.driver == "vfs":
            return f"{self.graph}/vfs/dir/{layer_id}"
        return f"{self.graph}/overlay/{layer_id}/diff"


def _json(path: str) -> list[dict[str, Any]]:
    try:
        with open(path, "rb") as file:
            return list(json.load(file) or [])
    except FileNotFoundError:
        return []


def read_state(roots: Roots, known: frozenset[str]) -> State:
    """
    Return everything the store holds.

    Args:
        known: IDs of the template; others are called `new`, those of layers nobody has `stray`.
    """
    records = {kind: roots.records(kind) for kind in _KINDS}
    called = _names(records, known)
    state: State = {}
    for kind in _KINDS:
        for record in records[kind]:
            # A name may be used once in each kind.
            name = f"{kind[:-1]} {called[record['id']]}"
            shown = {key: _called(value, called) for key, value in record.items()}
            if record["id"] not in known:
                shown["created"] = ""
            state[name] = shown
            for key in record.get("big-data-names") or ():
                path = f"{roots.graph}/{roots.driver}-{kind}/{record['id']}/{file_name(key)}"
                state[f"{name}/{key}"] = _content(path)
            if kind == "layers":
                state[f"{name}: tree"] = _tree(roots.layer_dir(record["id"]))
                shown["has parent's content"] = _shows_parent(roots, record)
    for entry in roots.table():
        if entry["count"] > 0:
            state[f"mount {called.get(entry['id'], 'lost')}"] = entry["count"]
    return state


def _called(value: object, called: dict[str, str]) -> object:
    if isinstance(value, list):
        return [_called(each, called) for each in value]
    return called.get(value, value) if isinstance(value, str) and _is_id(value) else value


def _is_id(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64


def _names(records: dict[str, list[dict[str, Any]]], known: frozenset[str]) -> dict[str, str]:
    used = {c["layer"] for c in records["containers"]} | {i.get("layer") for i in records["images"]}
    called = {found: found[:8] for found in known}
    mapped = {each for image in records["images"] for each in image.get("mapped-layers") or ()}
    for kind in _KINDS:
        for record in records[kind]:
            found = record["id"]
            if found in known:
                continue
            if found in mapped:
                called[found] = "mapped"
            elif record.get("names"):
                called[found] = record["names"][0]
            else:
                called[found] = "new" if kind != "layers" or found in used else f"stray {found[:8]}"
    return called


def _content(path: str) -> object:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _tree(top: str) -> object:
    if not os.path.isdir(top):
        return None
    found: dict[str, object] = {}
    for directory, names, files in os.walk(top):
        for name in (*names, *files):
            path = os.path.join(directory, name)
            inside = os.path.relpath(path, top)
            if name not in files:
                found[inside] = "directory"
            elif stat.S_ISCHR(os.lstat(path).st_mode):
                found[inside] = "whiteout"
            else:
                found[inside] = _content(path)
    return found


def _shows_parent(roots: Roots, record: dict[str, Any]) -> object:
    """Whether the driver's directory stands on the parent that the record has."""
    if roots.driver == "vfs":
        return True
    directory = f"{roots.graph}/overlay/{record['id']}"
    lower = _content(f"{directory}/lower") or b""
    parent = record.get("parent", "")
    if not parent:
        return lower == b""
    link = _content(f"{roots.graph}/overlay/{parent}/link") or b"-"
    assert isinstance(lower, bytes) and isinstance(link, bytes)
    return lower.split(b":")[0] == b"l/" + link


def find_litter(roots: Roots) -> list[str]:
    """
    Return what lies in the store and belongs to nothing in it, as paths below the graph root.

    Temporary files, big data and directories of objects that have no record, dangling links.
    """
    found = []
    ids = {kind: {record["id"] for record in roots.records(kind)} for kind in _KINDS}
    for kind in _KINDS:
        top = f"{roots.graph}/{roots.driver}-{kind}"
        for name in os.listdir(top):
            stem = name.removesuffix(".tar-split.gz")
            if _TEMPORARY.match(name) or (len(stem) == 64 and stem not in ids[kind]):
                found.append(f"{roots.driver}-{kind}/{name}")
        for record in roots.records(kind):
            directory = f"{top}/{record['id']}"
            keys = {file_name(key) for key in record.get("big-data-names") or ()} | {"userdata"}
            if os.path.isdir(directory):
                extra = sorted(set(os.listdir(directory)) - keys)
                found += [f"{roots.driver}-{kind}/{record['id']}/{name}" for name in extra]
    home = f"{roots.graph}/{'vfs/dir' if roots.driver == 'vfs' else 'overlay'}"
    for name in os.listdir(home):
        if name not in ids["layers"] and name not in ("l", ".has-mount-program"):
            found.append(os.path.relpath(f"{home}/{name}", roots.graph))
    if roots.driver == "overlay":
        for name in os.listdir(f"{home}/l"):
            if not os.path.exists(f"{home}/l/{name}"):
                found.append(f"overlay/l/{name}")
    found += [f"tmp/{name}" for name in os.listdir(f"{roots.graph}/tmp")]
    run_dir = f"{roots.run}/{roots.driver}-layers"
    found += [name for name in os.listdir(run_dir) if _TEMPORARY.match(name)]
    return sorted(found)


def mounted_layers(roots: Roots) -> list[str]:
    """Return the IDs of layers that the kernel has a mount of, sorted."""
    points = [p.split("/") for p in mounts_below(f"{roots.graph}/overlay")]
    return sorted(parts[-2] for parts in points if parts[-1] == "merged")


def broken(roots: Roots) -> list[str]:
    """Return in words every reference in the store that leads nowhere."""
    ids = {kind: {record["id"] for record in roots.records(kind)} for kind in _KINDS}
    found = []
    for kind, field, to in (
        ("layers", "parent", "layers"),
        ("images", "layer", "layers"),
        ("containers", "layer", "layers"),
        ("containers", "image", "images"),
    ):
        found += [
            f"{kind[:-1]} {record['id'][:8]}: its {field} is gone"
            for record in roots.records(kind)
            if record.get(field) and record[field] not in ids[to]
        ]
    return found + [
        f"layer {record['id'][:8]} is incomplete"
        for record in roots.records("layers")
        if (record.get("flags") or {}).get("incomplete")
    ]


def temporary(litter: list[str]) -> list[str]:
    """Return those of `find_litter` that are temporary files."""
    return [path for path in litter if _TEMPORARY.match(os.path.basename(path))]
