"""
One act in a process of its own, behind a gate.

    done = run_gated(prepare, judge, look_back)

In the child: `act = prepare()`, the gate closes, `act()`, the gate lets everything through again,
`look_back(error)`. Whatever happens there, the child ends; the parent learns it from `Done`.
"""

import os
import pickle
import select
import signal
import socket
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.faults.gate import Call, close_gate, next_call

PATIENCE_S: Final = 30.0
KILL: Final = -1


@dataclass(frozen=True, slots=True)
class Raised:
    """
    What an act raised, as far as it can be told from one process to another.

    Attributes:
        kinds: Names of its class and of those that this one is derived from.
    """

    kinds: tuple[str, ...]
    errno: int
    filename: str
    text: str
    where: str

    def __str__(self) -> str:
        return f"{self.kinds[0]} {self.text!r} about {self.filename!r}\n{self.where}"


def raised(error: BaseException) -> Raised:
    """Return the error in plain words and numbers."""
    filename = getattr(error, "filename", None)
    return Raised(
        tuple(kind.__name__ for kind in type(error).__mro__),
        getattr(error, "errno", None) or 0,
        os.fsdecode(filename) if isinstance(filename, str | bytes) else "",
        str(error),
        "".join(traceback.format_exception(error)),
    )


@dataclass
class Done:
    """
    How an act went.

    Attributes:
        calls: Those that came to the gate, the one that was not let through included.
        was_killed: By us, at the last of `calls`.
        error: What the act raised; None if nothing.
        said: What `look_back` returned.
    """

    calls: list[Call] = field(default_factory=list)
    was_killed: bool = False
    error: Raised | None = None
    said: Any = None


Judge = Callable[[Sequence[Call]], int]


def let_through(calls: Sequence[Call]) -> int:
    """Judge every call as harmless."""
    return 0


def run_gated(
    prepare: Callable[[], Callable[[], object]],
    judge: Judge,
    look_back: Callable[[BaseException | None], object] = lambda error: None,
) -> Done:
    """
    Run the act that `prepare` returns, with `judge` asked about each call before it is made.

    Args:
        judge: Gets the calls so far, the waiting one last. 0 lets it through, an errno makes it
            fail, KILL ends the process.
        look_back: Run after the act, in the same process, with what the act raised.

    Raises:
        AssertionError: The child hung, or ended in a way that nobody wanted.
    """
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _live(theirs, prepare, look_back)
    theirs.close()
    try:
        return _watch(pid, ours, judge)
    finally:
        ours.close()


def _live(
    link: socket.socket,
    prepare: Callable[[], Callable[[], object]],
    look_back: Callable[[BaseException | None], object],
) -> None:
    """Be the child, to the end. Nothing of it may get back into pytest."""
    status = 1
    try:
        act = prepare()
        listener = close_gate()
        socket.send_fds(link, [b"g"], [listener])
        os.close(listener)
        link.recv(1)
        error: BaseException | None = None
        try:
            act()
        except BaseException as reached_us:
            error = reached_us
        # The gate stays, the judge has gone: what follows is to find out how things are.
        link.send(b"o")
        link.recv(1)
        said = look_back(error)
        told = None if error is None else raised(error)
        link.sendall(b"d" + pickle.dumps((told, said)))
        status = 0
    except BaseException:
        link.sendall(b"t" + traceback.format_exc().encode())
    finally:
        os._exit(status)


def _watch(pid: int, link: socket.socket, judge: Judge) -> Done:
    done = Done()
    received = bytearray()
    listener = -1
    is_over = False
    deadline = time.monotonic() + PATIENCE_S
    poll = select.poll()
    poll.register(link, select.POLLIN)
    try:
        while not done.was_killed:
            events = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
            if not events:
                os.kill(pid, signal.SIGKILL)
                raise AssertionError(f"it hangs after {_list(done.calls)}")
            ready = {fd for fd, _ in events}
            if listener in ready:
                if not dict(events)[listener] & select.POLLIN:
                    poll.unregister(listener)
                    continue
                waiting = next_call(listener)
                if is_over:
                    waiting.let_through()
                    continue
                done.calls.append(waiting.call)
                verdict = judge(done.calls)
                if verdict == KILL:
                    os.kill(pid, signal.SIGKILL)
                    done.was_killed = True
                elif verdict:
                    waiting.fail(verdict)
                else:
                    waiting.let_through()
            elif listener < 0:
                got, fds, _, _ = socket.recv_fds(link, 1 << 16, 1)
                if got != b"g":
                    received += got + _rest(link)
                    break
                listener = fds[0]
                poll.register(listener, select.POLLIN)
                link.send(b"g")
            else:
                got = link.recv(1 << 20)
                if not is_over and got == b"o":
                    is_over = True
                    link.send(b"g")
                elif got:
                    received += got
                else:
                    break
    finally:
        if listener >= 0:
            os.close(listener)
        _, status = os.waitpid(pid, 0)
    if done.was_killed:
        assert signal.SIGKILL == -os.waitstatus_to_exitcode(status), "killed, and yet alive"
        return done
    kind, content = bytes(received[:1]), bytes(received[1:])
    assert b"d" == kind, f"after {_list(done.calls)}: {content.decode(errors='replace')}"
    done.error, done.said = pickle.loads(content)
    return done


def _rest(link: socket.socket) -> bytes:
    rest = b""
    while got := link.recv(1 << 16):
        rest += got
    return rest


def _list(calls: Sequence[Call]) -> str:
    return ", ".join(map(str, calls[-5:])) or "no call"
