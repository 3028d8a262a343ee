"""
What a driver is: it gives each layer a directory, and shows a chain of layers as one tree.

    core.layers ──► Driver.create / mount / unmount / remove ──► system calls

A driver knows directories and nothing of records, names, counts or locks: whoever calls holds the
store's locks (spec 6.2), and passes full layer IDs only.
"""

from __future__ import annotations

from holdfs.native.light import Protocol
from holdfs.native.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from holdfs.drivers.whiteouts import WhiteoutStyle

#: (first ID in the container, first ID on the host, how many): one line of an ID map.
IdRange: TypeAlias = tuple[int, int, int]
#: An ID map; an empty one leaves IDs as they are.
IdMap: TypeAlias = "Sequence[IdRange]"


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


class AdditionalLayer(Value):
    """
    A layer that an additional layer store offers (spec 8.12).

    Attributes:
        path: Its directory there, which holds `diff`, `info` and `blob`.
        info: What `info` holds: JSON, a record as in layers.json.
    """

    path: str
    info: bytes


class MountOptions(Value):
    """
    How a layer is to be mounted.

    Attributes:
        read_only: All lowers, no upper.
        options: Mount options that replace the driver's configured ones; None means those.
        label: SELinux label; "" for none.
        volatile: Skip syncs, the caller's content can be lost at a crash.
        uidmap, gidmap: Show the layer as a container with these maps sees it: on a driver that
            shifts (`supports_shifting`), and with both maps given. Other drivers have the owners
            on disk already (`change_owner`) and pass over the maps.
    """

    read_only: bool = False
    options: tuple[str, ...] | None = None
    label: str = ""
    volatile: bool = False
    uidmap: IdMap = ()
    gidmap: IdMap = ()


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

    @property
    def whiteout_style(self) -> WhiteoutStyle:
        """How deletions are written when a tar is unpacked into a layer, and found in it."""

    @property
    def ignore_chown_errors(self) -> bool:
        """Whether owners that can't be set are passed over (option of that name)."""

    @property
    def force_mask(self) -> int | None:
        """The mode that all unpacked files get, theirs going to an attribute; None for theirs."""

    def check_id(self, layer_id: str) -> None:
        """
        Make sure that a layer can have this ID.

        Raises:
            DriverError: Its directory would be the driver's own, or somewhere else.
        """

    def exists(self, layer_id: str) -> bool:
        """Whether the driver has a directory for this layer, in an additional store perhaps."""

    def is_read_only(self, layer_id: str) -> bool:
        """Whether the layer is in an additional image store: it can be a parent and be viewed."""

    def list_layers(self) -> list[str]:
        """
        IDs of all the driver's own layers, sorted.

        Directories that are not layers are left out, and layers of additional stores.
        """

    def create(
        self,
        layer_id: str,
        parent_id: str,
        *,
        label: str = "",
        uidmap: IdMap = (),
        gidmap: IdMap = (),
        read_only: bool = False,
        storage_options: Sequence[str] = (),
        staged: str = "",
    ) -> None:
        """
        Make the layer's directory, empty but for what it shows of its parent.

        A directory that is there already (left by a crash) is removed first. Below this level a
        layer made from a template is a child of the template: that is the parent to give.

        Args:
            parent_id: "" for a base layer. May be a layer of an additional store.
            uidmap, gidmap: Their root owns what is made; a child's top directory is owned as its
                parent's. What the parent holds keeps its owners: see `change_owner`. btrfs passes
                over them.
            read_only: The layer of an image: storage options are refused for it, and it gets none
                of the driver's limits.
            storage_options: "size=10G", "inodes=1000": limits of this layer.
            staged: What `make_staged` has made for this parent: it becomes the content.

        Raises:
            DriverError: The parent is not there, the maps have no root, the limits can't be had.
        """

    def change_owner(
        self,
        layer_id: str,
        *,
        old_uidmap: IdMap,
        old_gidmap: IdMap,
        new_uidmap: IdMap,
        new_gidmap: IdMap,
        label: str = "",
    ) -> None:
        """
        Give everything that a fresh layer shows, but its top directory, the owners of other maps.

        For a layer just created on a parent or template whose files are stored with the old maps.
        It does not count as a change of the layer, and a failure leaves it to be removed.

        Raises:
            DriverError: An owner has no place in the old maps. One without a place in the new ones
                becomes the overflow ID.
        """

    def supports_shifting(self, uidmap: IdMap = (), gidmap: IdMap = ()) -> bool:
        """
        Whether layers stored without maps can be mounted with these.

        Then layers are made without maps, and `change_owner` is not needed.
        """

    def remove(self, layer_id: str) -> None:
        """
        Unmount whatever is mounted below the layer and delete it. Not there: no error.

        What no layer can be called (`check_id`) is not there.
        """

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

    def lookup_dirs(self, layer_id: str) -> list[str]:
        """
        Return the directories in which the layer's files are looked for, in this order.

        The layer's own changes first, then those of each layer below, nearest first: an ID-mapped
        copy has none of its own. One whole tree where the driver keeps those.
        """

    def diff_parent_is_native(self, layer_id: str, parent_id: str) -> bool:
        """
        Whether `diff_path` holds exactly what the layer changes in this parent (spec 8.9).

        If not, a diff has to compare the two as they are when mounted.

        Args:
            parent_id: "" for the difference to nothing.
        """

    def make_staged(self, staged: str, parent_id: str) -> None:
        """
        Make the directory `staged` to unpack a child of the parent in, without any lock.

        Args:
            staged: A path below the graph root, on its file system, outside the home.
        """

    def adopt_staged(self, layer_id: str, staged: str) -> None:
        """
        Put a staged tree in the place of what a layer has, which is nothing of its own.

        One rename, however large the tree. The top directory keeps mode and owner where the driver
        does not unpack that too. What was there is at `staged` afterwards, or gone.

        Raises:
            OSError: ENOTEMPTY where the driver sees that the layer has content.
        """

    def find_additional_layer(self, digest: str, reference: str = "") -> AdditionalLayer | None:
        """
        Return the layer that an additional layer store has for a digest, None if none has.

        Args:
            digest: That of the layer, or of its table of contents.
            reference: The image's name; only asked of stores that want it.
        """

    def create_additional(
        self, layer_id: str, parent_id: str, additional: AdditionalLayer, *, label: str = ""
    ) -> None:
        """Make a layer whose content stays in the additional layer store."""

    def has_content(self, layer_id: str, parent_id: str = "") -> bool:
        """
        Whether anything was ever put in the layer that its parent does not show.

        Cheap where the driver can tell (overlay: an entry in the upper directory); a driver that
        can't tell cheaply compares, and needs to know the parent for it.
        """

    def cleanup(self) -> None:
        """What Shutdown undoes: the private mount of the home, `staging`."""
