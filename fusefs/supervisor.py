"""
The mount of an ordinary user: two processes, one outside and one in a user namespace.

    supervisor, the user's own             daemon, root of the namespace (inside.py)
       ├─ checks the mount point
       ├─ makes the namespace ──────────────► opens the store, mounts layers
       ├─ mounts, by fusermount3 ◄──────────  asks for it
       ├─ the mount's descriptor ───────────► serves it
       ╰─ waits; unmounts once the daemon has ended, however that came

Only out here can fusermount3 mount where everybody sees it; only in there can overlays be mounted
and files of sub-IDs be read. A daemon whose supervisor was killed ends too, and leaves a dead mount
that the next start takes away.
"""

import logging
import os
import pickle
import select
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from types import FrameType
from typing import Final, NamedTuple

from holdfs.core import userns
from holdfs.core.userns import NamespaceFailed
from holdfs.fusefs import inside, mountpoint
from holdfs.fusefs.daemon import END_SIGNALS, READY, Readiness
from holdfs.fusefs.mountpoint import MountError
from holdfs.fusefs.outside import INSIDE, MESSAGE_SIZE, MOUNT, MOUNTED
from holdfs.fusefs.settings import Choice
from holdfs.fusefs.starting import check, log_options

log = logging.getLogger(__name__)

#: They may make user namespaces with all rights where AppArmor lets no unknown program do so.
_TOOLS: Final = ("podman", "buildah")
_TIMEOUT_S: Final = 30.0


class _Daemon(NamedTuple):
    """What was started. Where a tool made the namespace, `pid` is that tool's."""

    pid: int
    pidfd: int
    connection: socket.socket

    def end(self) -> None:
        """Let it end in good order."""
        try:
            self.connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has ended


class Supervisor:
    """What one mount of an ordinary user needs outside of its namespace; see `run`."""

    def __init__(self, choice: Choice, ready: Readiness) -> None:
        # What is of sub-IDs he can't read through `rootfs`; what the daemon serves is shown as his.
        settings = replace(choice.settings, files=True, files_are_own=True)
        self._choice = replace(choice, settings=settings)
        self._point = choice.settings.mount_point
        self._ready = ready
        self._ended_by = 0
        self._daemon: _Daemon | None = None
        self._reason = ""
        #: What tells our mount from any other that comes to be there; "" before we have mounted.
        self._device = ""

    def run(self) -> None:
        """
        Mount, say so, and wait until somebody unmounts or a signal comes.

        Raises:
            MountError, StoreError, OSError: It could not be mounted, or the daemon did not end as
                it should. Nothing is left.
        """
        if self._choice.settings.allow_root:
            raise MountError("allow_root is for mounts that root makes; use allow_other")
        check(self._choice)
        if not userns.has_sub_ids():
            log.warning("%s", userns.NO_SUB_IDS)
        for number in END_SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._end)
        daemon = self._daemon = _start(self._choice, self._ready)
        try:
            if self._ended_by:
                self._end(self._ended_by)
            self._listen(daemon)
        finally:
            # First: where a tool stands between, it is what ends the daemon for certain.
            daemon.connection.close()
            status = os.waitstatus_to_exitcode(os.waitpid(daemon.pid, 0)[1])
            self._unmount()
        if self._reason:
            raise MountError(self._reason)
        if status < 0:
            raise MountError(f"the daemon was ended by {signal.Signals(-status).name}")
        if status > 0:
            raise MountError(f"the daemon ended with status {status}; its log says why")

    def _end(self, number: int, _frame: FrameType | None = None) -> None:
        """Let the daemon end, in good order if it serves."""
        self._ended_by = number
        if self._daemon is not None:
            log.info("%s: unmounting", signal.Signals(number).name)
            self._daemon.end()
            if not self._device:
                signal.pidfd_send_signal(self._daemon.pidfd, signal.SIGTERM)

    def _listen(self, daemon: _Daemon) -> None:
        """Do what the daemon asks for, until it has ended."""
        poll = select.poll()
        poll.register(daemon.connection, select.POLLIN)
        poll.register(daemon.pidfd, select.POLLIN)
        with open("/proc/self/mountinfo", "rb") as mounts:
            # Every mount and unmount shows here. Other namespaces have copies of our mount
            # (podman's keeps one), so that the kernel need not say to the daemon that it is gone.
            poll.register(mounts, select.POLLPRI)
            while True:
                ready = [fd for fd, _ in poll.poll()]
                if daemon.connection.fileno() in ready:
                    # Before its end is noted: its last word may be why.
                    if said := daemon.connection.recv(MESSAGE_SIZE):
                        self._answer(daemon, said)
                    else:
                        poll.unregister(daemon.connection)
                elif daemon.pidfd in ready:
                    return
                elif self._device and not self._is_mounted():
                    daemon.end()

    def _answer(self, daemon: _Daemon, said: bytes) -> None:
        if said == READY:
            log_options(self._choice.settings)
            self._ready.ready()
        elif said.startswith(MOUNT):
            try:
                answer, fds = MOUNTED, [self._mount(os.fsdecode(said.removeprefix(MOUNT)))]
            except MountError as error:
                answer, fds = os.fsencode(str(error)), []
            try:
                socket.send_fds(daemon.connection, [answer], fds)
            except BrokenPipeError:
                pass  # killed meanwhile, which is noted next
            finally:
                # The daemon's is the only one then: with its end, the kernel gives the mount up.
                for fd in fds:
                    os.close(fd)
        else:
            self._reason = os.fsdecode(said)

    def _mount(self, options: str) -> int:
        fd = _mount(self._point, options)
        there = mountpoint.mount_at(self._point)
        if there is None:
            os.close(fd)
            raise MountError(f"{self._point} was unmounted at once")
        self._device = there.device
        return fd

    def _is_mounted(self) -> bool:
        # Not only at the top: somebody may have mounted another thing over it.
        mounts = mountpoint.read_mounts()
        return any((m.point, m.device) == (self._point, self._device) for m in mounts)

    def _unmount(self) -> None:
        """Take away what is ours, if it is still there: then its daemon has ended by itself."""
        if self._is_mounted():
            try:
                mountpoint.unmount_dead(self._point)
            except MountError as error:
                log.error("%s", error)


def _mount(point: str, options: str) -> int:
    """
    Mount as fusermount3 may for us, and return the descriptor that serves it.

    Raises:
        MountError: It did not.
    """
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            try:
                done = subprocess.run(
                    ["fusermount3", "-o", options, "--", point],
                    check=False,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=_TIMEOUT_S,
                    pass_fds=[theirs.fileno()],
                    env={**os.environ, "_FUSE_COMMFD": str(theirs.fileno())},
                )
            except FileNotFoundError as error:
                raise MountError("fusermount3 is not installed (Debian: fuse3)") from error
            except subprocess.TimeoutExpired as error:
                raise MountError(f"fusermount3 did not end in {_TIMEOUT_S:.0f} s") from error
        if done.returncode == 0:
            fds = socket.recv_fds(ours, 1, 1, socket.MSG_CMSG_CLOEXEC)[1]
            if fds:
                return fds[0]
    said = os.fsdecode(done.stderr).strip().rpartition("\n")[2].removeprefix("fusermount3: ")
    raise MountError(f"{point} could not be mounted: {said or 'fusermount3 did not say why'}")


# -- the namespace -----------------------------------------------------------------------------


def _start(choice: Choice, ready: Readiness) -> _Daemon:
    """
    Return the daemon, in a namespace where it may mount.

    Raises:
        NamespaceFailed: There is no way to one here.
    """
    try:
        return _fork(choice, ready)
    except NamespaceFailed as error:
        for tool in filter(shutil.which, _TOOLS):
            log.info("%s; trying `%s unshare`", error, tool)
            try:
                return _start_by_tool(tool, choice)
            except NamespaceFailed as failed:
                log.info("%s", failed)
        raise


def _fork(choice: Choice, ready: Readiness) -> _Daemon:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        # Not SIGKILL: it sees us end by the connection, too, and may be giving back its mounts.
        pid = userns.fork(signal.SIGTERM)
        if pid == 0:
            ours.close()
            ready.drop()
            inside.go_on(choice, theirs)
    return _await(pid, ours)


def _start_by_tool(tool: str, choice: Choice) -> _Daemon:
    # -P: what lies in the current directory is no module of ours.
    command = [tool, "--log-level=error", "unshare", sys.executable, "-P", "-m", inside.__name__]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        # Out of the terminal's reach: Ctrl-C is for us, and we end the daemon.
        pid = os.posix_spawnp(
            tool,
            command,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, theirs.fileno(), 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            ],
            setsid=True,
        )
    ours.send(pickle.dumps(choice))
    return _await(pid, ours)


def _await(pid: int, connection: socket.socket) -> _Daemon:
    connection.settimeout(_TIMEOUT_S)
    try:
        said = connection.recv(MESSAGE_SIZE)
    except TimeoutError:
        said = f"no word after {_TIMEOUT_S:.0f} s".encode()
    except ConnectionResetError:
        said = b""  # it has ended, and had not read what it was told
    connection.settimeout(None)
    if said != INSIDE:
        connection.close()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise NamespaceFailed(f"no user namespace can be made: {os.fsdecode(said) or 'no word'}")
    return _Daemon(pid, os.pidfd_open(pid), connection)
