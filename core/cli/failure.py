"""
How a failure is put into words: those of the Go tools, which scripts match on.

    open /x/images.json: permission denied        the kernel's
    layer not known                               the store's, `StoreError.words`
"""

from __future__ import annotations

import os


def words(error: Exception) -> str:
    """Return one line that says what went wrong, without the program's name."""
    if isinstance(error, OSError):
        return _os_words(error)
    # StoreError and DriverError both bear Go's text. Asked by attribute: the driver's class is in
    # no module that every command needs.
    text = getattr(error, "words", None)
    if isinstance(text, str):
        return text
    return f"internal error, {type(error).__name__}: {error} (run again with --debug for details)"


def is_expected(error: Exception) -> bool:
    """Whether this is a refusal or a failure of the kernel, and not a bug of ours."""
    return isinstance(error, OSError) or isinstance(getattr(error, "words", None), str)


def _os_words(error: OSError) -> str:
    if error.errno is None:
        return str(error)
    reason = os.strerror(error.errno)
    if error.filename is None and error.strerror not in (None, reason):
        # An engine of ours says what it did, too.
        return str(error.strerror)
    reason = reason[:1].lower() + reason[1:]
    if error.filename is None:
        return reason
    if error.filename2 is not None:
        return f"rename {_shown(error.filename)} {_shown(error.filename2)}: {reason}"
    return f"open {_shown(error.filename)}: {reason}"


def _shown(name: object) -> str:
    return os.fsdecode(name) if isinstance(name, (str, bytes)) else str(name)


def expected_words(error: Exception) -> str:
    """Return what the error says; one that is a bug of ours goes on its way."""
    if not is_expected(error):
        raise error
    return words(error)
