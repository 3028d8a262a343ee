"""
What a daemon in a user namespace and its supervisor outside say to each other.

    daemon                                supervisor
      │ INSIDE ──────────────────────────────► now it has a namespace in which it may mount
      │ MOUNT options ───────────────────────► fusermount3 mounts
      │ ◄──────────── MOUNTED + a descriptor of /dev/fuse, or the reason why not
      │ READY, or the reason why not ────────► the launcher, systemd
      │ ◄──────────────────────── end of file  unmount and end

A socket of messages (SOCK_SEQPACKET): each is sent and received whole.
"""

import os
import socket
from typing import Final

from holdfs.fusefs.mountpoint import MountError

MESSAGE_SIZE: Final = 65536

INSIDE: Final = b"\1"
MOUNT: Final = b"\2"
MOUNTED: Final = b"\3"


class Outside:
    """The supervisor, as the daemon sees it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def fileno(self) -> int:
        """Return a descriptor that is readable once the supervisor wants an end, or has ended."""
        return self._connection.fileno()

    def mount(self, options: str) -> int:
        """
        Let the tree be mounted where it is to be seen, and return the descriptor to serve it by.

        Raises:
            MountError: It could not be, for the reason that fusermount3 gives.
        """
        self._connection.send(MOUNT + os.fsencode(options))
        said, fds, _, _ = socket.recv_fds(
            self._connection, MESSAGE_SIZE, 1, socket.MSG_CMSG_CLOEXEC
        )
        if said != MOUNTED or not fds:
            raise MountError(os.fsdecode(said) or "it is to end before it was mounted")
        return fds[0]

    def readiness_fd(self) -> int:
        """Return a descriptor for Readiness, which closes it."""
        return os.dup(self._connection.fileno())
