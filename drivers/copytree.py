"""
A copy of a directory tree as the vfs driver needs it: owners, modes, times, hard links, devices,
fifos, sockets, symbolic links, the extended attributes that layers have, holes.

Data is copied by the kernel, shared between both files where the file system can.
Source: spec/store-format.md 9.2; containers/storage, drivers/copy/copy_linux.go.
"""

import errno
import os
import stat
from typing import Final

from holdfs.native.about import about

_XATTR: Final = ("security.capability",)
_XATTR_PREFIX: Final = "user."
_XATTR_OPAQUE: Final = "trusted.overlay.opaque"
_CHUNK: Final = 1 << 30
# copy_file_range(2) has these for "not between these two files"; then the bytes go through us.
_NO_RANGE: Final = (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM)
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_tree(source: str, target: str, *, ignore_chown_errors: bool = False) -> None:
    """
    Make the existing, empty directory `target` equal to `source`, itself included.

    Nobody may change `source` meanwhile. A failure leaves a part of the copy.
    """
    with about(target):
        _Copy(source, target, ignore_chown_errors).run()


class _Copy:
    """One copy: what is hard-linked, and whose times must wait until nothing more is written."""

    def __init__(self, source: str, target: str, ignore_chown_errors: bool) -> None:
        self._source = source
        self._target = target
        self._ignore_chown_errors = ignore_chown_errors
        #: (device, inode) of files with several names: the first name in the target.
        self._linked: dict[tuple[int, int], str] = {}
        self._directories: list[tuple[str, os.stat_result]] = []

    def run(self) -> None:
        source_fd = os.open(self._source, _DIRECTORY)
        try:
            target_fd = os.open(self._target, _DIRECTORY)
            try:
                self._copy_directories(source_fd, target_fd)
            finally:
                os.close(target_fd)
        finally:
            os.close(source_fd)

    def _copy_directories(self, source_fd: int, target_fd: int) -> None:
        pending = ["."]
        while pending:
            path = pending.pop()
            from_fd = os.open(path, _DIRECTORY, dir_fd=source_fd)
            try:
                to_fd = os.open(path, _DIRECTORY, dir_fd=target_fd)
                try:
                    pending += self._copy_entries(path, from_fd, to_fd, target_fd)
                    self._directories.append((path, os.fstat(from_fd)))
                    self._copy_attributes(from_fd, to_fd, os.fstat(from_fd))
                finally:
                    os.close(to_fd)
            finally:
                os.close(from_fd)
        # Only now: each entry made in a directory has changed its times.
        for path, shown in reversed(self._directories):
            os.utime(path, ns=(shown.st_atime_ns, shown.st_mtime_ns), dir_fd=target_fd)

    def _copy_entries(self, path: str, from_fd: int, to_fd: int, top_fd: int) -> list[str]:
        """Copy what is in one directory; return the paths of its directories, made but empty."""
        below = []
        for name in os.listdir(from_fd):
            shown = os.stat(name, dir_fd=from_fd, follow_symlinks=False)
            if stat.S_ISDIR(shown.st_mode):
                os.mkdir(name, 0o700, dir_fd=to_fd)
                below.append(f"{path}/{name}")
                continue
            inode = (shown.st_dev, shown.st_ino)
            if inode in self._linked:
                first = self._linked[inode]
                os.link(first, name, src_dir_fd=top_fd, dst_dir_fd=to_fd, follow_symlinks=False)
                continue
            if shown.st_nlink > 1:
                self._linked[inode] = f"{path}/{name}"
            if stat.S_ISREG(shown.st_mode):
                self._copy_file(name, from_fd, to_fd, shown)
            else:
                self._copy_special(name, from_fd, to_fd, shown)
        return below

    def _copy_file(self, name: str, from_fd: int, to_fd: int, shown: os.stat_result) -> None:
        source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=from_fd)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            target = os.open(name, flags, 0o600, dir_fd=to_fd)
            try:
                _copy_data(source, target, shown.st_size)
                self._copy_attributes(source, target, shown)
                os.utime(target, ns=(shown.st_atime_ns, shown.st_mtime_ns))
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _copy_special(self, name: str, from_fd: int, to_fd: int, shown: os.stat_result) -> None:
        if stat.S_ISLNK(shown.st_mode):
            os.symlink(os.readlink(name, dir_fd=from_fd), name, dir_fd=to_fd)
        else:
            os.mknod(name, shown.st_mode, shown.st_rdev, dir_fd=to_fd)
        try:
            os.chown(name, shown.st_uid, shown.st_gid, dir_fd=to_fd, follow_symlinks=False)
        except PermissionError:
            if not self._ignore_chown_errors:
                raise
        if not stat.S_ISLNK(shown.st_mode):
            # The umask took its share at mknod. No link: it is what was just made.
            os.chmod(name, stat.S_IMODE(shown.st_mode), dir_fd=to_fd)
        times = (shown.st_atime_ns, shown.st_mtime_ns)
        os.utime(name, ns=times, dir_fd=to_fd, follow_symlinks=False)

    def _copy_attributes(self, source: int, target: int, shown: os.stat_result) -> None:
        """Give an open file or directory the owner, mode and extended attributes of another."""
        try:
            os.fchown(target, shown.st_uid, shown.st_gid)
        except PermissionError:
            if not self._ignore_chown_errors:
                raise
        # After the owner, since changing that drops set-ID bits and capabilities.
        os.fchmod(target, stat.S_IMODE(shown.st_mode))
        for name in os.listxattr(source):
            if name in _XATTR or name.startswith(_XATTR_PREFIX) or name == _XATTR_OPAQUE:
                os.setxattr(target, name, os.getxattr(source, name))


def _copy_data(source: int, target: int, size: int) -> None:
    """Copy `size` bytes from start to start, leaving holes where the source has some."""
    offset = 0
    while offset < size:
        try:
            begin = os.lseek(source, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                break  # a hole up to the end
            raise
        end = min(os.lseek(source, begin, os.SEEK_HOLE), size)
        _copy_range(source, target, begin, end)
        offset = end
    os.ftruncate(target, size)


def _copy_range(source: int, target: int, begin: int, end: int) -> None:
    while begin < end:
        count = min(end - begin, _CHUNK)
        try:
            copied = os.copy_file_range(source, target, count, begin, begin)
        except OSError as error:
            if error.errno not in _NO_RANGE:
                raise
            copied = os.pwrite(target, os.pread(source, min(count, 1 << 20), begin), begin)
        if not copied:
            raise OSError(errno.EIO, "the file became shorter while it was copied")
        begin += copied
