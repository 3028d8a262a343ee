"""
How large what is measured is.

All rows at once with QUICK are to end within minutes, and so take less of everything; a row's words
say how much. A row that is asked for by its name has its true sizes, with QUICK or without.
"""

import sys

IS_SMALL = sys.argv[1:] == ["QUICK"]

#: The images of a small store, and of a large one, which has as many layers.
FEW = 10
MANY = 1_000 if IS_SMALL else 10_000
#: The layer that is unpacked and exported.
SOURCE = "/usr/share/doc" if IS_SMALL else "/usr/share"
