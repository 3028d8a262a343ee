"""
What comes before the mount: which store is meant, and whether its tree can be mounted there.

Needs neither trio nor pyfuse3: these are loaded by the process that serves, and only now.
"""

import logging
import os

from holdfs.core.config import StoreOptions, load_options
from holdfs.fusefs import mountpoint
from holdfs.fusefs.daemon import Readiness
from holdfs.fusefs.mountpoint import MountError
from holdfs.fusefs.outside import Outside
from holdfs.fusefs.settings import Choice, Settings, describe

log = logging.getLogger(__name__)


def serve(choice: Choice, ready: Readiness, outside: Outside | None = None) -> None:
    """
    Mount, say so, and serve until somebody unmounts or a signal comes; see fusefs/mount.py.

    Raises:
        MountError, StoreError, DriverError, OSError: It could not be mounted; nothing is left.
    """
    try:
        from holdfs.fusefs import mount
    except ImportError as error:
        if (error.name or "").startswith("holdfs"):
            raise  # a mistake of ours
        raise MountError(
            f"FUSE can't be used ({error}); install pyfuse3 and libfuse 3 (on Debian: fuse3)"
        ) from error
    mount.run(choice, ready, outside)


def foreseen() -> tuple[type[Exception], ...]:
    """Return what a start may fail with, each with a message for the user."""
    from holdfs.core.errors import StoreError
    from holdfs.drivers.base import DriverError

    return (MountError, StoreError, DriverError, OSError)


def explain(error: Exception) -> str:
    """Return what to tell the user of one of these."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return str(error)


def log_options(settings: Settings) -> None:
    """Note what was chosen, by the process whose IDs are the caller's own."""
    for name, value in describe(settings):
        log.info("option %s: %s", name, value)


def options_of(choice: Choice) -> StoreOptions:
    """Return the options of the store that is meant; raises what `load_options` does."""
    return load_options(
        graph_root=choice.graph_root,
        run_root=choice.run_root,
        driver=choice.driver,
        driver_options=choice.driver_options,
    )


def check(choice: Choice) -> StoreOptions:
    """
    Return the options of a store whose tree can be mounted; a dead mount there is taken away.

    Raises:
        MountError: It can't be.
        ConfigError, OSError: As from `options_of`.
    """
    options = options_of(choice)
    if choice.graph_root:
        # Who names a store means one that is there: a slip of the pen must not make a new one.
        _check_graph_root(options.graph_root)
    mountpoint.check(choice.settings.mount_point, _roots(options))
    mountpoint.check_device()
    return options


def _check_graph_root(path: str) -> None:
    try:
        os.stat(path)
    except FileNotFoundError as error:
        raise MountError(
            f"there is no store at {path}; for a new one, make that directory"
        ) from error


def _roots(options: StoreOptions) -> list[str]:
    roots = [options.graph_root, options.run_root, *options.additional_image_stores]
    return [*roots, options.image_store] if options.image_store else roots
