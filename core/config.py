"""
Which store is meant: storage.conf, the environment, what the command line says, the defaults.

    explicit graph root, run root, driver or driver option?
        no:  the files, then STORAGE_DRIVER and STORAGE_OPTS, then the defaults
        yes: only that; the files give a root that is missing, and nothing else

The second line is what keeps two programs from mounting one layer with different options, so it
holds to the letter (spec, cli 1.3; store-format 11).
"""

from __future__ import annotations

import os

from holdfs.core.conffiles import Settings, home_directory, read_settings
from holdfs.core.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

_ROOT_GRAPH = "/var/lib/containers/storage"
_ROOT_RUN = "/run/containers/storage"

#: Which keys of [storage.options] and of the driver's own table become driver options, in the
#: order of the Go tools.
_GENERAL_OPTIONS = (
    "size",
    "mount_program",
    "skip_mount_home",
    "ignore_chown_errors",
    "force_mask",
    "mountopt",
)
_DRIVER_OPTIONS: dict[str, tuple[str, ...]] = {
    "overlay": (
        "ignore_chown_errors",
        "mount_program",
        "mountopt",
        "size",
        "inodes",
        "skip_mount_home",
        "force_mask",
        "use_composefs",
        "sync",
    ),
    "btrfs": ("min_space", "size"),
    "vfs": ("ignore_chown_errors", "sync"),
    "zfs": ("fsname", "mountopt", "size"),
}
#: The options that name additional image stores, without their driver.
_IMAGE_STORE_OPTIONS = frozenset(("imagestore", "additionalimagestore", "additionalimagestores"))


class StoreOptions:
    """
    All that decides how a store is opened.

    Attributes:
        graph_root: Absolute path; may not exist yet.
        run_root: Absolute path; may not exist yet.
        driver: "" when it is to be chosen, see `driver_priority`.
        driver_options: Each "overlay.mountopt=nodev", ".mountopt=nodev" or "mountopt=nodev", not
            yet checked: that is the driver's affair.
        driver_priority: The drivers to choose from, best first; empty for the usual order.
        image_store: Another directory for images and their layers; "" for none.
        additional_image_stores: Read-only stores that `driver_options` name, in order.
        transient_store: Containers are kept below the run root.
        disable_volatile: Never mount a container volatile.
        root_auto_userns_user: Whose sub-ID ranges automatic user namespaces are taken from, "" for
            the usual one.
        auto_userns_min_size, auto_userns_max_size: How many IDs such a one has; 0 for the usual.
        remap_maps: UID and GID map of base layers for which none are asked, each "C:H:S[:…]" or "".
        remap_owners: User and group whose sub-IDs stand in for these.
        rootless: The store is a user's own.
        pull_options: How images are pulled, as the files say.
        warnings: What in the files was not understood, one sentence each.
    """

    __slots__ = (
        "additional_image_stores",
        "auto_userns_max_size",
        "auto_userns_min_size",
        "disable_volatile",
        "driver",
        "driver_options",
        "driver_priority",
        "graph_root",
        "image_store",
        "pull_options",
        "remap_maps",
        "remap_owners",
        "root_auto_userns_user",
        "rootless",
        "run_root",
        "transient_store",
        "warnings",
    )

    def __init__(
        self,
        *,
        graph_root: str,
        run_root: str,
        driver: str = "",
        driver_options: tuple[str, ...] = (),
        driver_priority: tuple[str, ...] = (),
        image_store: str = "",
        additional_image_stores: tuple[str, ...] = (),
        transient_store: bool = False,
        disable_volatile: bool = False,
        root_auto_userns_user: str = "",
        auto_userns_min_size: int = 0,
        auto_userns_max_size: int = 0,
        remap_maps: tuple[str, str] = ("", ""),
        remap_owners: tuple[str, str] = ("", ""),
        rootless: bool = False,
        pull_options: tuple[tuple[str, str], ...] = (),
        warnings: tuple[str, ...] = (),
    ) -> None:
        self.graph_root = graph_root
        self.run_root = run_root
        self.driver = driver
        self.driver_options = driver_options
        self.driver_priority = driver_priority
        self.image_store = image_store
        self.additional_image_stores = additional_image_stores
        self.transient_store = transient_store
        self.disable_volatile = disable_volatile
        self.root_auto_userns_user = root_auto_userns_user
        self.auto_userns_min_size = auto_userns_min_size
        self.auto_userns_max_size = auto_userns_max_size
        self.remap_maps = remap_maps
        self.remap_owners = remap_owners
        self.rootless = rootless
        self.pull_options = pull_options
        self.warnings = warnings

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def replaced(self, **changes: Any) -> StoreOptions:
        """Return the options with some changed."""
        return StoreOptions(**{**self._values(), **changes})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoreOptions) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(tuple(self._values().values()))

    def __repr__(self) -> str:
        values = (f"{name}={value!r}" for name, value in self._values().items())
        return f"StoreOptions({', '.join(values)})"


def load_options(
    *,
    graph_root: str = "",
    run_root: str = "",
    driver: str = "",
    driver_options: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> StoreOptions:
    """
    Return the options of the store that the Go tools would open here.

    Args:
        graph_root: What was given explicitly; so the next three. "" or () is not given.
        environ: The variables that count; None for the process's own.

    Raises:
        ConfigError: A file is wrong. Even one that is not used is an error, as for the Go tools.
        OSError: A root in a file leads through a directory that can't be looked into.
    """
    environ = os.environ if environ is None else environ
    uid = int(environ.get("_CONTAINERS_ROOTLESS_UID") or os.geteuid())
    # In a user namespace that podman or buildah made the user is root, and yet the store his own.
    per_user = uid != 0
    settings = read_settings(environ, uid=uid, per_user=per_user)
    configured = _configured(settings, environ, uid, per_user)
    if not (graph_root or run_root or driver or driver_options):
        return configured

    driver = _plain_name(driver)
    return StoreOptions(
        graph_root=absolute(graph_root) if graph_root else configured.graph_root,
        run_root=absolute(run_root) if run_root else configured.run_root,
        driver=driver,
        driver_options=tuple(driver_options),
        additional_image_stores=tuple(_image_stores(driver, driver_options)),
        rootless=per_user,
        warnings=configured.warnings,
    )


def overridden(
    options: StoreOptions,
    *,
    graph_root: str = "",
    run_root: str = "",
    driver: str = "",
    more_driver_options: Sequence[str] = (),
    image_store: str = "",
    transient_store: bool = False,
) -> StoreOptions:
    """
    Return the options changed where something is given, all else left as it was decided.

    This is what the Go tools' command line does with options behind the command's name.
    """
    driver = _plain_name(driver) or options.driver
    driver_options = (*options.driver_options, *more_driver_options)
    return options.replaced(
        graph_root=absolute(graph_root) if graph_root else options.graph_root,
        run_root=absolute(run_root) if run_root else options.run_root,
        driver=driver,
        driver_options=driver_options,
        image_store=absolute(image_store) if image_store else options.image_store,
        additional_image_stores=tuple(_image_stores(driver, driver_options)),
        transient_store=transient_store or options.transient_store,
    )


def absolute(path: str) -> str:
    """
    Return the path from the root on, `.` and `..` resolved by their letters.

    Raises:
        FileNotFoundError: It is relative, and the working directory was deleted.
    """
    try:
        return os.path.abspath(path)
    except FileNotFoundError as error:
        reason = f"{path}: the working directory was deleted; change to another, or give full paths"
        raise FileNotFoundError(error.errno, reason) from None


def _configured(
    settings: Settings, environ: Mapping[str, str], uid: int, per_user: bool
) -> StoreOptions:
    values = settings.values
    graph_root = values.get("graphroot", "")
    if not graph_root and per_user:
        graph_root = values.get("rootless_storage_path") or _user_graph_root(environ)
    run_root = values.get("runroot") or (_user_run_root(environ, uid) if per_user else _ROOT_RUN)
    graph_root = _expand(graph_root or _ROOT_GRAPH, environ, uid)
    run_root = _expand(run_root, environ, uid)

    driver = _plain_name(environ.get("STORAGE_DRIVER") or values.get("driver", ""))
    options = list(_options_of(values, driver))
    if "STORAGE_OPTS" in environ:
        # It replaces those of the files; set but empty means none.
        options = environ["STORAGE_OPTS"].split(",") if environ["STORAGE_OPTS"] else []
    priority = tuple(values.get("driver_priority", ()))
    if per_user and not driver and not priority:
        driver, priority = _user_driver(graph_root), ("overlay", "vfs")

    image_store = values.get("imagestore", "")
    if image_store and absolute(image_store) == graph_root:
        raise ConfigError(
            f"the image store can't be the graph root {graph_root}: leave imagestore out",
            words=f"imagestore {image_store} must either be not set or be a different than "
            f"graphroot {graph_root}",
        )
    user, group = values.get("options.remap-user", ""), values.get("options.remap-group", "")
    return StoreOptions(
        graph_root=graph_root,
        run_root=run_root,
        driver=driver,
        driver_options=tuple(options),
        driver_priority=priority,
        image_store=absolute(image_store) if image_store else "",
        additional_image_stores=tuple(_image_stores(driver, options)),
        transient_store=values.get("transient_store", False),
        disable_volatile=values.get("options.disable-volatile", False),
        root_auto_userns_user=values.get("options.root-auto-userns-user", ""),
        auto_userns_min_size=values.get("options.auto-userns-min-size", 0),
        auto_userns_max_size=values.get("options.auto-userns-max-size", 0),
        remap_maps=(values.get("options.remap-uids", ""), values.get("options.remap-gids", "")),
        # One of the two stands for both.
        remap_owners=(user or group, group or user),
        rootless=per_user,
        pull_options=tuple(values.get("options.pull_options", {}).items()),
        warnings=settings.warnings,
    )


# -- driver and its options --------------------------------------------------------------------


def _plain_name(driver: str) -> str:
    """overlay2 is overlay's old name; stores bear the new one."""
    return "overlay" if driver == "overlay2" else driver


def _options_of(values: Mapping[str, Any], driver: str) -> Iterator[str]:
    """
    Yield the driver options that the files amount to.

    The driver's own table comes last, so that it wins; and again what only the general part has,
    as the Go tools do: `status` shows the list.
    """
    for store in values.get("options.additionalimagestores", ()):
        yield f"{driver}.imagestore={store}"
    for store in values.get("options.additionallayerstores", ()):
        yield f"{driver}.additionallayerstore={store}"
    for key in _GENERAL_OPTIONS:
        if value := values.get(f"options.{key}"):
            yield f"{driver}.{key}={value}"
    for key in _DRIVER_OPTIONS.get(driver, ()):
        if value := values.get(f"options.{driver}.{key}") or values.get(f"options.{key}"):
            yield f"{driver}.{key}={value}"


def _image_stores(driver: str, options: Iterable[str]) -> Iterator[str]:
    for option in options:
        key, _, value = option.partition("=")
        of_driver, _, name = key.strip().lower().rpartition(".")
        if name in _IMAGE_STORE_OPTIONS and (not of_driver or not driver or of_driver == driver):
            yield from (path.strip() for path in value.split(",") if path.strip())


# -- a user's own store ------------------------------------------------------------------------


def _user_graph_root(environ: Mapping[str, str]) -> str:
    data = environ.get("XDG_DATA_HOME")
    if not data:
        data = os.path.join(_home(environ), ".local/share")
    return os.path.join(data, "containers/storage")


def _user_run_root(environ: Mapping[str, str], uid: int) -> str:
    """Return the first place that is safe: named by the session, or there and the user's own."""
    runtime = environ.get("XDG_RUNTIME_DIR")
    if not runtime:
        temporary = os.path.join(
            environ.get("TMPDIR") or "/tmp",
            f"containers-user-{uid}",
        )
        if _is_private(f"/run/user/{uid}"):
            runtime = f"/run/user/{uid}"
        # Anyone can make it in /tmp beforehand, so one that is there has to be the user's own.
        elif not os.path.lexists(temporary) or _is_private(temporary):
            runtime = temporary
        else:
            runtime = os.path.join(_home(environ), "rundir")
    return os.path.join(runtime, "containers")


def _is_private(directory: str) -> bool:
    try:
        status = os.lstat(directory)
    except OSError:
        return False
    # In a user namespace the user's own are root's.
    return status.st_uid == os.getuid() and status.st_mode & 0o766 == 0o700


def _user_driver(graph_root: str) -> str:
    """Return the driver that already keeps images there; "" for none."""
    try:
        names = sorted(os.listdir(graph_root))
    except OSError:
        return ""
    return next((n.removesuffix("-images") for n in names if n.endswith("-images")), "")


def _home(environ: Mapping[str, str]) -> str:
    home = home_directory(environ)
    if not home:
        raise ConfigError("a user without a home has no store: set HOME, or give the two roots")
    return home


# -- paths -------------------------------------------------------------------------------------


def _expand(path: str, environ: Mapping[str, str], uid: int) -> str:
    """Return `path` absolute, with $UID and variables filled in and symbolic links followed."""
    path = path.replace("$UID", str(uid))
    if "$" in path:
        import re  # seldom needed

        variable = r"\$(?:\{(\w+)\}|(\w+))"
        path = re.sub(variable, lambda match: environ.get(match[1] or match[2], ""), path)
    try:
        return os.path.realpath(path, strict=True)
    except FileNotFoundError:
        # Not made yet: then its links stay, as the Go tools leave them.
        return absolute(path)
