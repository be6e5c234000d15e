"""Addresses of thumbnails that work for a while without a key: an ``<img>`` cannot send one."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Sequence
from urllib.parse import parse_qs, quote, urlencode

#: Where thumbnails are, relative to the address of the service.
THUMBNAILS = "api/v1/thumbnails/"
#: Seconds that a signed address works at least; at most one `_STEP` more.
SIGNED_SECONDS = 900
# Signatures of one step are the same, so that browsers can cache what they lead to.
_STEP = 300
_SALT = b"tmcir thumbnails"


class Signer:
    """Writes and checks addresses of thumbnails.

    Processes with the same keys accept each other's addresses; a changed key ends all of them.

    Args:
        keys: The API keys; without any, addresses need no signature.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        # slow to derive, so that an address does not help to guess a key
        joined = "\0".join(sorted(keys)).encode("utf-8", "surrogateescape")
        self._secret = hashlib.scrypt(joined, salt=_SALT, n=2**14, r=8, p=1) if keys else b""

    def address(self, name: str) -> str:
        """Return the address of a photo's thumbnail, relative to that of the service."""
        path = THUMBNAILS + quote(name, errors="surrogateescape")
        if not self._secret:
            return path
        expires = (int(time.time()) // _STEP + 1) * _STEP + SIGNED_SECONDS
        return f"{path}?{urlencode({'expires': expires, 'signature': self._sign(name, expires)})}"

    def accepts(self, path: str, query: str) -> bool:
        """Return whether a request is for a thumbnail and its signature is valid.

        Args:
            path: Decoded path of the request, from ``/``.
            query: Its query string.
        """
        _, found, name = path.partition("/" + THUMBNAILS)
        given = parse_qs(query)
        expires, signature = given.get("expires", [""])[0], given.get("signature", [""])[0]
        if not (self._secret and found and expires.isdecimal() and len(expires) < 20):
            return False
        expected = self._sign(name, int(expires))
        is_valid = hmac.compare_digest(signature.encode("utf-8", "replace"), expected.encode())
        return is_valid and int(expires) > time.time()

    def _sign(self, name: str, expires: int) -> str:
        signed = f"{expires}\0{name}".encode("utf-8", "surrogateescape")
        return hmac.new(self._secret, signed, hashlib.sha256).hexdigest()
