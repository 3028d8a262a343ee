"""
The Go tools that share a store with us, each bound to one graph root and run root.

They are the real ones, from Debian: what they read and write is what is right. A tool that fails
raises `PeerFailed` with what it said; every call has a deadline.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

TIMEOUT_S = 60

DEMO_IMAGE = "localhost/demo:latest"
DEMO_BASE_IMAGE = "localhost/demo-base:latest"
DEMO_MOTD = "made by buildah\n"


class PeerFailed(AssertionError):
    """A peer ended with an exit status other than 0, or hung."""


class Peer:
    """A tool with the options that name one store. `run` adds them before its arguments."""

    program: ClassVar[str]

    def __init__(
        self, graph: str, run: str, driver: str = "overlay", options: Sequence[str] = ()
    ) -> None:
        self.graph = graph
        self.run_root = run
        self.driver = driver
        self.options = tuple(options)

    def command(self, *args: str) -> list[str]:
        """Return the whole command line, to be started by the test itself."""
        return [self.program, *self._global_options(), *args]

    def _global_options(self) -> list[str]:
        where = ["--root", self.graph, "--runroot", self.run_root, "--storage-driver", self.driver]
        return where + [word for option in self.options for word in ("--storage-opt", option)]

    def run(
        self,
        *args: str,
        check: bool = True,
        input: bytes | str | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> subprocess.CompletedProcess[str]:
        """
        Run one command to its end.

        Args:
            check: Raise PeerFailed if it fails.
            input: Its standard input; None is an empty one.
            env: Variables set on top of the test's own.

        Returns:
            Standard output and error as text, undecodable bytes as surrogates.
        """
        done = self.run_bytes(*args, check=check, input=input, env=env, timeout_s=timeout_s)
        return subprocess.CompletedProcess(
            done.args, done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr)
        )

    def run_bytes(
        self,
        *args: str,
        check: bool = True,
        input: bytes | str | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> subprocess.CompletedProcess[bytes]:
        """As `run`, with output as bytes (big data, tar streams)."""
        command = self.command(*args)
        given = os.fsencode(input) if isinstance(input, str) else input or b""
        try:
            done = subprocess.run(
                command,
                input=given,
                capture_output=True,
                timeout=timeout_s,
                check=False,
                env={**os.environ, **(env or {})},
            )
        except subprocess.TimeoutExpired as e:
            raise PeerFailed(f"{' '.join(command)}: no end after {timeout_s} s") from e
        if check and done.returncode != 0:
            said = os.fsdecode(done.stdout + done.stderr).strip()
            raise PeerFailed(f"{' '.join(command)}: exit status {done.returncode}\n{said}")
        return done

    def out(self, *args: str, input: bytes | str | None = None) -> str:
        """Return the standard output of a command that has to succeed, stripped."""
        return self.run(*args, input=input).stdout.strip()


class GoStore(Peer):
    """containers-storage: the store's own command line."""

    program = "containers-storage"

    def _global_options(self) -> list[str]:
        where = ["--graph", self.graph, "--run", self.run_root, "--storage-driver", self.driver]
        return where + [word for option in self.options for word in ("--storage-opt", option)]

    def json(self, *args: str) -> Any:
        """
        Run a command with `--json` and return the document it prints.

        `--json` goes right behind the command's name: this parser stops at the first argument.
        """
        name, *rest = args
        return json.loads(self.run(name, "--json", *rest).stdout)


class Podman(Peer):
    """podman, without a network or a runtime: what needs no `podman run` works."""

    program = "podman"

    def _global_options(self) -> list[str]:
        # Its own state goes into the run root too: two tests' stores must not share it.
        return [*super()._global_options(), "--tmpdir", f"{self.run_root}/libpod"]

    def json(self, *args: str) -> Any:
        """Run a command with `--format json` and return the document it prints."""
        return json.loads(self.run(*args, "--format", "json").stdout)


class Buildah(Peer):
    """buildah: makes images from nothing (`from scratch`, `copy`, `config`, `commit`)."""

    program = "buildah"


class Skopeo(Peer):
    """skopeo: copies images. It has no options for the store, the image's name bears them."""

    program = "skopeo"

    def _global_options(self) -> list[str]:
        return []

    def ref(self, name: str) -> str:
        """Return what skopeo calls the image `name` of this store."""
        options = ":" + ",".join(self.options) if self.options else ""
        store = f"{self.driver}@{self.graph}+{self.run_root}{options}"
        return f"containers-storage:[{store}]{name}"


def build_demo_image(graph: str, run: str, driver: str = "overlay") -> str:
    """
    Make a real image of two layers with buildah, `DEMO_IMAGE`, and return its id.

    Its base, `DEMO_BASE_IMAGE`, holds /bin/busybox, /bin/sh -> busybox and /etc/os-release; the
    layer above adds /etc/motd. No container is left behind. Takes about half a second.
    """
    buildah = Buildah(graph, run, driver)

    working = buildah.out("from", "scratch")
    top = buildah.out("mount", working)
    os.makedirs(f"{top}/bin")
    os.makedirs(f"{top}/etc")
    shutil.copy("/bin/busybox", f"{top}/bin/busybox")
    os.symlink("busybox", f"{top}/bin/sh")
    shutil.copy("/etc/os-release", f"{top}/etc/os-release")
    buildah.run("umount", working)
    buildah.run("config", "--cmd", '["/bin/sh"]', "--env", "DEMO=1", working)
    buildah.run("commit", "--quiet", working, DEMO_BASE_IMAGE)
    buildah.run("rm", working)

    working = buildah.out("from", DEMO_BASE_IMAGE)
    top = buildah.out("mount", working)
    with open(f"{top}/etc/motd", "w", encoding="ascii") as f:
        f.write(DEMO_MOTD)
    buildah.run("umount", working)
    image_id = buildah.out("commit", "--quiet", working, DEMO_IMAGE)
    buildah.run("rm", working)
    return image_id
