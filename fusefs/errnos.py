"""
From what went wrong to the errno that the caller gets, and the line in `errors`.

pyfuse3 ends the mount on anything but FUSEError, so every handler passes through here.
"""

import errno
import functools
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar, cast

from holdfs.core.errors import StoreError
from holdfs.drivers.base import DriverError

if TYPE_CHECKING:
    from holdfs.fusefs.operations import Operations

log = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Coroutine[Any, Any, Any]])


def errno_of(error: BaseException) -> int:
    """Return the errno for an error; EIO for one that nobody foresaw."""
    match error:
        case StoreError():
            return error.errno
        case DriverError():
            return error.errno or errno.EINVAL
        case OSError(errno=int(number)):
            return number
        case _:
            return errno.EIO


def reason_of(error: BaseException) -> str:
    """Return the reason in words."""
    if isinstance(error, OSError) and error.strerror:
        subject = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{subject}"
    return str(error) or type(error).__name__


def answered(operation: str, *, changes: bool = False) -> Callable[[F], F]:
    """
    Let a handler of `Operations` raise what it likes.

    Args:
        changes: It was to change something, so a refusal is worth a line in `errors`. Of the
            others only what nobody expects is: that something can't be read.
    """

    def decorate(handler: F) -> F:
        @functools.wraps(handler)
        async def answering(self: "Operations", *args: Any) -> Any:
            try:
                result = await handler(self, *args)
            except Exception as error:
                # trio.Cancelled is no Exception and passes.
                raise self.failed(operation, args, error, changes=changes) from error
            if self.is_debugging:
                self.log_done(operation, args)
            return result

        return cast(F, answering)

    return decorate


def is_foreseen(error: BaseException) -> bool:
    """Whether the error is one that handlers raise on purpose or pass on."""
    return isinstance(error, StoreError | DriverError | OSError)


def is_refusal(number: int, *, changes: bool) -> bool:
    """Whether an answer is worth a line in `errors`."""
    return changes or number not in _EXPECTED


#: What a reader meets every day, and needs no explanation for.
_EXPECTED = frozenset(
    {errno.ENOENT, errno.ESTALE, errno.ENODATA, errno.ENOTSUP, errno.ENAMETOOLONG, errno.EACCES}
)
