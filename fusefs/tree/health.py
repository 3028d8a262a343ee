"""
The file `health` of an object: `ok`, or `damaged` and the reasons, a line each.

Only what can be told at once, in the words of `holdctl check`. Content is not read.
"""

from typing import TYPE_CHECKING, Final

from holdfs.core.errors import StoreError

if TYPE_CHECKING:
    from holdfs.fusefs.tree.view import Subject


#: Keys may hold lone surrogates, from odd JSON.
_AS_IT_IS: Final = ("utf-8", "surrogatepass")


def report(subject: "Subject") -> bytes:
    """Return the text of the file."""
    from holdfs.core.quickcheck import problems

    reasons = problems(subject.view.tree.store, subject.view.snapshot, subject.kind, subject.id)
    return "\n".join(("damaged", *reasons, "")).encode(*_AS_IT_IS) if reasons else b"ok\n"


def broken(damage: StoreError) -> bytes:
    """Return the text for an object whose record can't be read."""
    return f"damaged\n{damage}\n".encode(*_AS_IT_IS)
