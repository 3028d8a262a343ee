"""What stands in for contextlib and logging does what they do, as far as it is used."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from holdfs.native import light

Managers = Callable[[Callable[..., Iterator[Any]]], Callable[..., Any]]


@pytest.fixture(params=[light.contextmanager, contextlib.contextmanager], ids=["light", "real"])
def contextmanager(request: pytest.FixtureRequest) -> Managers:
    found: Managers = request.param
    return found


def test_what_stands_around_the_yield_is_done_in_order(contextmanager: Managers) -> None:
    done: list[str] = []

    @contextmanager
    def scope(name: str) -> Iterator[str]:
        """Text."""
        done.append("before")
        yield name.upper()
        done.append("behind")

    with scope("x") as given:
        done.append(given)

    assert ["before", "X", "behind"] == done
    assert ("scope", "Text.") == (scope.__name__, scope.__doc__)


@pytest.mark.parametrize("error", [KeyError("x"), KeyboardInterrupt(), OSError(2, "no")])
def test_an_error_passes_through_as_it_is(contextmanager: Managers, error: BaseException) -> None:
    done: list[str] = []

    @contextmanager
    def scope() -> Iterator[None]:
        try:
            yield
        finally:
            done.append("finally")

    with pytest.raises(type(error)) as caught, scope():
        raise error

    assert error is caught.value
    assert ["finally"] == done


def test_an_error_that_is_caught_is_gone(contextmanager: Managers) -> None:
    @contextmanager
    def scope() -> Iterator[None]:
        try:
            yield
        except KeyError:
            pass

    with scope():
        raise KeyError("x")


def test_an_error_can_become_another(contextmanager: Managers) -> None:
    @contextmanager
    def scope() -> Iterator[None]:
        try:
            yield
        except KeyError as error:
            raise ValueError("other") from error

    with pytest.raises(ValueError, match="other") as caught, scope():
        raise KeyError("x")

    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("fails", [False, True])
def test_a_second_yield_is_an_error(contextmanager: Managers, fails: bool) -> None:
    @contextmanager
    def scope() -> Iterator[None]:
        try:
            yield
        except KeyError:
            pass
        yield

    with pytest.raises(RuntimeError), scope():
        if fails:
            raise KeyError("x")


def test_logging_is_loaded_with_the_first_line_and_set_up_once_before() -> None:
    script = """\
import sys
from holdfs.native.light import logger_of, set_up_logging

log = logger_of("a.b")
assert "logging" not in sys.modules

def set_up():
    import logging
    logging.basicConfig(format="%(name)s %(levelname)s %(message)s", stream=sys.stdout)

set_up_logging(set_up)
assert "logging" not in sys.modules
log.warning("one of %s", "two")
log.warning("two")
"""

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )

    assert (0, "") == (done.returncode, done.stderr)
    assert "a.b WARNING one of two\na.b WARNING two\n" == done.stdout
