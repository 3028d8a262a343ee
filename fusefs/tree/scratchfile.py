"""The entries that scratch files are, in an object's directory or in its `big-data/`."""

import errno

from holdfs.fusefs.scratch import Scratch
from holdfs.fusefs.tree.encoding import LONGEST, os_bytes
from holdfs.fusefs.tree.handles import Reader, ScratchHandle, Writer
from holdfs.fusefs.tree.node import WRITABLE_MODE, Directory, File, Stat, refusal
from holdfs.fusefs.tree.view import View


def check_scratch_name(name: str) -> None:
    """Raise unless a scratch file may have this name."""
    if name.startswith(".Trash"):
        raise refusal(errno.EPERM, "there is no trash here: delete for good")
    if len(os_bytes(name)) > LONGEST:
        raise OSError(errno.ENAMETOOLONG, f"a name can't be longer than {LONGEST} bytes")


class ScratchFile(File):
    """One scratch file; each has an inode of its own, under whatever name it was made."""

    __slots__ = ("scratch",)

    lasting_entry = False

    def __init__(self, parent: Directory, scratch: Scratch) -> None:
        super().__init__(parent, scratch.name, f"scratch {scratch.serial}")
        self.scratch = scratch

    def attributes(self, view: View) -> Stat:
        scratch = self.scratch
        return Stat(WRITABLE_MODE, len(scratch.content), scratch.changed_ns, lasting=False)

    def open_reader(self, view: View) -> Reader:
        return self.open_writer(view, truncate=False, append=False)

    def open_writer(self, view: View, *, truncate: bool, append: bool) -> Writer:
        files = view.tree.scratch
        if truncate:
            files.resize(self.scratch, 0)
        return ScratchHandle(self, files, self.scratch, append=append)

    def truncate(self, view: View, size: int) -> None:
        view.tree.scratch.resize(self.scratch, size)
