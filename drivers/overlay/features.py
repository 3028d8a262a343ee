"""
What overlay can do here, found out by test mounts and remembered in the run root.

    R/overlay/overlay-true, metacopy(<mountopt>)-false, native-diff(<mountopt>)-true,
    volatile-true, idmapped-lower-dir-true: empty files, or the reason for a "false" as text;
    shared with the Go tools.

The run root does not survive a boot, and a new kernel comes with one.
Source: spec/store-format.md 8.2; containers/storage, drivers/overlay/check.go.
"""

from __future__ import annotations

import errno
import os
import stat

from holdfs.drivers.base import DriverNotSupported
from holdfs.drivers.overlay.words import split_words
from holdfs.native.about import about
from holdfs.native.idmap import mount_mapped, opened_userns
from holdfs.native.light import contextmanager
from holdfs.native.mount import mount_overlay, umount
from holdfs.native.remove import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

# These say something of the process, not of the kernel: not to be remembered.
_OF_US: Final = (errno.EPERM, errno.EACCES)
# These say nothing at all, but that it can't be tried now.
_OF_NOW: Final = (
    errno.ENOSPC, errno.EDQUOT, errno.ENOMEM,
    errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE,
)  # fmt: skip


class Features:
    """The answers for one home, each found out at its first use by any program."""

    def __init__(self, home: str, run_home: str, mountopt: str, *, user_xattr: bool) -> None:
        self._home = home
        self._run_home = run_home
        self._mountopt = mountopt
        self._user_xattr = user_xattr

    def check_overlay(self) -> None:
        """
        Make sure that overlay works on the home's file system.

        Raises:
            DriverNotSupported: It does not, with the reason.
            OSError: It can't be tried now, as on a full disk. A mount program is no way out: that
                one writes there would be remembered, and bind all tools for good.
        """
        known = self._known("overlay")
        if known is None:
            try:
                with self._scratch("compat") as scratch:
                    _test_overlay(scratch, self._basic_words())
            except OSError as error:
                if error.errno in _OF_NOW:
                    raise
                reason = f"kernel does not support overlay fs: {error.strerror}"
                if error.errno not in _OF_US:
                    self._record("overlay", False, reason)
                raise DriverNotSupported(reason) from error
            self._record("overlay", True)
        elif not known[0]:
            raise DriverNotSupported(known[1] or "kernel does not support overlay fs")

    def has_overlay(self) -> bool:
        """Whether overlay works on the home's file system; OSError as `check_overlay`."""
        try:
            self.check_overlay()
        except DriverNotSupported:
            return False
        return True

    def uses_metacopy(self) -> bool:
        """Whether, with the configured options, a change of mode copies up the metadata alone."""
        feature = f"metacopy({self._mountopt})"
        return self._decide(feature, "metacopy-check", self._test_metacopy)

    def has_native_diff(self) -> bool:
        """Whether an upper directory says exactly what was changed, with the configured options."""
        feature = f"native-diff({self._mountopt})"
        return self._decide(feature, "opaque-bug-check", self._test_native_diff)

    def supports_volatile(self) -> bool:
        """Whether the kernel has mounts that skip syncs."""
        return self._decide("volatile", "volatile-check", self._test_volatile)

    def maps_lowers(self) -> bool:
        """Whether lowers can be ID-mapped mounts, on the home's file system."""
        return self._decide("idmapped-lower-dir", "compat", self._test_mapped)

    def _decide(
        self, feature: str, scratch_name: str, test: Callable[[str], tuple[bool, str]]
    ) -> bool:
        known = self._known(feature)
        if known is None:
            with self._scratch(scratch_name) as scratch:
                known = test(scratch)
            self._record(feature, *known)
        return known[0]

    def _known(self, feature: str) -> tuple[bool, str] | None:
        # A -true file has precedence (spec 8.2).
        base = os.path.join(self._run_home, feature)
        if os.path.exists(f"{base}-true"):
            return True, ""
        try:
            with open(f"{base}-false", encoding="utf-8", errors="replace") as file:
                return False, file.read()
        except FileNotFoundError:
            return None

    def _record(self, feature: str, is_supported: bool, reason: str = "") -> None:
        path = os.path.join(self._run_home, f"{feature}-{'true' if is_supported else 'false'}")
        # Again: a run root may be emptied while a daemon runs.
        os.makedirs(self._run_home, 0o700, exist_ok=True)
        try:
            with about(path), open(path, "w", encoding="utf-8") as file:
                file.write(reason)
        except FileNotFoundError:
            # The options may hold a slash, and the Go tools do not escape it: nothing to remember.
            if "/" not in feature:
                raise

    def _basic_words(self) -> tuple[str, ...]:
        return ("userxattr",) if self._user_xattr else ()

    def _configured(self) -> tuple[int, tuple[str, ...]]:
        flags, words = split_words(self._mountopt.split(","))
        return flags, self._basic_words() + words

    def _xattr(self, name: str) -> str:
        return f"user.overlay.{name}" if self._user_xattr else f"trusted.overlay.{name}"

    @contextmanager
    def _scratch(self, prefix: str) -> Iterator[str]:
        """
        Give an empty directory on the home's file system, removed in the end.

        Beside the home where that is the same file system: a crash would leave it in the home as
        a directory that is no layer, which the Go tools' recovery of links trips over.
        """
        graph_root = os.path.dirname(self._home)
        same = os.stat(graph_root).st_dev == os.stat(self._home).st_dev
        parent = graph_root if same else self._home
        name = f"{prefix}{os.urandom(6).hex()}"
        scratch = f"{parent}/{name}"
        os.mkdir(scratch, 0o700)
        parent_fd = os.open(parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with about(scratch):
                yield scratch
        finally:
            _umount_quietly(f"{scratch}/merged")
            _umount_quietly(f"{scratch}/mapped")
            remove_tree(parent_fd, name)
            os.close(parent_fd)

    def _test_metacopy(self, scratch: str) -> tuple[bool, str]:
        _make_directories(scratch, "l1", "l2", "work", "merged")
        with open(f"{scratch}/l1/f", "wb") as file:
            file.write(b"\xff")
        os.chmod(f"{scratch}/l1/f", 0o700)
        flags, words = self._configured()
        try:
            _mount(scratch, lowers=["l1"], upper="l2", options=words, flags=flags)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return False, ""  # the kernel does not know the option
            raise
        os.chmod(f"{scratch}/merged/f", 0o600)
        return _has_xattr(f"{scratch}/l2/f", self._xattr("metacopy")), ""

    def _test_native_diff(self, scratch: str) -> tuple[bool, str]:
        prefix = (
            "Not using native diff for overlay, "
            "this may cause degraded performance for building images: "
        )
        _make_directories(scratch, "l1/d", "l1/d1", "l2/d", "l3", "work", "merged")
        flags, words = self._configured()
        try:
            os.setxattr(f"{scratch}/l2/d", self._xattr("opaque"), b"y")
            _mount(scratch, lowers=["l2", "l1"], upper="l3", options=words, flags=flags)
        except OSError as error:
            return False, f"{prefix}failed to mount overlay: {(error.strerror or '').lower()}"
        # Copies d up. Its "opaque" tells of l2 alone and must stay there.
        with open(f"{scratch}/merged/d/f", "wb"):
            pass
        if _has_xattr(f"{scratch}/l3/d", self._xattr("opaque"), b"y"):
            return False, f"{prefix}opaque flag erroneously copied up"
        try:
            os.rename(f"{scratch}/merged/d1", f"{scratch}/merged/d2")
        except OSError as error:
            if error.errno == errno.EXDEV:
                return True, ""  # directories of a lower are copied by the user, not redirected
            raise
        if _has_xattr(f"{scratch}/l3/d2", self._xattr("redirect"), b"d1"):
            return False, f"{prefix}kernel has CONFIG_OVERLAY_FS_REDIRECT_DIR enabled"
        return True, ""

    def _test_volatile(self, scratch: str) -> tuple[bool, str]:
        _make_directories(scratch, "lower", "upper", "work", "merged")
        words = (*self._basic_words(), "volatile")
        try:
            _mount(scratch, lowers=["lower"], upper="upper", options=words)
        except OSError as error:
            return False, f"{error.strerror}"
        return True, ""

    def _test_mapped(self, scratch: str) -> tuple[bool, str]:
        _make_directories(scratch, "lower", "mapped", "upper", "work", "merged")
        try:
            with opened_userns([(0, 1, 1)], [(0, 1, 1)]) as userns_fd:
                mount_mapped(f"{scratch}/lower", f"{scratch}/mapped", userns_fd)
            _mount(scratch, lowers=["mapped"], upper="upper", options=self._basic_words())
        except OSError as error:
            return False, f"{error.strerror}"
        return True, ""


def _test_overlay(scratch: str, words: tuple[str, ...]) -> None:
    """
    Try what a layer needs: two lowers, and a whiteout that hides and is hidden.

    The second fails where directory entries have no type (xfs with ftype=0).
    """
    _make_directories(scratch, "lower1", "lower2", "upper", "work", "merged")
    for name in ("lower1/one", "lower2/two", "lower2/gone"):
        with open(f"{scratch}/{name}", "wb"):
            pass
    os.mknod(f"{scratch}/upper/gone", stat.S_IFCHR | 0o600, os.makedev(0, 0))
    _mount(scratch, lowers=["lower1", "lower2"], upper="upper", options=words)
    if sorted(os.listdir(f"{scratch}/merged")) != ["one", "two"]:
        raise OSError(errno.EOPNOTSUPP, "overlay: the backing file system has no d_type", scratch)


def _make_directories(scratch: str, *names: str) -> None:
    for name in names:
        os.makedirs(f"{scratch}/{name}", 0o755)


def _mount(
    scratch: str, *, lowers: list[str], upper: str, options: tuple[str, ...], flags: int = 0
) -> None:
    mount_overlay(
        scratch, "merged", lowers=lowers, upper=upper, work="work", options=options, flags=flags
    )


def _umount_quietly(path: str) -> None:
    try:
        umount(path)
    except OSError as error:
        # EINVAL: the test did not come to mounting, ENOENT: nor to making the directory.
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise


def _has_xattr(path: str, name: str, value: bytes | None = None) -> bool:
    try:
        found = os.getxattr(path, name, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
            return False
        raise
    return value is None or found == value
