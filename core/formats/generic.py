"""
Generic classes and data classes without typing, whose import takes longer than a short command.

A type checker sees the real ones; at run time the parameter of a class says nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Generic as Generic
    from typing import TypeVar
    from typing import dataclass_transform as dataclass_transform

    from holdfs.core.formats.records import Record

    R = TypeVar("R", bound=Record)
else:
    R = None

    class Generic:
        """Takes a parameter and is what it was."""

        __slots__ = ()

        def __class_getitem__(cls, parameter):
            return cls

    def dataclass_transform(**_):
        """Return what leaves a class as it is."""
        return lambda cls: cls
