"""
What changes one record and needs no driver: names and metadata.

What that takes is loaded by each of them: commands that only look open such a store too.
"""

from __future__ import annotations

from holdfs.core.errors import StoreReadOnly
from holdfs.core.looking import Looking

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    from holdfs.core.looking import Kind
    from holdfs.core.recordset import Edit, RecordSet

    T = TypeVar("T")

SINGULAR = {"layers": "layer", "images": "image", "containers": "container"}


class Changing(Looking):
    """A store whose names and metadata can be changed."""

    def set_of(self, kind: Kind) -> RecordSet[Any]:
        """Return the set of a kind, to be changed."""
        raise NotImplementedError

    def _change(self, kind: Kind, ref: str, change: Callable[[Edit[Any], str], T]) -> T:
        """Run `change(edit, full ID)` under the lock of the kind."""
        with self.set_of(kind).edit() as edit:
            record_id = self.full_id(kind, edit.records, ref)
            if edit.records.is_read_only(record_id):
                raise StoreReadOnly(
                    f"{SINGULAR[kind]} {record_id} belongs to an additional store, "
                    "which is read-only here"
                )
            return change(edit, record_id)

    def set_names(self, kind: Kind, ref: str, wanted: Sequence[str]) -> tuple[str, ...]:
        """Give the object exactly these names, taken from whoever has them; return them."""
        from holdfs.core import naming

        return self._change(
            kind, ref, lambda edit, record_id: naming.set_names(edit, record_id, wanted)
        )

    def add_names(self, kind: Kind, ref: str, added: Sequence[str]) -> tuple[str, ...]:
        """Give the object these names before its own; return all of them."""
        from holdfs.core import naming

        return self._change(
            kind, ref, lambda edit, record_id: naming.add_names(edit, record_id, added)
        )

    def append_names(self, kind: Kind, ref: str, added: Sequence[str]) -> tuple[str, ...]:
        """Give the object these names after its own; return all of them."""
        from holdfs.core import naming

        return self._change(
            kind, ref, lambda edit, record_id: naming.append_names(edit, record_id, added)
        )

    def remove_names(self, kind: Kind, ref: str, dropped: Sequence[str]) -> tuple[str, ...]:
        """Take these names from the object, which need not have them; return what is left."""
        from holdfs.core import naming

        return self._change(
            kind, ref, lambda edit, record_id: naming.remove_names(edit, record_id, dropped)
        )

    def rename(self, kind: Kind, old: str, new: str, *, replace: bool = True) -> str:
        """
        Put the name `new` in the place of `old`, on the object that has `old`; return its full ID.

        Args:
            replace: Take `new` from another object that has it.

        Raises:
            NotKnown: Nobody has the name `old`.
            DuplicateName: Somebody has `new`, and `replace` is False.
        """
        from holdfs.core import naming

        with self.set_of(kind).edit() as edit:
            return naming.rename(edit, SINGULAR[kind], old, new, replace=replace)

    def set_metadata(self, kind: Kind, ref: str, text: str) -> None:
        """Replace the object's metadata."""
        from holdfs.core.naming import check_text

        check_text(text)

        def change(edit: Edit[Any], record_id: str) -> None:
            cells = edit.records.cells(record_id, "metadata")
            # One that can't be told here is written anew even if it is the same.
            if cells is None or cells[0] != text:
                edit.change(record_id, {"metadata": text})

        self._change(kind, ref, change)
