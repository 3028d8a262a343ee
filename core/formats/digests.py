"""
Digests, `algorithm:hex`, and which digest a big-data item counts with.

Source: opencontainers/go-digest; spec 3.3.
"""

from __future__ import annotations

import base64
import hashlib
import json

from holdfs.core.errors import InvalidDigest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

_HEX_DIGITS: Final = {"sha256": 64, "sha384": 96, "sha512": 128}
_HEX = frozenset("0123456789abcdef")


def check_digest(text: str) -> str:
    """
    Return `text` if it is a digest.

    Raises:
        InvalidDigest: With the Go tools' words for what is wrong.
    """
    algorithm, colon, digits = text.partition(":")
    if not colon or not algorithm or not digits or "/" in digits:
        raise InvalidDigest(
            f"{text!r} is no digest, like sha256:… with 64 hex digits",
            words="invalid checksum digest format",
        )
    if algorithm not in _HEX_DIGITS:
        raise InvalidDigest(
            f"digest {text!r}: {algorithm!r} is none of sha256, sha384, sha512",
            words="unsupported digest algorithm",
        )
    if len(digits) != _HEX_DIGITS[algorithm]:
        raise InvalidDigest(
            f"digest {text!r} needs {_HEX_DIGITS[algorithm]} hex digits",
            words="invalid checksum digest length",
        )
    if not _HEX.issuperset(digits):
        raise InvalidDigest(
            f"digest {text!r} has characters that are no lower-case hex digits",
            words="invalid checksum digest format",
        )
    return text


def digest(data: bytes) -> str:
    """Return the canonical (sha256) digest of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def is_digest_of(of: str, data: bytes) -> bool:
    """Whether `of`, a digest that was checked, is that of `data`."""
    algorithm, _, digits = of.partition(":")
    return hashlib.new(algorithm, data).hexdigest() == digits


def is_manifest(key: str) -> bool:
    """Whether a big-data item of this key counts as a manifest of its image."""
    return key.startswith("manifest")


def manifest_digest(data: bytes) -> str:
    """
    Return the digest that a manifest is known by.

    The sha256 of the bytes, but for Docker schema 1 with signatures: of the signed payload alone,
    which the signatures describe.
    """
    # Everything but schema 1 is told apart by the absence of one key: no parse for what is usual.
    if b'"signatures"' not in data:
        return digest(data)
    try:
        manifest = json.loads(data)
    except (ValueError, RecursionError):
        return digest(data)
    if not isinstance(manifest, dict) or manifest.get("schemaVersion") != 1:
        return digest(data)
    payload = _signed_payload(data, manifest)
    return digest(data if payload is None else payload)


def _signed_payload(data: bytes, manifest: dict[str, Any]) -> bytes | None:
    """Return what the signatures of a schema 1 manifest sign: its head and a formatted tail."""
    try:
        protected = json.loads(_base64url(manifest["signatures"][0]["protected"]))
        return data[: int(protected["formatLength"])] + _base64url(protected["formatTail"])
    except (KeyError, IndexError, TypeError, ValueError, OverflowError, RecursionError):
        return None


def _base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
