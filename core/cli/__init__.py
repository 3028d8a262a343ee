"""holdctl: the store's command line, in the form of containers-storage's."""

from __future__ import annotations

import marshal
import os
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER, SourceFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType
    from typing import Final

#: How a .pyc begins that is good as long as its source has the time and size that follow.
_BY_TIME_AND_SIZE: Final = MAGIC_NUMBER + bytes(4)
_HEADER_SIZE: Final = 16


def main() -> int:
    """Run the command line in `sys.argv` and return the exit status; raises KeyboardInterrupt."""
    if not sys.flags.optimize and sys.pycache_prefix is None:
        sys.meta_path.insert(0, CompiledModules)
    from holdfs.core.cli import program

    return program.main()


class CompiledModules:
    """
    Finds our modules where Python keeps them compiled, by 5 system calls instead of 12.

    What is not as usual is left to Python's own finders, which know what is right then: packages,
    extension modules, a .pyc that is missing, not of this source, checked by hash, or moved.
    """

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: object = None
    ) -> ModuleSpec | None:
        """Return where the module is and what loads it, None if others have to look for it."""
        # The path of `holdfs` itself is no list, as it may have parts in several directories.
        if not name.startswith("holdfs.") or type(path) is not list or len(path) != 1:
            return None
        base = name.rpartition(".")[2]
        source = f"{path[0]}/{base}.py"
        compiled = f"{path[0]}/__pycache__/{base}.{sys.implementation.cache_tag}.pyc"
        try:
            code = _read_code(source, compiled)
        except (OSError, EOFError, ValueError, TypeError):
            return None
        # Tracebacks name the file that it was compiled from.
        if code is None or code.co_filename != source:
            return None
        spec = ModuleSpec(name, _Loader(name, source, code), origin=source)
        spec.cached = compiled
        spec.has_location = True
        return spec


def _read_code(source: str, compiled: str) -> CodeType | None:
    """Return what the file holds, None unless it is the source's; raises what `marshal` does."""
    stat = os.stat(source)
    fd = os.open(compiled, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(fd, os.fstat(fd).st_size)
    finally:
        os.close(fd)
    time_and_size = b"".join(
        (number & 0xFFFFFFFF).to_bytes(4, "little") for number in (int(stat.st_mtime), stat.st_size)
    )
    if not data.startswith(_BY_TIME_AND_SIZE + time_and_size):
        return None
    code: object = marshal.loads(memoryview(data)[_HEADER_SIZE:])
    return code if isinstance(code, type(_read_code.__code__)) else None


class _Loader(SourceFileLoader):
    """Python's own, but that it has the code for whoever asks first, which is the import."""

    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self._code: CodeType | None = code

    def get_code(self, fullname: str) -> CodeType | None:
        code, self._code = self._code, None
        return super().get_code(fullname) if code is None else code
