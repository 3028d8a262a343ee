"""How layers say that something of their parent is gone."""

import enum


class WhiteoutStyle(enum.Enum):
    """How a layer's directory says that something of its parent is gone (spec 8.6)."""

    #: A character device 0:0 in the place of the deleted; `trusted.overlay.opaque`=y on a directory
    #: that hides what its name had in the parent.
    TRUSTED_XATTR = "trusted.overlay.opaque"
    #: The same with `user.overlay.opaque`: in a user namespace, or in a user's own store.
    USER_XATTR = "user.overlay.opaque"
    #: Empty files as in a tar, `.wh.NAME` and `.wh..wh..opq`: for a mount program.
    FILES = "files"
    #: Nothing says so: the layer is a whole tree, and what is deleted is deleted there.
    NONE = "none"
