"""Frozen values: made, compared and replaced as those of a frozen data class."""

from typing import Any

import pytest

from holdfs.native.values import Value


class Point(Value):
    x: int
    y: int = 0


class Named(Point):
    name: str = "?"


def test_fields_are_given_by_place_or_name_and_have_defaults() -> None:
    assert (1, 0) == Point(1).values()
    assert (1, 2) == Point(1, y=2).values()
    assert ("x", "y", "name") == Named.fields
    assert "Named(x=1, y=0, name='?')" == repr(Named(x=1))


@pytest.mark.parametrize(
    ("places", "names"),
    [((), {}), ((), {"y": 1}), ((1, 2, 3), {}), ((1,), {"x": 1}), ((1,), {"z": 1})],
)
def test_what_does_not_fit_the_fields_is_refused(
    places: tuple[int, ...], names: dict[str, Any]
) -> None:
    with pytest.raises(TypeError):
        Point(*places, **names)


def test_the_content_and_the_class_are_compared() -> None:
    assert Point(1) == Point(x=1, y=0)
    assert Point(1) != Point(2)
    assert Point(1) != Named(1)
    assert 1 == len({Point(1), Point(1)})


def test_a_replaced_field_leaves_the_old_value_as_it_was() -> None:
    point = Point(1, 2)

    assert (1, 3) == point.replaced(y=3).values()
    assert (1, 2) == point.values()


def test_no_field_can_be_changed() -> None:
    point: Any = Point(1)

    with pytest.raises(AttributeError):
        point.x = 2
    with pytest.raises(AttributeError):
        del point.x
