"""Which store a command line means: its global options, and the configuration."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfs.core.cli.options import Given
    from holdfs.core.config import StoreOptions


class Settings:
    """
    Which store is meant: the global options, and the configuration where it has a say.

    With any of `EXPLICIT` before the command's name, the configuration gives no more than a missing
    root. With none of them it gives everything, and what follows the command's name changes that.
    Either way it is read, and one that is broken is an error for every command that opens a store.
    """

    EXPLICIT = ("graph", "run", "storage-driver", "storage-opt")

    def __init__(self, given: Given) -> None:
        self._is_explicit = any(given.text(key) or given.entries(key) for key in self.EXPLICIT)
        if not self._is_explicit:
            # Contract: these count only beside one of the four.
            given.set_text("image-store", "")
            given.set_flag("transient-store", False)
        self.given = given

    def resolved(self) -> StoreOptions:
        """
        Return the options that the store is to be opened with.

        Raises:
            ConfigError, OSError: The configuration can't be read.
        """
        from holdfs.core.config import load_options, overridden

        given = self.given
        graph, run = given.text("graph"), given.text("run")
        driver, entries = given.text("storage-driver"), given.entries("storage-opt")
        if self._is_explicit:
            options = load_options(
                graph_root=graph, run_root=run, driver=driver, driver_options=entries
            )
        else:
            options = overridden(
                load_options(),
                graph_root=graph,
                run_root=run,
                driver=driver,
                more_driver_options=entries,
            )
        return overridden(
            options,
            image_store=given.text("image-store"),
            transient_store=given.flag("transient-store"),
        )

    def shown(self, given: Given) -> Given:
        """Return what a command's help shows: what is given, or else configured."""
        shown = given.copy()
        if self._is_explicit:
            return shown
        from holdfs.core.config import load_options

        try:
            options = load_options()
        except Exception:
            return shown  # help is no place to complain of it
        shown.set_text("graph", options.graph_root)
        shown.set_text("run", options.run_root)
        shown.set_text("image-store", options.image_store)
        shown.set_flag("transient-store", options.transient_store)
        shown.set_text("storage-driver", options.driver)
        shown.add_entries("storage-opt", options.driver_options)
        return shown
