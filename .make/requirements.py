"""Print what pyproject.toml wants installed: `requirements.py [EXTRA...]`, one a line, for pip."""

import sys
import tomllib

with open("pyproject.toml", "rb") as f:
    project = tomllib.load(f)
print(*project["build-system"]["requires"], sep="\n")
print(*project["project"]["dependencies"], sep="\n")
for extra in sys.argv[1:]:
    print(*project["project"]["optional-dependencies"][extra], sep="\n")
