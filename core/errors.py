"""
Everything the store refuses, and in which words.

A `StoreError` speaks twice. `str(error)` is a sentence for a person: it names the object and the
way out. `words` is the text of the Go tools for the same refusal, to the letter, which scripts
match on (spec: containers/storage errors.go). The kernel's own failures stay `OSError`.
"""

from __future__ import annotations

import errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


class StoreError(Exception):
    """The root. `errno` is what a caller of the mounted tree gets."""

    errno: ClassVar[int] = errno.EINVAL
    #: The Go tools' base message, which `words` may wrap; "" where they have none: ours serves.
    base_words: ClassVar[str] = "not supported"

    def __init__(self, message: str, *, words: str = "") -> None:
        super().__init__(message)
        self.words = words or self.base_words or message


# -- unknown -----------------------------------------------------------------------------------


class NotKnown(StoreError):
    """No object has this id, name or unambiguous prefix."""

    errno = errno.ENOENT
    base_words = "layer not known"
    kind: ClassVar[str] = "layer, image or container"

    def __init__(self, ref: str, *, words: str = "") -> None:
        super().__init__(f"no {self.kind} {ref!r} in this store", words=words)
        self.ref = ref


class LayerNotKnown(NotKnown):
    kind = "layer"


class ImageNotKnown(NotKnown):
    kind = "image"
    base_words = "image not known"


class ContainerNotKnown(NotKnown):
    kind = "container"
    base_words = "container not known"


class NotALayer(LayerNotKnown):
    """What is to be deleted is no layer of the writable store."""

    base_words = "identifier is not a layer"


class NotAnImage(ImageNotKnown):
    base_words = "identifier is not an image"


class NotAContainer(ContainerNotKnown):
    base_words = "identifier is not a container"


class NotAnId(NotKnown):
    """Metadata asked of something that is none of the three kinds."""

    base_words = "identifier is not a layer, image, or container"


class BigDataNotKnown(StoreError):
    """The object is there, its big-data item is not."""

    errno = errno.ENOENT
    base_words = "file does not exist"

    def __init__(self, kind: str, object_id: str, key: str) -> None:
        hint = " (consider removing the image to resolve the issue)" if kind == "image" else ""
        super().__init__(
            f"{kind} {object_id} has no big-data item {key!r}",
            words=f'locating item named "{key}" for {kind} with ID "{object_id}"{hint}: '
            "file does not exist",
        )
        self.key = key


class SizeNotKnown(StoreError):
    errno = errno.ENODATA
    base_words = "size is not known"


class DigestNotKnown(StoreError):
    errno = errno.ENODATA
    base_words = "could not compute digest of item"


# -- taken -------------------------------------------------------------------------------------


class DuplicateId(StoreError):
    errno = errno.EEXIST
    base_words = "that ID is already in use"


class DuplicateName(StoreError):
    errno = errno.EEXIST
    base_words = "that name is already in use"


# -- in use ------------------------------------------------------------------------------------


class LayerHasChildren(StoreError):
    errno = errno.ENOTEMPTY
    base_words = "layer has children"


class LayerUsedByImage(StoreError):
    errno = errno.EBUSY
    base_words = "layer is in use by an image"


class LayerUsedByContainer(StoreError):
    errno = errno.EBUSY
    base_words = "layer is in use by a container"


class ImageUsedByContainer(StoreError):
    errno = errno.EBUSY
    base_words = "image is in use by a container"


class LayerMounted(StoreError):
    """Refused because the layer is mounted (shutdown; deleting through the tree)."""

    errno = errno.EBUSY
    base_words = "layer is in use by a container"


class LayerNotMounted(StoreError):
    errno = errno.EINVAL
    base_words = "layer is not mounted"


class ParentIsContainer(StoreError):
    errno = errno.EINVAL
    base_words = "would-be parent layer is a container"


class NotPristine(StoreError):
    """A relation can be set only while nothing was put in the object and nothing refers to it."""

    errno = errno.EBUSY


# -- values that cannot be ---------------------------------------------------------------------


class InvalidValue(StoreError):
    """A name, id, digest, key or text that the store can't hold."""

    errno = errno.EINVAL
    base_words = ""


class InvalidBigDataName(InvalidValue):
    base_words = "not a valid name for a big data item"


class InvalidDigest(InvalidValue):
    base_words = "invalid checksum digest format"


class DamagedStream(InvalidValue):
    """
    A stream is no tar, or is cut short.

    Attributes:
        offset: Where in the uncompressed tar the member begins that could not be read.
    """

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(
            f"the stream can't be applied: {reason} (in the member at byte {offset})", words=reason
        )
        self.offset = offset


class InvalidMappings(InvalidValue):
    """ID maps that leave out what is needed, or overlap."""

    base_words = "invalid mappings specified"


class NoFreeIds(StoreError):
    """An automatic user namespace would need more IDs than are free."""

    errno = errno.ENOSPC
    base_words = "not enough unused IDs in user namespace"


# -- the store itself --------------------------------------------------------------------------


class StoreReadOnly(StoreError):
    errno = errno.EROFS
    base_words = "called a write method on a read-only store"


class StoreDamaged(StoreError):
    """
    A file of the store can't be what it says. Nothing is written over it.

    Attributes:
        path: The damaged file.
        position: Byte offset of the damage in it, where that can be told; else None.
    """

    errno = errno.EIO
    base_words = "error loading storage metadata"

    def __init__(self, path: str, reason: str, *, position: int | None = None) -> None:
        at = "" if position is None else f" at byte {position}"
        super().__init__(
            f"{path} is damaged{at}: {reason}; nothing was changed, repair or restore that file",
            words=f'loading "{path}": {reason}{at}; repair or restore that file',
        )
        self.path = path
        self.position = position


class LockTimeout(StoreError):
    """Somebody held a lock for longer than we were to wait."""

    errno = errno.ETIMEDOUT

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__(
            f"waited {timeout_s:g} s for {path}, which another program holds locked; try again",
            words=f"timed out waiting for the lock {path}",
        )
        self.path = path


class ConfigError(StoreError):
    """storage.conf, an option or a variable is wrong, or names a store that can't be opened."""

    errno = errno.EINVAL
