"""Errors of calls on a descriptor, which do not know what it leads to."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def about(path: str) -> Iterator[None]:
    """Give OSErrors from within the filename `path`, unless they have one."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = path
        raise
