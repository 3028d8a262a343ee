"""
What takes longer to import than a short command may: written small, for modules on its way.

A type checker sees the real ones of typing and contextlib.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import contextmanager as contextmanager
    from logging import Logger
    from typing import Any
    from typing import Protocol as Protocol
    from typing import dataclass_transform as dataclass_transform
else:
    Protocol = object

    def dataclass_transform(**_):
        """Return what leaves a class as it is."""
        return lambda cls: cls

    def contextmanager(steps):
        """Return a function that gives what `with` takes, of a generator function of one yield."""

        def made(*args, **named):
            return _Scope(steps(*args, **named))

        made.__doc__, made.__name__ = steps.__doc__, steps.__name__
        return made


class _Scope:
    """What stands before the yield is done on entering, what stands behind it on leaving."""

    __slots__ = ("_steps",)

    def __init__(self, steps: Any) -> None:
        self._steps = steps

    def __enter__(self) -> Any:
        return next(self._steps)

    def __exit__(self, kind: object, error: BaseException | None, traceback: Any) -> bool:
        try:
            if error is None:
                next(self._steps)
            else:
                self._steps.throw(error)
        except StopIteration as end:
            # It ended, with the error caught; or it is the error itself that it let through.
            return error is not None and end is not error
        except BaseException as raised:
            if raised is error:
                # As it came, without this frame.
                error.__traceback__ = traceback
                return False
            raise
        raise RuntimeError("a context manager yields once")


# -- logging -----------------------------------------------------------------------------------

_set_up: list[Callable[[], None]] = []


def set_up_logging(set_up: Callable[[], None]) -> None:
    """Do this before the first line is logged, if ever one is."""
    _set_up.append(set_up)


def logger_of(name: str) -> Logger:
    """Return a logger that loads logging with the first line that somebody writes."""
    found: Any = _Logger(name)
    return found  # type: ignore[no-any-return]  # as much of one as is used


class _Logger:
    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:
        import logging

        while _set_up:
            _set_up.pop()()
        return getattr(logging.getLogger(self._name), method)
