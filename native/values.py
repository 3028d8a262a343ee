"""
Frozen values, as frozen data classes are, without what importing and making those takes.

    class Point(Value):
        x: int
        y: int = 0

    Point(1)    Point(x=1, y=2).replaced(y=3)
"""

from __future__ import annotations

from holdfs.native.light import dataclass_transform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, Self


@dataclass_transform(frozen_default=True)
class Value:
    """
    What has fields, compared by their content: those that its class annotates, in their order.

    A field without a default has to be given. Nobody changes a default, or what a field holds.
    """

    fields: ClassVar[tuple[str, ...]] = ()
    _needed: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        added = [name for name in cls.__annotations__ if name not in cls.fields]
        cls.fields = (*cls.fields, *added)
        cls._needed = frozenset(name for name in cls.fields if not hasattr(cls, name))

    def __init__(self, *places: Any, **values: Any) -> None:
        for name, value in zip(self.fields, places, strict=False):
            if name in values:
                raise TypeError(f"{name} is given twice")
            values[name] = value
        if len(places) > len(self.fields) or not (
            self._needed <= values.keys() <= frozenset(self.fields)
        ):
            raise TypeError(f"{type(self).__name__} has the fields {', '.join(self.fields)}")
        self.__dict__.update(values)

    def replaced(self, **values: Any) -> Self:
        """Return the same with other values in some fields."""
        return type(self)(**{**self.__dict__, **values})

    def values(self) -> tuple[Any, ...]:
        """Return the value of each field."""
        return tuple(getattr(self, name) for name in self.fields)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} can't be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} can't be changed")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Value) or type(other) is not type(self):
            return NotImplemented
        return self.values() == other.values()

    def __hash__(self) -> int:
        return hash((type(self), self.values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{n}={v!r}" for n, v in zip(self.fields, self.values(), strict=True))
        return f"{type(self).__name__}({fields})"
