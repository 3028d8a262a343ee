"""Names as nested directories: what a listing shows is what a look-up finds, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from holdfs.fusefs.tree.encoding import encode
from holdfs.fusefs.tree.nameindex import Found, NameIndex

NAMES = st.lists(
    st.one_of(
        st.text(alphabet="ab/%.0-", max_size=6),
        st.lists(st.sampled_from(["a", "b", "a" * 300, "", "."]), min_size=1).map("/".join),
    ),
    unique=True,
)


def index_of(names: list[str]) -> NameIndex:
    return NameIndex({name: f"id of {name}" for name in names})


def walk(index: NameIndex, prefix: str = "") -> dict[tuple[str, str], str]:
    """Return the name of every link, by its directory and entry."""
    found: dict[tuple[str, str], str] = {}
    for entry, at in index.listing(prefix):
        assert at == index.lookup(prefix, entry)
        assert (prefix, entry) not in found
        if at.object_id:
            found[prefix, entry] = at.name
        else:
            assert index.is_directory(at.name)
            found |= walk(index, at.name)
    return found


@given(NAMES)
def test_every_name_is_shown_once_where_location_says(names: list[str]) -> None:
    index = index_of(names)

    shown = walk(index)

    assert {index.location(name): name for name in names} == shown


@given(NAMES)
def test_a_listing_has_no_entry_twice(names: list[str]) -> None:
    entries = [entry for entry, _ in index_of(names).listing("")]

    assert len(set(entries)) == len(entries)


@given(NAMES, st.text(alphabet="ab/%.0-2F", max_size=8))
def test_what_is_not_listed_is_not_found(names: list[str], entry: str) -> None:
    index = index_of(names)

    listed = dict(index.listing(""))

    assert listed.get(entry) == index.lookup("", entry)


def test_the_shorter_name_stays_a_link_and_the_longer_stands_beside_it() -> None:
    index = index_of(["a", "a/b", "a/c/d", "q/a", "q/a/b", "q/x"])

    assert ["a", "a%2Fb", "a%2Fc%2Fd", "q"] == [entry for entry, _ in index.listing("")]
    assert ["a", "a%2Fb", "x"] == [entry for entry, _ in index.listing("q/")]
    assert index.lookup("", "a") == Found("a", "id of a")
    assert not index.is_directory("a/")


def test_odd_components_are_encoded() -> None:
    index = index_of(["/abs", "end/", "a//b", "../x", "", "."])

    assert {
        ("/", "abs"): "/abs",
        ("end/", "%"): "end/",
        ("a//", "b"): "a//b",
        ("../", "x"): "../x",
        ("", "%2E"): ".",
    }.items() <= walk(index_of(["/abs", "end/", "a//b", "../x", "."])).items()
    # With the empty name there, all that begins with a slash lies below it.
    assert {"%", "%2Fabs"} <= {entry for entry, _ in index.listing("")}
    assert encode("..") in {entry for entry, _ in index.listing("")}


@given(NAMES, NAMES)
def test_an_index_that_follows_is_as_one_made_anew(before: list[str], after: list[str]) -> None:
    fresh = index_of(after)

    followed = index_of(before).follow(fresh.by_name, set(before) ^ set(after))

    assert walk(fresh) == walk(followed)
    assert fresh.names_below("") == followed.names_below("")
