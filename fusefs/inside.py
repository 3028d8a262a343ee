"""
The daemon of an ordinary user's mount: root of a user namespace, where layers can be mounted.

    $ podman unshare python -P -m holdfs.fusefs.inside     standard input leads to the supervisor

is how it starts where another tool has to make the namespace; else the supervisor forks it.
Its real IDs stay the user's (they are 0 by name only): /proc/<pid>/root is then his too, and that
is how his programs come to what is mounted in here.
"""

import logging
import os
import pickle
import signal
import socket
from typing import NoReturn

from holdfs.fusefs.daemon import END_SIGNALS, Readiness, set_up_logging
from holdfs.fusefs.outside import INSIDE, MESSAGE_SIZE, Outside
from holdfs.fusefs.settings import Choice
from holdfs.fusefs.starting import explain, foreseen, serve
from holdfs.native.userns import unshare_mounts

log = logging.getLogger(__name__)


def main() -> NoReturn:
    """Begin where a tool has made the namespace."""
    connection = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.close(null)
    # From our own supervisor: nobody else has the other end.
    choice: Choice = pickle.loads(connection.recv(MESSAGE_SIZE))
    settings = choice.settings
    # In the background stderr leads nowhere.
    set_up_logging(settings.log_file, debug=settings.debug, to_stderr=True)
    go_on(choice, connection)


def go_on(choice: Choice, connection: socket.socket) -> NoReturn:
    """Serve in this process, which is root of a user namespace and has no thread."""
    status = 1
    try:
        for number in END_SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        if os.getsid(0) != os.getpid():
            # Ctrl-C is for the supervisor alone.
            os.setsid()
        # It speaks to systemd: only the process that was started may.
        os.environ.pop("NOTIFY_SOCKET", None)
        try:
            unshare_mounts()
        except OSError as error:
            connection.send(os.fsencode(explain(error)))
            os._exit(status)
        connection.send(INSIDE)
        outside = Outside(connection)
        status = _serve(choice, Readiness(outside.readiness_fd()), outside)
    except BaseException:  # nothing may come up the supervisor's stack, of which this is a copy
        log.exception("unforeseen end")
    finally:
        logging.shutdown()
        os._exit(status)


def _serve(choice: Choice, ready: Readiness, outside: Outside) -> int:
    try:
        serve(choice, ready, outside)
    except foreseen() as error:
        # Told to the supervisor, who logs it; one that comes too late for that is ours to log.
        if not ready.failed(explain(error)):
            log.error("%s", explain(error))
        return 1
    except Exception as error:
        ready.failed(f"unforeseen {error!r}; -f shows where")
        raise
    return 0


if __name__ == "__main__":
    main()
