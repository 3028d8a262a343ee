"""
A screen of its own with a session bus, a window manager and one file manager, driven by keys.

    with desktop(tmp_path) as screen:
        screen.start("thunar", "/mnt")
        screen.go_to("/mnt/containers")
        screen.keys("ctrl+shift+n")

Nothing waits for a time to pass: each step waits for what it makes visible. A key that comes while
a window is being made is lost, so what needs several is tried again as a whole.
"""

import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.mount.daemons import PATIENCE_S

#: How long one attempt may take to have its effect before it is made again.
_ATTEMPT_S = 3.0
_ATTEMPTS = 6
_LOOK_S = 0.05
_SETTLE_S = 0.5
#: The opener of text files, registered as a program like any: copies what it is given.
_OPENER = """\
[Desktop Entry]
Type=Application
Name=Opener
Exec=cp %f {opened}
MimeType=text/plain;application/octet-stream;application/json;
"""
_ASSOCIATIONS = """\
[Default Applications]
text/plain=opener.desktop
application/octet-stream=opener.desktop
application/json=opener.desktop
"""


@dataclass
class Screen:
    """
    Attributes:
        opened: Where the program that opens text files puts a copy.
        env: For whatever is to run on this screen.
    """

    env: dict[str, str]
    opened: Path
    log_path: Path
    manager: subprocess.Popen[bytes] | None = None
    _window: str = field(default="", init=False)

    def start(self, *command: str) -> None:
        """Start a file manager and return once its window has the keyboard."""
        with self.log_path.open("ab") as log:
            self.manager = subprocess.Popen(
                command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.until(lambda: self.title() != "", "no window")
        self._window = self._ask("getactivewindow")

    def go_to(self, directory: Path) -> None:
        """Show a directory, by its path in the location bar."""
        self.attempt(
            lambda: self._enter_location(directory), lambda: self._shows(directory.name), directory
        )

    def open_window(self, command: Sequence[str], directory: Path) -> None:
        """Show a directory in a window of its own, which has the keyboard from then on."""
        before = self._window
        subprocess.run(
            [*command, str(directory)],
            env=self.env,
            check=True,
            timeout=PATIENCE_S,
            capture_output=True,
        )
        self.until(
            lambda: self._ask("getactivewindow") != before and directory.name in self.title(),
            f"no window with {directory}",
        )
        self._window = self._ask("getactivewindow")
        self.settle()

    def attempt(self, act: Callable[[], object], is_done: Callable[[], bool], what: object) -> None:
        """Act, again if need be, until it is done; before each attempt dialogs are closed."""
        for _ in range(_ATTEMPTS):
            self._close_dialogs()
            act()
            deadline = time.monotonic() + _ATTEMPT_S
            while time.monotonic() < deadline:
                if is_done():
                    return
                time.sleep(_LOOK_S)
        picture = self.log_path.with_name("failed.png")
        self.picture(picture)
        raise AssertionError(f"{what} did not happen; {self.title()!r} is shown, see {picture}")

    def press(self, key: str, is_done: Callable[[], bool], what: str) -> None:
        """Press a key, again if it came too early to be heard, until it has had its effect."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            self.keys(key)
            again = time.monotonic() + _ATTEMPT_S
            while time.monotonic() < again:
                if is_done():
                    return
                time.sleep(_LOOK_S)
        raise AssertionError(f"{key} did nothing: {what}; the window is {self.title()!r}")

    def show_item(self, service: str, path: Path) -> None:
        """Have a file manager show an entry selected, as other programs ask for it (D-Bus)."""
        name = "org.freedesktop.FileManager1"
        subprocess.run(
            ["gdbus", "call", "--session", "--dest", service,
             "--object-path", f"/{name.replace('.', '/')}", "--method", f"{name}.ShowItems",
             str([path.as_uri()]), ""],
            env=self.env,
            check=True,
            timeout=PATIENCE_S,
            capture_output=True,
        )  # fmt: skip
        self.until(lambda: self._shown_in_any(path.parent.name), f"no window with {path.parent}")

    def clipboard(self) -> str:
        """Return the paths that were copied or cut last, as URIs, "" if none were."""
        done = subprocess.run(
            ["xclip", "-selection", "clipboard", "-out", "-target", "text/uri-list"],
            env=self.env,
            check=False,
            timeout=PATIENCE_S,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"{what}; the window is {self.title()!r}"
            time.sleep(_LOOK_S)

    def settle(self) -> None:
        """Give what is inside the window the time to take the keyboard; nothing tells of that."""
        time.sleep(_SETTLE_S)

    def keys(self, *keys: str) -> None:
        self._ask("key", "--clearmodifiers", "--delay", "40", *keys)

    def type(self, text: str) -> None:
        self._ask("type", "--clearmodifiers", "--delay", "8", "--", text)

    def title(self) -> str:
        """Return the title of the window that has the keyboard, "" if none has."""
        return self._ask("getactivewindow", "getwindowname")

    def windows(self) -> list[str]:
        """Return the windows that can be seen."""
        return self._ask("search", "--onlyvisible", "--name", "").split()

    def has_dialog(self) -> bool:
        """Whether another window than the file manager's has the keyboard."""
        return self._ask("getactivewindow") not in ("", self._window)

    def picture(self, path: Path) -> None:
        """Write what is on the screen as a PNG."""
        subprocess.run(
            ["import", "-window", "root", "-depth", "8", "-colors", "64", str(path)],
            env=self.env,
            check=True,
            timeout=PATIENCE_S,
            capture_output=True,
        )

    def _shown_in_any(self, name: str) -> bool:
        """Whether a window of this title has the keyboard, which is the file manager's then."""
        if self.title() != name:
            return False
        self._window = self._ask("getactivewindow")
        return True

    def _shows(self, name: str) -> bool:
        return not self.has_dialog() and name in self.title()

    def _enter_location(self, directory: Path) -> None:
        self.keys("ctrl+l", "ctrl+a")
        self.type(str(directory))
        self.keys("Return")

    def _close_dialogs(self) -> None:
        for _ in range(3):
            if not self.has_dialog():
                return
            self.keys("Escape")
            time.sleep(_LOOK_S)

    def _ask(self, *words: str) -> str:
        done = subprocess.run(
            ["xdotool", *words],
            env=self.env,
            check=False,
            timeout=PATIENCE_S,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()


@contextmanager
def desktop(directory: Path) -> Iterator[Screen]:
    """Give a screen whose programs have their home in `directory`; all of them end with it."""
    home, opened = directory / "home", directory / "opened"
    for name in (".local/share/applications", ".config", ".run"):
        (home / name).mkdir(parents=True)
    (home / ".run").chmod(0o700)
    (home / ".local/share/applications/opener.desktop").write_text(_OPENER.format(opened=opened))
    (home / ".config/mimeapps.list").write_text(_ASSOCIATIONS)
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith("XDG_")},
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_RUNTIME_DIR": str(home / ".run"),
        "GTK_A11Y": "none",
        "GVFS_DISABLE_FUSE": "1",
        "NO_AT_BRIDGE": "1",
        "GSETTINGS_BACKEND": "memory",
        "GSK_RENDERER": "cairo",
        "LC_ALL": "C.UTF-8",
    }
    log_path = directory / "desktop.log"
    with ExitStack() as stack, log_path.open("wb") as log:
        reader, writer = os.pipe()
        with os.fdopen(reader), os.fdopen(writer, "wb"):
            words = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1000x640x24"]
            stack.enter_context(
                _running([*words, "-nolisten", "tcp", "-noreset"], env, log, writer)
            )
            env["DISPLAY"] = ":" + _line(reader)
        bus = stack.enter_context(
            _running(["dbus-daemon", "--session", "--nofork", "--print-address"], env, log)
        )
        assert bus.stdout is not None
        env["DBUS_SESSION_BUS_ADDRESS"] = _line(bus.stdout.fileno())
        stack.enter_context(_running(["openbox"], env, log))
        screen = Screen(env, opened, log_path)
        try:
            yield screen
        finally:
            if screen.manager is not None:
                _end(screen.manager)


def _line(fd: int) -> str:
    """Return what a program of the desktop says of itself; it may write it in pieces."""
    said = b""
    while not said.endswith(b"\n"):
        assert select.select([fd], [], [], PATIENCE_S)[0], "a program of the desktop does not start"
        piece = os.read(fd, 4096)
        assert piece, "a program of the desktop ended"
        said += piece
    return said.decode().strip()


@contextmanager
def _running(
    command: Sequence[str], env: dict[str, str], log: object, *fds: int
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command,
        env=env,
        pass_fds=fds,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,  # type: ignore[call-overload]
    )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
