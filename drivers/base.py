"""
What a driver is: it gives each layer a directory, and shows a chain of layers as one tree.

    core.layers ──► Driver.create / mount / unmount / remove ──► system calls

A driver knows directories and nothing of records, names, counts or locks: whoever calls holds the
store's locks (spec 6.2), and passes full layer IDs only.
"""

from dataclasses import dataclass
from typing import Protocol


class DriverError(Exception):
    """
    A driver can't do what was asked, in words for a person.

    `words` is the Go tools' text for it where scripts match on that; else the same as the message.
    Failures of the kernel stay OSError, with the object as filename.
    """

    def __init__(self, message: str, *, words: str = "", errno_: int = 0) -> None:
        super().__init__(message)
        self.words = words or message
        #: What a caller of the mounted tree gets; 0 means EINVAL.
        self.errno = errno_


class DriverNotSupported(DriverError):
    """This driver can't work here (wrong file system, kernel, privileges)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MountOptions:
    """
    How a layer is to be mounted.

    Attributes:
        read_only: All lowers, no upper.
        options: Mount options that replace the driver's configured ones; None means those.
        label: SELinux label; "" for none.
        volatile: Skip syncs, the caller's content can be lost at a crash.
    """

    read_only: bool = False
    options: tuple[str, ...] | None = None
    label: str = ""
    volatile: bool = False


class Driver(Protocol):
    """One per (graph root, run root, driver name); safe to call from several threads."""

    @property
    def name(self) -> str:
        """overlay, vfs, btrfs: also the prefix of the store's directories."""

    @property
    def home(self) -> str:
        """`G/<name>`, absolute."""

    def status(self) -> list[tuple[str, str]]:
        """Key and value for `status`, in the Go tools' order and words."""

    def exists(self, layer_id: str) -> bool:
        """Whether the driver has a directory for this layer."""

    def list_layers(self) -> list[str]:
        """IDs of all the driver's layers, sorted; directories that are not layers left out."""

    def create(self, layer_id: str, parent_id: str, *, label: str = "") -> None:
        """
        Make the layer's directory, empty but for what it shows of its parent.

        A directory that is there already (left by a crash) is removed first.

        Args:
            parent_id: "" for a base layer.
        """

    def remove(self, layer_id: str) -> None:
        """Unmount whatever is mounted below the layer and delete it. Not there: no error."""

    def mount(self, layer_id: str, options: MountOptions) -> str:
        """
        Mount at the layer's own mount point (`mount_point`) and return that path.

        Already mounted there by any program: taken as it is. vfs and btrfs mount nothing.
        """

    def unmount(self, layer_id: str) -> None:
        """Undo `mount`. Not mounted: no error."""

    def mount_point(self, layer_id: str) -> str:
        """Where `mount` mounts this layer, mounted or not."""

    def is_mounted(self, layer_id: str) -> bool:
        """Whether the kernel has a mount at `mount_point`; vfs and btrfs: whether it exists."""

    def mount_view(self, layer_id: str, target: str) -> bool:
        """
        Mount the layer's tree read-only at `target`, an existing empty directory.

        A private view, outside the store's mount count; the caller unmounts it. The mount is
        nodev and nosuid, since it shows content that nobody vouches for.

        Returns:
            True. (Drivers without a kernel mount of their own bind the directory read-only.)
        """

    def diff_path(self, layer_id: str) -> str:
        """The directory that holds the layer's own changes; "" where the driver has none."""

    def has_content(self, layer_id: str, parent_id: str = "") -> bool:
        """
        Whether anything was ever put in the layer that its parent does not show.

        Cheap where the driver can tell (overlay: an entry in the upper directory); a driver that
        can't tell cheaply compares, and needs to know the parent for it.
        """

    def cleanup(self) -> None:
        """What Shutdown undoes: the private mount of the home, `staging`."""
