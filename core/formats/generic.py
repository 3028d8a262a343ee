"""
Generic classes without typing, whose import takes longer than a short command.

A type checker sees the real ones; at run time the parameter of a class says nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Generic as Generic
    from typing import TypeVar

    from holdfs.core.formats.records import Record

    R = TypeVar("R", bound=Record)
else:
    R = None

    class Generic:
        """Takes a parameter and is what it was."""

        __slots__ = ()

        def __class_getitem__(cls, parameter):
            return cls
