"""
Builds the two extension modules of `holdfs.native` with cffi in API mode.

`_native` is what every command needs; `_tar` is the engine of diffs, apart because the libraries
that it links cost a small command a fifth of its time.

The declarations that Python sees are those of the headers in src/ between the two `cffi` marks, so
that a contract is written once, in C, and can't differ from what Python calls.
The strict warnings are for our own sources, not for what cffi generates: tests/native compiles
those with them.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from cffi import FFI

_HERE = Path(__file__).resolve().parent
_TOP = _HERE.parent
_SOURCES = _HERE / "src"
_BEGIN, _END = "/* cffi: begin */", "/* cffi: end */"
_TAR = _SOURCES / "tar.h"


def _relative(paths: Sequence[Path]) -> list[str]:
    """As setuptools wants them: relative to setup.py, whatever the current directory is."""
    return sorted(str(path.relative_to(_TOP)) for path in paths)


def _builder(
    module: str, headers: Sequence[Path], sources: Sequence[Path], libraries: list[str]
) -> FFI:
    builder = FFI()
    for header in headers:
        builder.cdef(header.read_text().split(_BEGIN, 1)[1].split(_END, 1)[0])
    builder.set_source(
        f"holdfs.native.{module}",
        "".join(f'#include "{header.name}"\n' for header in headers),
        sources=_relative(sources),
        include_dirs=["native/src"],
        depends=_relative([*_SOURCES.rglob("*.h")]),
        libraries=libraries,
        extra_compile_args=["-std=c11", "-O2", "-fvisibility=hidden"],
    )
    return builder


_CONTRACTS = [path for path in sorted(_SOURCES.glob("*.h")) if _BEGIN in path.read_text()]

ffibuilder = _builder(
    "_native", [path for path in _CONTRACTS if path != _TAR], [*_SOURCES.glob("*.c")], []
)
tar_ffibuilder = _builder(
    "_tar",
    [_TAR],
    [*_SOURCES.glob("tar/*.c"), _SOURCES / "remove.c", _SOURCES / "below.c"],
    ["isal", "crypto", "zstd", "lzma", "bz2"],
)

if __name__ == "__main__":
    os.chdir(_TOP)
    for each in (ffibuilder, tar_ffibuilder):
        each.compile(verbose=True)
