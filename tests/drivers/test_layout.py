"""Names and small files of the overlay home."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfs.drivers.overlay import layout


@given(st.binary(min_size=17, max_size=17))
def test_a_made_link_name_is_one(random_bytes: bytes) -> None:
    name = layout.format_link(random_bytes)

    assert name == layout.parse_link(name)
    assert 26 == len(name)


def test_link_names_are_base32_of_the_first_bytes() -> None:
    assert "A" * 26 == layout.format_link(bytes(17))
    assert "7" * 26 == layout.format_link(b"\xff" * 17)
    assert "2UPRBPQU3UXJBUEPTCQUQWPTMY" == layout.format_link(
        bytes.fromhex("d51f10be14dd2e90d08f98a14859f366") + b"\0"
    )


@pytest.mark.parametrize(
    "text, name",
    [
        ("2UPRBPQU3UXJBUEPTCQUQWPTMY", "2UPRBPQU3UXJBUEPTCQUQWPTMY"),
        ("2UPRBPQU3UXJBUEPTCQUQWPTMY\n", "2UPRBPQU3UXJBUEPTCQUQWPTMY"),
        ("", ""),
        ("\0" * 26, ""),
        ("2UPRBPQU3UXJBUEPTCQUQWPTM", ""),
        ("2uprbpqu3uxjbueptcquqwptmy", ""),
        ("../../../../../../etc/passw", ""),
    ],
)
def test_a_link_file_holds_a_name_or_nothing(text: str, name: str) -> None:
    assert name == layout.parse_link(text)


@pytest.mark.parametrize(
    "target, layer_id",
    [
        ("../abc/diff", "abc"),
        ("../abc/diff1", ""),
        ("../abc/diff/", ""),
        ("/abc/diff", ""),
        ("../a/b/diff", ""),
        ("", ""),
    ],
)
def test_a_link_leads_to_a_layers_diff(target: str, layer_id: str) -> None:
    assert layer_id == layout.parse_link_target(target)
    if layer_id:
        assert target == layout.link_target(layer_id)


def test_a_childs_lowers_are_the_parent_and_its_lowers() -> None:
    base = layout.format_lower("ONE", "")
    child = layout.format_lower("TWO", base)

    assert "l/ONE" == base
    assert "l/TWO:l/ONE" == child
    assert ("l/TWO", "l/ONE") == layout.parse_lower(child)
    assert () == layout.parse_lower("")
    assert ("l/ONE",) == layout.parse_lower(":l/ONE:\n")


@pytest.mark.parametrize("text", ["/etc", "l/..", "l/", "l/A:x/B", "l/A/B", "A", "l/A:../B/diff"])
def test_a_lower_that_is_no_link_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        layout.parse_lower(text)


@pytest.mark.parametrize(
    "name, is_layer",
    [
        ("0" * 64, True),
        ("my-layer", True),
        ("l", False),
        ("staging", False),
        ("tempdirs", False),
        (".has-mount-program", False),
        ("..", False),
        ("", False),
        ("a/b", False),
    ],
)
def test_what_the_home_holds_besides_layers_has_no_layers_name(name: str, is_layer: bool) -> None:
    assert is_layer == layout.is_layer_name(name)
