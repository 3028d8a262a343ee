"""`copy [layer:]path… [layer:]path`: files and directories into a layer, out of it, or between."""

from __future__ import annotations

from holdfs.core.cli import failure, output, progress
from holdfs.core.config import absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack

    from holdfs.core.cli.options import Given
    from holdfs.core.copying import Owners
    from holdfs.core.formats.records import IdMap, Layer
    from holdfs.core.store import Store


def copy(store: Store, given: Given, arguments: list[str]) -> int:
    """Copy each argument but the last to the last; nothing is printed, with --json neither."""
    from contextlib import ExitStack

    from holdfs.core.copying import Copier

    owner = _owner(given.text("chown"))
    with ExitStack() as mounted:
        places = [_Place(store, argument, mounted) for argument in arguments]
        target = places.pop()
        for source in places:
            copier = Copier(owners=_owners(owner, source.layer, target.layer))
            from_path = source.resolved(to_read=True)
            to_path = target.resolved(to_read=False)
            try:
                with progress.shown("copying"):
                    copier.copy(from_path, to_path)
            except OSError as error:
                output.err(f'error copying "{from_path}" to "{to_path}": {_reason(error)}\n')
                return 1
    return 0


class _Place:
    """An argument: a path, in a layer that is mounted until `mounted` is closed or in none."""

    def __init__(self, store: Store, argument: str, mounted: ExitStack) -> None:
        from holdfs.core.errors import InvalidValue, NotKnown

        ref, colon, path = argument.partition(":")
        self.layer: Layer | None = None
        self.path = argument
        self._root = ""
        if not colon:
            return
        self.path = path
        snapshot = store.snapshot()
        try:
            layer_id = store.full_id("layers", snapshot.layers, ref)
        except NotKnown as error:
            raise InvalidValue(
                f"there is no layer {ref!r}", words=f'error finding layer "{ref}": {error.words}'
            ) from error
        self.layer = snapshot.layers.one(layer_id)
        try:
            self._root = store.mount(layer_id)
        except Exception as error:
            words = f'error mounting layer "{ref}": {failure.expected_words(error)}'
            raise InvalidValue(f"layer {ref} can't be mounted: {error}", words=words) from error
        mounted.callback(store.unmount, layer_id)

    def resolved(self, *, to_read: bool) -> str:
        """Return the path on the host. What a layer's links lead to stays inside the layer."""
        from holdfs.core.copying import inside

        if not self._root:
            path = absolute(self.path)
            return path if to_read else path.rstrip("/")
        # A link at the end is followed when it is read, and replaced when it is written.
        return inside(self._root, self.path, follow_last=to_read)


def _owner(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    user, colon, group = text.partition(":")
    uid = _number(user, "UID")
    return uid, _number(group, "GID") if colon else uid


def _number(text: str, what: str) -> int:
    from holdfs.core.errors import InvalidValue

    if text.isascii() and text.isdecimal() and int(text) < 1 << 32:
        return int(text)
    reason = "value out of range" if text.isdecimal() else "invalid syntax"
    raise InvalidValue(
        f"{text!r} is no number of a user or group",
        words=f'bad {what}: strconv.ParseUint: parsing "{text}": {reason}',
    )


def _owners(owner: tuple[int, int] | None, source: Layer | None, target: Layer | None) -> Owners:
    """Return how owners change: out of the source's ID maps, into the target's."""

    def owners(uid: int, gid: int) -> tuple[int, int]:
        if owner is None:
            uid = _container_id(source.uidmap if source else (), uid)
            gid = _container_id(source.gidmap if source else (), gid)
        else:
            uid, gid = owner
        return (
            _host_id(target.uidmap if target else (), uid),
            _host_id(target.gidmap if target else (), gid),
        )

    return owners


def _container_id(maps: Sequence[IdMap], host_id: int) -> int:
    for m in maps:
        if m.host_id <= host_id < m.host_id + m.size:
            return m.container_id + host_id - m.host_id
    return _unmapped(maps, host_id, "host")


def _host_id(maps: Sequence[IdMap], container_id: int) -> int:
    for m in maps:
        if m.container_id <= container_id < m.container_id + m.size:
            return m.host_id + container_id - m.container_id
    return _unmapped(maps, container_id, "container")


def _unmapped(maps: Sequence[IdMap], number: int, side: str) -> int:
    if not maps:
        return number
    from holdfs.core.errors import InvalidValue

    other = "container" if side == "host" else "host"
    words = f"{side} ID {number} cannot be mapped to a {other} ID"
    raise InvalidValue(f"the layer's ID maps leave out {number}", words=words)


def _reason(error: OSError) -> str:
    verb = "stat " if error.errno == 2 else "open "
    return verb + failure.words(error).removeprefix("open ")
