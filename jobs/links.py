"""Signed links to objects of a local store and to tiles: HMAC-SHA256 over key, expiry, key id and file name."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from urllib.parse import urlencode

from jobs.errors import LinkExpired


class LinkSigner:
    """Signs and checks links with one secret; the secret's id travels in the link, so that secrets can be rotated."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self.key_id = hashlib.sha256(b"key-id:" + self._secret).hexdigest()[:8]

    def sign(self, key: str, expires: int, filename: str = "") -> str:
        """Return the query string of a link to `key` that works until the Unix second `expires`.

        The file name is left out of it where there is none.
        """
        signature = self._signature(key, expires, filename)
        name = {"name": filename} if filename else {}
        return urlencode({"expires": expires, "key": self.key_id} | name | {"signature": signature})

    def check(self, key: str, *, expires: str, key_id: str, signature: str, filename: str = "") -> None:
        """Raise LinkExpired unless the link, as it came, was signed here and is still good."""
        if not re.fullmatch(r"[0-9]{1,12}", expires):
            msg = "this is not a signed link; ask the job for one"
            raise LinkExpired(msg)
        expected = self._signature(key, int(expires), filename)
        genuine = hmac.compare_digest(expected.encode(), signature.encode()) and key_id == self.key_id
        if not genuine:
            msg = "this link was not signed by this service; ask the job for a fresh one"
            raise LinkExpired(msg)
        if int(expires) < time.time():
            msg = "this link has expired; ask the job for a fresh one"
            raise LinkExpired(msg)

    def _signature(self, key: str, expires: int, filename: str) -> str:
        message = "\n".join((key, str(expires), self.key_id, filename)).encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()
