"""
Builds `holdfs.native._native` from src/*.c with cffi in API mode.

The declarations that Python sees are those of every src/*.h between the two `cffi` marks, so that
a contract is written once, in C, and can't differ from what Python calls.
The strict warnings are for our own sources, not for what cffi generates: tests/native compiles
those with them.
"""

import os
from pathlib import Path

from cffi import FFI

_HERE = Path(__file__).resolve().parent
_TOP = _HERE.parent

_BEGIN, _END = "/* cffi: begin */", "/* cffi: end */"
_HEADERS = [p for p in sorted((_HERE / "src").glob("*.h")) if _BEGIN in p.read_text()]


def _declarations(header: Path) -> str:
    return header.read_text().split(_BEGIN, 1)[1].split(_END, 1)[0]


ffibuilder = FFI()
for _header in _HEADERS:
    ffibuilder.cdef(_declarations(_header))
ffibuilder.set_source(
    "holdfs.native._native",
    "".join(f'#include "{p.name}"\n' for p in _HEADERS),
    # setuptools wants paths relative to setup.py, whatever the current directory is.
    sources=sorted(str(p.relative_to(_TOP)) for p in (_HERE / "src").glob("*.c")),
    include_dirs=["native/src"],
    depends=sorted(str(p.relative_to(_TOP)) for p in (_HERE / "src").rglob("*.h")),
    extra_compile_args=["-std=c11", "-O2", "-fvisibility=hidden"],
)

if __name__ == "__main__":
    os.chdir(_TOP)
    ffibuilder.compile(verbose=True)
