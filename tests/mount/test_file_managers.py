"""
File managers in real windows: what people do with mouse and keys, checked by containers-storage.

A picture of each, as it shows a container, is kept if HOLDFS_PICTURES names a directory.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mount.daemons import serving
from tests.mount.desktop import Screen, desktop
from tests.mount.scene import Scene
from tests.mount.shop import Shop
from tests.needs import needs

pytestmark = needs(
    *("root", "overlay", "fuse", "containers-storage"),
    *("xvfb", "xdotool", "xclip", "openbox", "import", "gio"),
)


@dataclass(frozen=True)
class Manager:
    """How one file manager is asked for what; `select` shows a directory and selects a name."""

    command: tuple[str, ...]
    select: Callable[[Screen, Path, str], None]
    # A location bar that completes while one types puts its word behind what was typed after.
    has_slow_bar: bool = False
    # Whether the new name is typed in a window of its own.
    asks_for_name: bool = True

    def go_to(self, screen: Screen, directory: Path) -> None:
        """Show a directory."""
        if self.has_slow_bar:
            screen.open_window(self.command, directory)
        else:
            screen.go_to(directory)


def _by_pattern(screen: Screen, directory: Path, name: str) -> None:
    screen.go_to(directory)
    screen.keys("ctrl+s")
    screen.until(screen.has_dialog, "no dialog to select by a pattern")
    screen.keys("ctrl+a")
    screen.type(name)
    screen.keys("Return")
    screen.until(lambda: not screen.has_dialog(), "the dialog stays")


def _by_typing(screen: Screen, directory: Path, name: str) -> None:
    screen.go_to(directory)
    screen.keys("Escape")
    screen.type(name)
    screen.keys("Escape")


def _by_bus(screen: Screen, directory: Path, name: str) -> None:
    # Nautilus hears no key while it loads, and nothing shows when that ends: neither what is
    # typed into its dialog for patterns nor ctrl+a can be relied on. What it is told, it keeps.
    screen.show_item("org.gnome.Nautilus", directory / name)


MANAGERS = {
    "thunar": Manager(("thunar",), _by_pattern, asks_for_name=False),
    "pcmanfm": Manager(("pcmanfm", "--no-desktop"), _by_typing),
    "nautilus": Manager(("nautilus", "--new-window"), _by_bus, has_slow_bar=True),
}


@pytest.mark.timeout(300)  # half a minute each, on two cores that others use as well a minute
@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in MANAGERS])
def test_what_people_do_in_windows(scene: Scene, root: Path, tmp_path: Path, name: str) -> None:
    manager = MANAGERS[name]
    scene.go.run("set-metadata", "-m", "run=42", "web")
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "note.txt").write_text("a note\n")
    with (
        serving(scene.go.graph, scene.go.run_root, root, "debug") as daemon,
        desktop(tmp_path) as screen,
    ):
        shop = Shop(scene, daemon)
        screen.start(*manager.command, str(root))
        _browse(screen, shop, manager)
        _nothing_long_was_started(shop)
        _open_a_text(screen, shop, manager)
        screen.picture(picture := tmp_path / f"{name}.png")
        if pictures := os.environ.get("HOLDFS_PICTURES"):
            shutil.copy(picture, pictures)
        _make_a_container(screen, shop, manager)
        _copy_a_file_in(screen, shop, manager, notes)
        _rename(screen, shop, manager)
        _delete_a_container(screen, shop, manager)
        _nothing_long_was_started(shop)


def _browse(screen: Screen, shop: Shop, manager: Manager) -> None:
    for directory in (
        shop.layers,
        shop.layers / shop.scene.top,
        shop.images / "by-name",
        shop.root,
        shop.images / shop.scene.image,
    ):
        manager.go_to(screen, directory)


def _open_a_text(screen: Screen, shop: Shop, manager: Manager) -> None:
    def act() -> None:
        manager.select(screen, shop.containers / "web", "metadata")
        screen.keys("Return")

    screen.attempt(act, screen.opened.exists, "opening a text")
    screen.until(lambda: screen.opened.read_text() == "run=42\n", "another text was opened")


def _make_a_container(screen: Screen, shop: Shop, manager: Manager) -> None:
    def act() -> None:
        manager.go_to(screen, shop.images / shop.scene.image / "containers")
        screen.press("ctrl+shift+n", screen.has_dialog, "nobody asks for a name")
        screen.settle()
        screen.type("made")
        screen.keys("Return")

    screen.attempt(act, lambda: "made" in shop.go.out("containers"), "making a container")
    assert shop.scene.image == shop.go_object("containers", "made")["image"]


def _copy_a_file_in(screen: Screen, shop: Shop, manager: Manager, notes: Path) -> None:
    made = shop.go_object("containers", "made")["id"]
    manager.select(screen, notes, "note.txt")
    screen.press("ctrl+c", lambda: "note.txt" in screen.clipboard(), "nothing was copied")
    manager.go_to(screen, shop.containers / made / "big-data")
    screen.press(
        "ctrl+v",
        lambda: "note.txt" in shop.go.out("list-container-data", "made"),
        "nothing was pasted",
    )
    assert "a note\n" == shop.go.run("get-container-data", "made", "note.txt").stdout


def _rename(screen: Screen, shop: Shop, manager: Manager) -> None:
    def act() -> None:
        [name] = shop.go_names("layers", shop.scene.loose)
        manager.select(screen, shop.layers / "by-name", name)
        before = set(screen.windows())
        if manager.asks_for_name:
            screen.press("F2", lambda: set(screen.windows()) > before, "nobody asks for a name")
        else:
            screen.keys("F2")
        screen.settle()
        screen.keys("ctrl+a")
        screen.type("tight")
        screen.keys("Return")

    screen.attempt(
        act, lambda: shop.go_names("layers", shop.scene.loose) == ["tight"], "renaming a name"
    )


def _delete_a_container(screen: Screen, shop: Shop, manager: Manager) -> None:
    web = shop.scene.web.id

    def act() -> None:
        manager.select(screen, shop.containers, web)
        screen.press("shift+Delete", screen.has_dialog, "nobody asks whether to delete")
        screen.keys("Return")

    screen.attempt(act, lambda: web not in shop.go_ids("containers"), "deleting a container")
    assert "made" in shop.go.out("containers")


def _nothing_long_was_started(shop: Shop) -> None:
    """
    No tar was opened and nothing computed: not for a thumbnail, a type or a count.

    They do look where each symlink leads, so a `rootfs` is mounted; nothing in it was looked at
    through FUSE, and what nobody uses goes again.
    """
    opened = [r for r in shop.daemon.log().splitlines() if " open " in r]
    for entry in ("diff.tar", "changes", "size/total", "size/exclusive", "health"):
        assert not [r for r in opened if f"/{entry}:" in r], entry
