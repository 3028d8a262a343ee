"""Attributes in the form that the kernel wants."""

import os
from typing import Final

import pyfuse3
from pyfuse3 import EntryAttributes, FileInfo, InodeT, StatvfsData

from holdfs.fusefs.settings import Settings
from holdfs.fusefs.tree.encoding import LONGEST
from holdfs.fusefs.tree.node import Stat

#: How long the kernel may keep what is said of content that may change: nobody tells us when.
_BRIEF_S: Final = 1.0

#: What the kernel is told of one inode, for modules that do not speak to libfuse.
Reply = EntryAttributes


class Attributes:
    """
    What all nodes have in common: owner, umask, how long the kernel may keep what it is told.

    Content has an owner of its own, unless the user has said whose all of it is to be.
    """

    def __init__(self, settings: Settings) -> None:
        self._uid = settings.uid
        self._gid = settings.gid
        self._mask = ~settings.umask
        self._are_own = settings.files_are_own
        self._brief = 0.0 if settings.strict else _BRIEF_S
        self._entry_timeout = 0.0 if settings.strict else settings.entry_timeout_s
        self._attr_timeout = 0.0 if settings.strict else settings.attr_timeout_s

    def fill(self, ino: int, stat: Stat, *, lasting_entry: bool) -> Reply:
        """Return the reply for one inode."""
        attributes = pyfuse3.EntryAttributes()
        attributes.st_ino = InodeT(ino)
        attributes.entry_timeout = self._entry_timeout if lasting_entry else 0
        attributes.attr_timeout = self._attr_timeout if stat.lasting else 0
        attributes.st_mode = stat.mode & self._mask
        attributes.st_uid = self._uid
        attributes.st_gid = self._gid
        attributes.st_size = stat.size
        # 1 for every file that holds something: `du` says that the tree takes no space, and
        # `tar -S` does not take 0 blocks for one big hole.
        attributes.st_blocks = 1 if stat.size else 0
        attributes.st_mtime_ns = stat.mtime_ns
        attributes.st_ctime_ns = stat.mtime_ns
        attributes.st_atime_ns = stat.mtime_ns
        if (found := stat.found) is not None:
            if not self._are_own:
                attributes.st_uid, attributes.st_gid = found.st_uid, found.st_gid
            attributes.st_nlink = found.st_nlink
            attributes.st_rdev = found.st_rdev
            attributes.st_blocks = found.st_blocks
            attributes.st_ctime_ns = found.st_ctime_ns
            attributes.st_atime_ns = found.st_atime_ns
            if not stat.lasting:
                attributes.attr_timeout = attributes.entry_timeout = self._brief
        return attributes


def file_info(fh: int, *, direct_io: bool = True, keep_cache: bool = False) -> FileInfo:
    """
    Return what open(2) and creat(2) answer.

    Args:
        keep_cache: What the kernel has read of the file before is still right.
    """
    # Direct: the kernel would cut or fill what it reads to the size that it has heard of last, and
    # a value can change between that and the read. A write(2) is one request with its own answer.
    return FileInfo(fh=fh, direct_io=direct_io, keep_cache=keep_cache)


_STATFS_FIELDS: Final = (
    "f_bsize",
    "f_frsize",
    "f_blocks",
    "f_bfree",
    "f_bavail",
    "f_files",
    "f_ffree",
    "f_favail",
)


def statfs_reply(found: os.statvfs_result) -> StatvfsData:
    """Return what statfs(2) answers, from what the graph root's file system says of itself."""
    reply = StatvfsData()
    for field in _STATFS_FIELDS:
        setattr(reply, field, getattr(found, field))
    reply.f_namemax = LONGEST
    return reply
