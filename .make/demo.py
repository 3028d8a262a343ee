"""
Show a container store as a tree, and leave it mounted: `demo.py MOUNTPOINT DEMO_DIRECTORY`.

The machine's own store if it has images, else a small one made by examples/make_demo_store.py.
"""

import glob
import os
import shlex
import shutil
import subprocess
import sys

from holdfs.core.config import load_options
from holdfs.core.errors import ConfigError

MOUNT_POINT, DEMO = sys.argv[1:]
DEMO_ROOTS = (f"{DEMO}/graph", f"{DEMO}/run")
TIMEOUT_S = 60

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLE = f"{HERE}/../examples/make_demo_store.py"
#: .venv/bin, as the user can type it.
BIN = os.path.relpath(os.path.dirname(sys.executable))


def main() -> int:
    if os.geteuid() != 0:
        return refuse("make demo mounts layers, which takes root; try: sudo make demo")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return refuse("make demo needs /dev/fuse; try: modprobe fuse, or --device /dev/fuse")
    try:
        has_images = machine_has_images()
    except ConfigError as e:
        return refuse(str(e))

    take_down()
    os.makedirs(MOUNT_POINT, exist_ok=True)
    if has_images:
        print("The store of this machine, as storage.conf says:\n")
        mounted = call(f"{BIN}/holdfs", MOUNT_POINT)
    else:
        print("This machine has no images yet, so here is a small store of its own:\n")
        os.makedirs(DEMO, 0o700, exist_ok=True)
        if not call(sys.executable, EXAMPLE, *DEMO_ROOTS, shown=False):
            return 1
        graph, run = DEMO_ROOTS
        mounted = call(f"{BIN}/holdfs", "--graph", graph, "--run", run, MOUNT_POINT)
    if not mounted:
        return 1
    show(listing_command(demo=not has_images))
    return 0


def machine_has_images() -> bool:
    """Whether the store that storage.conf means has any; looks only, and makes no store."""
    graph_root = load_options().graph_root
    for path in glob.glob(f"{glob.escape(graph_root)}/*-images/images.json"):
        with open(path, "rb") as f:
            if f.read(3) not in (b"", b"[]", b"[]\n"):
                return True
    return False


def take_down() -> None:
    """Unmount what an earlier demo left, so that this one shows what is installed now."""
    if MOUNT_POINT in mount_points():
        subprocess.run(["umount", MOUNT_POINT], check=False, timeout=TIMEOUT_S)
    if MOUNT_POINT in mount_points():
        sys.exit(f"holdfs: {MOUNT_POINT} is in use; leave it and try again")


def mount_points() -> set[str]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as f:
        return {line.split(" ")[4] for line in f}


def show(listing: str) -> None:
    """Look round in the mount, and say how to go on."""
    os.chdir(MOUNT_POINT)
    call("ls")
    call("ls", "-R", "images/by-name", most_lines=24)
    path = some_image()
    call("ls", f"{path}/")
    # An image may have no such file; all the rest of the demo has to work.
    call("head", "-n", "2", f"{path}/rootfs/etc/os-release", may_fail=True)
    image = shlex.quote(f"{MOUNT_POINT}/{path}")
    print(f"It stays mounted at {MOUNT_POINT}. Try:\n")
    print(f"    ls {image}/rootfs/")
    print(f"    mkdir {image}/containers/mine")
    print(f"    {listing}")
    print(f"\nTo end it: umount {MOUNT_POINT}")


def listing_command(*, demo: bool) -> str:
    """Return what shows the containers, the new one among them: podman if it is there."""
    graph, run = DEMO_ROOTS
    if shutil.which("podman"):
        roots = f"--root {graph} --runroot {run} " if demo else ""
        return f"podman {roots}ps --all --external"
    roots = f"--graph {graph} --run {run} " if demo else ""
    return f"{os.path.abspath(BIN)}/holdctl {roots}containers"


def some_image() -> str:
    """Return the path of an image: the first one by name, or one that has none."""
    for directory, subdirectories, _ in os.walk("images/by-name"):
        subdirectories.sort()
        for name in subdirectories:
            if os.path.islink(f"{directory}/{name}"):
                return f"{directory}/{name}"
    return next(f"images/{name}" for name in os.listdir("images") if len(name) == 64)


def call(*command: str, shown: bool = True, may_fail: bool = False, most_lines: int = 40) -> bool:
    """Run a command as a user would, showing it and what it prints; return whether it worked."""
    if shown:
        print(f"# {shlex.join(command)}", flush=True)
    if command[0] == "ls":
        command = ("ls", "-C", "-w", "90", *command[1:])  # as on a terminal
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False
    )
    lines = os.fsdecode(done.stdout).splitlines()
    print("\n".join([*lines[:most_lines], *(["…"] if lines[most_lines:] else []), ""]))
    if done.returncode and not may_fail:
        print(os.fsdecode(done.stderr).rstrip(), file=sys.stderr)
    return done.returncode == 0


def refuse(reason: str) -> int:
    print(f"holdfs: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
