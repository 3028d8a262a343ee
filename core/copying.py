"""
Copying files and directories into a layer, or out of one. Source: spec cli 5.1.

    a file          becomes the target path itself
    a directory     is merged into the target directory

A path inside a layer is resolved as in a container: its links lead nowhere outside the layer.
"""

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

#: What an owner becomes: (uid, gid) of the source to those of the target.
Owners = Callable[[int, int], tuple[int, int]]

_MOST_LINKS = 255


@dataclass(frozen=True, slots=True)
class Copier:
    """
    How things are copied.

    Attributes:
        owners: Gives the owner of a copy.
    """

    owners: Owners

    def copy(self, source: str, target: str) -> None:
        """
        Copy `source` to `target`, whose missing parents are made, mode 0700.

        Raises:
            OSError: What failed, and where: EISDIR or ENOTDIR for a file in the place of a
                directory, or the other way round.
        """
        status = os.stat(source)
        os.makedirs(os.path.dirname(target), 0o700, exist_ok=True)
        links: dict[tuple[int, int], str] = {}
        if not stat.S_ISDIR(status.st_mode):
            self._copy_one(os.path.realpath(source), target, status, links)
            return
        if not os.path.lexists(target):
            os.mkdir(target, 0o700)
            self._dress(source, target, status)
        self._merge(source, target, links)

    def _merge(self, source: str, target: str, links: dict[tuple[int, int], str]) -> None:
        if not stat.S_ISDIR(os.lstat(target).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), target)
        with os.scandir(source) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                to = f"{target}/{entry.name}"
                if not stat.S_ISDIR(status.st_mode):
                    self._copy_one(entry.path, to, status, links)
                    continue
                if not os.path.lexists(to):
                    os.mkdir(to, 0o700)
                self._merge(entry.path, to, links)
                # Last: what was put in changed its time.
                self._dress(entry.path, to, status)

    def _copy_one(
        self,
        source: str,
        target: str,
        status: os.stat_result,
        links: dict[tuple[int, int], str],
    ) -> None:
        if os.path.lexists(target):
            if stat.S_ISDIR(os.lstat(target).st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), target)
            os.unlink(target)
        inode = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and inode in links:
            os.link(links[inode], target, follow_symlinks=False)
            return
        links[inode] = target
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(source), target)
        elif stat.S_ISREG(status.st_mode):
            _copy_content(source, target)
        elif stat.S_ISSOCK(status.st_mode):
            return  # as in a tar stream, which has no place for one
        else:
            os.mknod(target, status.st_mode, status.st_rdev)
        self._dress(source, target, status)

    def _dress(self, source: str, target: str, status: os.stat_result) -> None:
        """Give the copy owner, mode, extended attributes and times."""
        uid, gid = self.owners(status.st_uid, status.st_gid)
        os.chown(target, uid, gid, follow_symlinks=False)
        is_link = stat.S_ISLNK(status.st_mode)
        # After the owner, whose change takes set-user-ID bits and capabilities away.
        if not is_link:
            os.chmod(target, stat.S_IMODE(status.st_mode))
            for name in _attributes(source):
                value = os.getxattr(source, name, follow_symlinks=False)
                os.setxattr(target, name, value, follow_symlinks=False)
        times = (status.st_atime_ns, status.st_mtime_ns)
        os.utime(target, ns=times, follow_symlinks=False)


def _attributes(path: str) -> list[str]:
    """Return the attributes that go along: capabilities, and the user's own."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return []
    return [n for n in names if n == "security.capability" or n.startswith("user.")]


def _copy_content(source: str, target: str) -> None:
    in_fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        out_fd = os.open(target, flags, 0o600)
        try:
            _copy_bytes(in_fd, out_fd)
        finally:
            os.close(out_fd)
    finally:
        os.close(in_fd)


def _copy_bytes(in_fd: int, out_fd: int) -> None:
    try:
        while os.copy_file_range(in_fd, out_fd, 1 << 30):
            pass
        # A file of /proc tells no size, and the kernel copies nothing of it.
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
    while chunk := os.read(in_fd, 1 << 20):
        view = memoryview(chunk)
        while view:
            view = view[os.write(out_fd, view) :]


def inside(root: str, path: str, *, follow_last: bool) -> str:
    """
    Return the path below `root` that `path` means to one for whom `root` is the root directory.

    What is not there stays as it is written.

    Args:
        follow_last: Follow a link at the end, too.

    Raises:
        OSError: ELOOP.
    """
    found: list[str] = []
    waiting = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    followed = 0
    while waiting:
        part = waiting.pop()
        if part == "..":
            del found[-1:]
            continue
        here = "/".join((root, *found, part))
        if (waiting or follow_last) and os.path.islink(here):
            followed += 1
            if followed > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), here)
            link = os.readlink(here)
            if link.startswith("/"):
                found.clear()
            waiting += [step for step in reversed(link.split("/")) if step not in ("", ".")]
            continue
        found.append(part)
    return "/".join((root, *found)) if found else root
