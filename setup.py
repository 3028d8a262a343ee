"""Only what cffi needs: everything else is in pyproject.toml."""

from setuptools import setup

setup(cffi_modules=["native/build.py:ffibuilder", "native/build.py:tar_ffibuilder"])
