"""
Builds `holdfs.native._native` from src/*.c with cffi in API mode.

The declarations that Python sees are those of src/holdfs.h between the two `cffi` marks, so that
a contract is written once, in C, and can't differ from what Python calls.
The strict warnings are for our own sources, not for what cffi generates: tests/native compiles
those with them.
"""

import os
from pathlib import Path

from cffi import FFI

_HERE = Path(__file__).resolve().parent
_TOP = _HERE.parent

_HEADER = (_HERE / "src" / "holdfs.h").read_text()
_DECLARATIONS = _HEADER.split("/* cffi: begin */", 1)[1].split("/* cffi: end */", 1)[0]

ffibuilder = FFI()
ffibuilder.cdef(_DECLARATIONS)
ffibuilder.set_source(
    "holdfs.native._native",
    '#include "holdfs.h"\n',
    # setuptools wants paths relative to setup.py, whatever the current directory is.
    sources=sorted(str(p.relative_to(_TOP)) for p in (_HERE / "src").glob("*.c")),
    include_dirs=["native/src"],
    depends=["native/src/holdfs.h"],
    extra_compile_args=["-std=c11", "-O2", "-fvisibility=hidden"],
)

if __name__ == "__main__":
    os.chdir(_TOP)
    ffibuilder.compile(verbose=True)
