"""
The `holdfs` command: its words, its messages, its exit status.

    0  mounted (or, with -f, unmounted again)
    1  it failed: one line on stderr that says what, and what to do
    2  the command line is wrong

Imports little: trio and pyfuse3 come with `mount`, in the process that serves.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NoReturn

from holdfs.core.config import absolute
from holdfs.fusefs import daemon, mountpoint, starting
from holdfs.fusefs.mountpoint import MountError
from holdfs.fusefs.settings import Choice, OptionError, parse_options

log = logging.getLogger(__name__)

#: Beyond the waiting for locks: interpreter, imports, a slow disk.
_START_TIMEOUT_S: Final = 60.0
#: Opening a store takes at most its four locks in turn.
_LOCKS: Final = 4

_DESCRIPTION: Final = """\
Show a container store (of podman, buildah, skopeo, CRI-O) as a tree of directories: mkdir makes an
object, a file is an attribute, a symlink is a relation, rmdir destroys. See MOUNTPOINT/README.
"""
_EPILOG: Final = """\
SOURCE is a graph root. Without it, or as `none`, storage.conf and the environment decide, as for
podman. Any other choice of a store leaves the options in storage.conf unused, as for podman.

options for -o:
  ro                 nothing can be changed
  strict             look at the store at each request, let the kernel cache nothing
  allow_other        other users may enter;  allow_root  root may
  files              beside each rootfs, files: the same content served read-only through FUSE,
                     with links kept inside (always there in mounts of ordinary users)
  uid=N  gid=N       show this owner;  umask=OCTAL  take these bits off all modes
  idle=SECONDS       unmount an unused rootfs after this time (60; 0: never)
  lock_timeout=S     wait this long for a lock of the store (10)
  entry_timeout=S    let the kernel cache this long (300; changes are told to it at once)
  attr_timeout=S     the same, for attributes
  log=FILE           append a log;  log=journal  to the journal or syslog (-f: stderr)
  debug              log each request
  graph=, run=, storage-driver=, storage-opt=   as the options of that name, for fstab
  and what libfuse and the kernel take (fsname=, subtype=, nodev, noexec, auto_unmount, ...)

`umount MOUNTPOINT` or `fusermount3 -u MOUNTPOINT` ends it.

An ordinary user mounts his own store, with newuidmap (Debian: uidmap), podman or buildah to make a
user namespace: `files` beside rootfs shows all content as his.
"""


class UsageError(Exception):
    """The command line is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What is to be done; `text` is only to be printed."""

    choice: Choice | None = None
    foreground: bool = False
    text: str = ""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says and return the exit status."""
    if None in (sys.stdin, sys.stdout, sys.stderr):
        from holdfs.core import standardfds

        standardfds.occupy()
    try:
        command = parse_command_line(sys.argv[1:] if argv is None else argv)
    except (UsageError, OptionError) as error:
        return _fail(f"{error} (see holdfs --help)", 2)
    except FileNotFoundError as error:
        return _fail(str(error.strerror))
    if command.choice is None:
        print(command.text, end="")
        return 0
    point = mountpoint.canonical(command.choice.settings.mount_point)
    choice = replace(command.choice, settings=replace(command.choice.settings, mount_point=point))
    if command.foreground:
        return _stay(choice)
    timeout_s = _START_TIMEOUT_S + _LOCKS * choice.settings.lock_timeout_s
    try:
        daemon.launch(lambda ready: _go_behind(choice, ready), point, timeout_s)
    except MountError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return _fail("interrupted")
    if os.geteuid() != 0:
        _tell_of_sub_ids()
    return 0


def parse_command_line(argv: Sequence[str]) -> Command:
    """
    Return what the arguments ask for, paths made absolute.

    Raises:
        UsageError, OptionError: They make no sense; the message says what.
        FileNotFoundError: As `config.absolute`.
    """
    parser = _parser()
    given = parser.parse_intermixed_args(argv)
    if given.help:
        return Command(text=parser.format_help())
    if given.version:
        from holdfs.fusefs.versions import version_text

        return Command(text=version_text())
    if not 1 <= len(given.paths) <= 2:
        raise UsageError(
            "no mount point given" if not given.paths else "more than a source and a mount point"
        )
    *source, mount_point = given.paths
    words = parse_options(given.o, absolute(mount_point))
    settings = words.settings
    if given.debug:
        settings = replace(settings, debug=True)
    return Command(
        choice=replace(
            words,
            settings=settings,
            graph_root=_graph_root(source, given.graph or words.graph_root),
            run_root=_absolute(given.run or words.run_root),
            driver=given.storage_driver or words.driver,
            driver_options=(*words.driver_options, *given.storage_opt),
        ),
        # As in every FUSE program: who wants to see requests wants to see them here.
        foreground=given.foreground or given.debug,
    )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="holdfs",
        usage="holdfs [SOURCE] MOUNTPOINT [-f] [-d] [-o opt[,opt...]] [--graph DIR] [--run DIR]\n"
        "              [--storage-driver NAME] [--storage-opt K=V] [--version] [--help]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("paths", nargs="*", help=argparse.SUPPRESS)
    add("-f", dest="foreground", action="store_true", help="stay in the foreground")
    add("-d", dest="debug", action="store_true", help="as -f, and log each request")
    add("-o", action="append", default=[], metavar="OPT[,OPT...]", help="see below")
    add("--graph", metavar="DIR", default="", help="graph root of the store, as SOURCE")
    add("--run", metavar="DIR", default="", help="run root of the store")
    add("--storage-driver", metavar="NAME", default="", help="overlay, btrfs or vfs")
    add("--storage-opt", metavar="K=V", action="append", default=[], help="option for the driver")
    add("-V", "--version", action="store_true", help="show versions")
    add("-h", "--help", action="store_true", help="show this text")
    return parser


def _graph_root(source: Sequence[str], option: str) -> str:
    """fstab needs a word in the place of SOURCE also for the store that storage.conf names."""
    given = {_absolute(path) for path in (*source, option) if path and path != "none"}
    if len(given) > 1:
        raise UsageError("SOURCE and --graph name two different stores")
    return given.pop() if given else ""


def _absolute(path: str) -> str:
    return absolute(path) if path else ""


def _tell_of_sub_ids() -> None:
    from holdfs.core.userns import NO_SUB_IDS, has_sub_ids

    if not has_sub_ids():
        print(f"holdfs: mounted, but {NO_SUB_IDS}", file=sys.stderr)


def _stay(choice: Choice) -> int:
    """Serve in this process, for who watches the terminal."""
    try:
        _serve(choice, daemon.Readiness(), to_stderr=True)
    except starting.foreseen() as error:
        return _fail(starting.explain(error))
    return 0


def _go_behind(choice: Choice, ready: daemon.Readiness) -> None:
    """Serve in the daemon; why it could not is told to the launcher, or else to the log."""
    try:
        _serve(choice, ready, to_stderr=False)
    except starting.foreseen() as error:
        log.error("%s", starting.explain(error))
        ready.failed(starting.explain(error))
        raise SystemExit(1) from error
    except Exception as error:
        ready.failed(f"unforeseen {error!r}; -f shows where")
        raise


def _serve(choice: Choice, ready: daemon.Readiness, *, to_stderr: bool) -> None:
    settings = choice.settings
    daemon.set_up_logging(settings.log_file, debug=settings.debug, to_stderr=to_stderr)
    if os.geteuid() == 0:
        starting.serve(choice, ready)
    else:
        from holdfs.fusefs.supervisor import Supervisor

        Supervisor(choice, ready).run()


def _fail(message: str, status: int = 1) -> int:
    one_line = " ".join(message.split("\n"))
    print(f"holdfs: {one_line}", file=sys.stderr)
    return status
