"""
One start, two processes: the launcher in the user's terminal and the daemon behind it.

    launcher                              daemon
       ├─ fork ──────────────────────────────► setsid, cd /, stdio to /dev/null
       │  waits for one message on a pipe      opens the store, mounts
       │  ◄──────────────────────── ready, or the reason why not
       ├─ asks the mount point                 answers
       ╰─ exit status                          serves until unmounted

The fork comes before trio and before any thread: a process with threads can't be forked safely.
"""

import errno
import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import Final

from holdfs.fusefs.mountpoint import MountError, answer
from holdfs.fusefs.settings import JOURNAL

#: The word of a daemon that serves; any other is the reason why it can't.
READY: Final = b"\0"
#: What ends us in good order. SIGHUP too: of a foreground mount whose terminal is closed.
END_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_SYSTEM_LOG: Final = "/dev/log"
_MESSAGE_SIZE: Final = 4096  # one write of this much to a pipe is atomic

log = logging.getLogger(__name__)


class Readiness:
    """
    Where the daemon says, once, that it serves or why it can't.

    Args:
        fd: Leads to who waits for it, and is closed with the first word; None if nobody does.
    """

    def __init__(self, fd: int | None = None) -> None:
        self._fd = fd

    def ready(self) -> None:
        """Tell the launcher, and systemd if it waits (Type=notify)."""
        self._send(READY)
        _notify_systemd("READY=1")

    def failed(self, message: str) -> bool:
        """Tell the launcher why. False when there is none, or it has been told `ready`."""
        return self._send(os.fsencode(message))

    def drop(self) -> None:
        """Leave the word to another process, which has the same descriptor."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _send(self, data: bytes) -> bool:
        fd, self._fd = self._fd, None
        if fd is None:
            return False
        try:
            os.write(fd, data[:_MESSAGE_SIZE])
        except BrokenPipeError:
            pass  # the launcher was interrupted; who mounts is told by the mount itself
        finally:
            os.close(fd)
        return True


def launch(run: Callable[[Readiness], None], mount_point: str, timeout_s: float) -> None:
    """
    Run `run` in a daemon and return once its mount answers.

    Args:
        run: Serves until unmounted and then returns; in the daemon, which then ends.
        timeout_s: How long it may take until it is ready.

    Raises:
        MountError: It could not start; the message is the daemon's own.
    """
    deadline = time.monotonic() + timeout_s
    reader, writer = os.pipe()
    daemon = os.fork()
    if daemon == 0:
        _be_daemon(run, writer)
    os.close(writer)
    try:
        message = _read_message(reader, deadline)
        if message != READY:
            said = os.fsdecode(message)
            raise MountError(said or "the daemon ended without a word; -f shows what it says")
        if code := answer(mount_point, max(1.0, deadline - time.monotonic())):
            raise MountError(f"{mount_point} is mounted but does not answer: {os.strerror(code)}")
    except BaseException:  # also when interrupted: nobody else knows of the daemon yet
        try:
            os.kill(daemon, signal.SIGTERM)
        except ProcessLookupError:
            pass
        raise
    finally:
        os.close(reader)


def _read_message(reader: int, deadline: float) -> bytes:
    left_s = max(0.0, deadline - time.monotonic())
    if not select.select([reader], [], [], left_s)[0]:
        raise MountError(f"no mount after {left_s:.0f} s, so I gave up; -f shows what it waits for")
    return os.read(reader, _MESSAGE_SIZE)


def _be_daemon(run: Callable[[Readiness], None], writer: int) -> None:
    """Never returns."""
    status = 1
    try:
        _leave_terminal(keep=writer)
        run(Readiness(writer))
        status = 0
    except SystemExit:
        pass  # has been reported
    except BaseException:  # nothing may come up the launcher's stack, of which this is a copy
        log.exception("unforeseen end")
    finally:
        logging.shutdown()
        os._exit(status)


def _leave_terminal(keep: int) -> None:
    """Drop all that would bind the daemon to whoever started it, its descriptors above all."""
    os.setsid()
    os.chdir("/")
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for fd in range(3):
        os.dup2(null, fd)
    # A pipe inherited from a script (`x=$(holdfs …)`) would be held open for as long as we live.
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd > 2 and fd != keep:
            try:
                os.close(fd)
            except OSError:
                pass  # it was the listing's own


def set_up_logging(log_file: str, *, debug: bool, to_stderr: bool) -> None:
    """
    Send the log to a file, to the system's log, to stderr, or nowhere.

    Args:
        log_file: A path, `JOURNAL`, or "".

    Raises:
        MountError: The file can't be written, or no system's log is there.
    """
    handler: logging.Handler
    form = "%(asctime)s %(levelname)s %(message)s"
    try:
        if log_file == JOURNAL:
            # journald and every syslogd listen there; they note time and severity themselves.
            from logging.handlers import SysLogHandler

            os.stat(_SYSTEM_LOG)  # the handler itself finds nothing wrong until it has a line
            handler = SysLogHandler(_SYSTEM_LOG, facility=SysLogHandler.LOG_DAEMON)
            handler.append_nul = False
            form = f"holdfs[{os.getpid()}]: %(message)s"
        elif log_file:
            handler = logging.FileHandler(log_file)
        elif to_stderr:
            handler = logging.StreamHandler()
        else:
            handler = logging.NullHandler()
    except OSError as error:
        where = _SYSTEM_LOG if log_file == JOURNAL else log_file
        raise MountError(f"the log {where} can't be written: {error.strerror}") from error
    handler.setFormatter(logging.Formatter(form))
    handler.addFilter(_is_news)
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    logging.getLogger("holdfs").setLevel(logging.DEBUG if debug else logging.INFO)
    logging.captureWarnings(True)
    if to_stderr and not log_file:
        # Somebody watches: what the libraries mean for their developers is no news to them.
        for library in ("py.warnings", "pyfuse3", "trio"):
            logging.getLogger(library).setLevel(logging.ERROR)


def _notify_systemd(text: str) -> None:
    """sd_notify(3), for which no library is needed."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
        try:
            notify.sendto(os.fsencode(text), os.fsencode(address))
        except OSError as error:
            if error.errno != errno.ECONNREFUSED:
                log.warning("NOTIFY_SOCKET does not take a word: %s", error.strerror)


def _is_news(record: logging.LogRecord) -> bool:
    """
    Whether a line is worth a look. pyfuse3 calls it an error when the kernel has given up a request
    before its answer: whoever made it was killed, or has unmounted us.
    """
    text = record.getMessage()
    return "fuse_reply_* failed with" not in text or os.strerror(errno.ENOENT) not in text
