"""What pyproject.toml can't say: the C modules, and the pages made from holdctl's table."""

import sys
from pathlib import Path

from setuptools import setup

# After setuptools, which puts its own distutils in the place of Python's.
from distutils.command.build_scripts import build_scripts  # isort: skip
from distutils.command.install_data import install_data  # isort: skip


class BuildScripts(build_scripts):
    """Makes `holdctl`, whose first line has options for Python: pip would leave them out."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.executable = sys.executable


class InstallPages(install_data):
    """Writes the manual pages and completions to where data files go."""

    def run(self) -> None:
        super().run()
        # Laid out as it is installed, so that the table can be imported before it is.
        sys.path.insert(0, str(Path(__file__).resolve().parent / ".make" / "types"))
        from holdfs.core.cli.pages import pages

        for name, text in pages():
            path = Path(self.install_dir, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            self.outfiles.append(str(path))


setup(
    cffi_modules=["native/build.py:ffibuilder", "native/build.py:tar_ffibuilder"],
    # No entry point: what pip makes of one starts Python with `site`, and imports `re`.
    scripts=["core/cli/holdctl"],
    cmdclass={"build_scripts": BuildScripts, "install_data": InstallPages},
    data_files=[
        # InstallPages makes the others.
        ("share/man/man1", ["fusefs/man/holdfs.1"]),
        ("lib/systemd/system", ["fusefs/units/system/holdfs@.service"]),
        ("lib/systemd/user", ["fusefs/units/user/holdfs@.service"]),
    ],
)
