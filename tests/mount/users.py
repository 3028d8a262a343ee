"""
An ordinary user of the machine, made for a test: with a home, perhaps sub-IDs, and his own store.

    /tmp/holdfs…/          his home, a short path: podman takes no run root over 50 characters
        .config/containers/, .local/share/containers/storage/
        run/                   XDG_RUNTIME_DIR
        mnt/                   where he mounts

All that he runs is started as from his own shell: his IDs, his environment, no privilege.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.mount.daemons import HOLDFS, PATIENCE_S, eventually
from tests.mounts import mounts_below, unmount_below

#: An image of two layers. The upper one hides a directory of the lower and makes another anew.
_MAKE_IMAGE = """
set -e
work=$(buildah from scratch) && top=$(buildah mount $work) && cd $top && chmod 755 .
mkdir etc d gone data && echo secret >etc/shadow && chmod 600 etc/shadow
echo lower >d/lower && echo lower >gone/x && ln -s shadow etc/link && ln -s /etc/shadow etc/absolute
echo theirs >data/f && chown 1000:1000 data data/f && chmod 700 data && chmod 600 data/f
cd / && buildah umount $work && buildah commit -q $work localhost/base:1 && buildah rm $work
work=$(buildah from localhost/base:1) && top=$(buildah mount $work) && cd $top
rm -r d gone && mkdir d && echo upper >d/upper
cd / && buildah umount $work && buildah commit -q $work localhost/shop:1 && buildah rm $work
"""

_REFUSE = """\
#!/bin/sh
case $(cat /proc/$PPID/comm) in holdfs|python*) echo "refused by a test" >&2; exit 1 ;; esac
exec {} "$@"
"""


class User:
    """
    Attributes:
        env: All of his environment.
        mnt: An empty directory of his.
    """

    def __init__(self, name: str, home: Path) -> None:
        account = pwd.getpwnam(name)
        self.name, self.uid, self.gid = name, account.pw_uid, account.pw_gid
        self.home = home
        self.mnt = home / "mnt"
        self.env = {
            "HOME": str(home),
            "USER": name,
            "XDG_RUNTIME_DIR": f"{home}/run",
            "PATH": f"{Path(HOLDFS).parent}:/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            # podman would start a bus of its own, and leave it.
            "DBUS_SESSION_BUS_ADDRESS": "unix:path=/dev/null",
        }

    def command(self, *words: str) -> list[str]:
        """Return the command line by which root runs this as the user, in the same process."""
        ids = [f"--reuid={self.uid}", f"--regid={self.gid}", "--init-groups"]
        return ["setpriv", *ids, *words]

    def run(
        self, *words: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
            stdin=subprocess.DEVNULL,
            cwd=self.home,
            env={**self.env, **(env or {})},
        )

    def out(self, *words: str, env: Mapping[str, str] | None = None) -> str:
        """Return what a command prints that has to succeed, stripped."""
        done = self.run(*words, env=env)
        assert 0 == done.returncode, f"{words}: {done.stderr}"
        return done.stdout.strip()

    def sh(self, script: str) -> str:
        """Return what a script prints that runs in his mount and has to succeed, stripped."""
        # Not as its current directory: root, who starts it, may not go there.
        done = self.run("sh", "-ec", f"cd mnt; {script}")
        assert 0 == done.returncode, f"{script}: {done.stderr}"
        return done.stdout.strip()

    def processes(self, *words: str) -> list[int]:
        """Return the pids of his processes whose command line has all these words."""
        found = []
        for entry in filter(str.isdecimal, os.listdir("/proc")):
            try:
                if os.stat(f"/proc/{entry}").st_uid != self.uid:
                    continue
                line = Path("/proc", entry, "cmdline").read_text().split("\0")
            except OSError:
                continue
            if line != [""] and set(words) <= set(line):
                found.append(int(entry))
        return sorted(found)

    def is_mounted(self) -> bool:
        return bool(mounts_below(str(self.mnt)))

    @contextmanager
    def refusing(self, *programs: str) -> Iterator[None]:
        """
        Let programs fail meanwhile that `holdfs` starts; others start them as ever.

        What the kernel or AppArmor may refuse to holdfs, but not to podman, this machine allows.
        """
        directory = self.home / "refusing"
        directory.mkdir()
        for program in programs:
            script = directory / program
            script.write_text(_REFUSE.format(shutil.which(program)))
            script.chmod(0o755)
        path = self.env["PATH"]
        self.env["PATH"] = f"{directory}:{path}"
        try:
            yield
        finally:
            self.env["PATH"] = path
            shutil.rmtree(directory)

    def make_store(self) -> None:
        self.out("buildah", "unshare", "sh", "-c", _MAKE_IMAGE)


@contextmanager
def ordinary_user(suffix: str, *, sub_ids: bool = True) -> Iterator[User]:
    """Give a new user; at the end nothing of his is left: no process, mount, file or entry."""
    home = Path(tempfile.mkdtemp(prefix="holdfs"))
    name = f"holdfs{os.getpid()}{suffix}"
    try:
        _call("useradd", "--home-dir", str(home), "--no-create-home", name)
        try:
            user = User(name, home)
            if not sub_ids:
                _drop_sub_ids(name)
            conf = home / ".config/containers"
            conf.mkdir(parents=True)
            (conf / "storage.conf").write_text('[storage]\ndriver = "overlay"\n')
            (conf / "containers.conf").write_text(
                '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n'
            )
            for directory in ("mnt", "run"):
                (home / directory).mkdir(mode=0o700)
            _call("chown", "-R", f"{user.uid}:{user.gid}", str(home))
            try:
                yield user
            finally:
                _end_all(user)
        finally:
            _call("userdel", name)
    finally:
        left = unmount_below(str(home))
        shutil.rmtree(home)
    assert [] == left


def _drop_sub_ids(name: str) -> None:
    for kind in ("uid", "gid"):
        for line in Path(f"/etc/sub{kind}").read_text().splitlines():
            owner, first, count = line.split(":")
            if owner == name:
                ids = f"{first}-{int(first) + int(count) - 1}"
                _call("usermod", f"--del-sub{kind}s", ids, name)


def _end_all(user: User) -> None:
    """Ours have to be gone by themselves; podman leaves a process that keeps its namespace."""
    for pid in user.processes():
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not user.processes(), "his processes live on")


def _call(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)
