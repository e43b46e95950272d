"""Signed links to objects of a local store and to tiles: HMAC-SHA256 over key, expiry, key id and file name."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from urllib.parse import urlencode

from jobs.errors import LinkExpired
from jobs.settings import Settings


class LinkSigner:
    """Signs links with one secret and checks them with that and others; a secret's id travels in the link.

    So secrets can be rotated: links made with one that is being rotated out, or not yet in, are still good.
    """

    def __init__(self, secret: str, *others: str) -> None:
        self._secrets = {_key_id(each): each.encode() for each in (*others, secret)}
        self.key_id = _key_id(secret)

    def sign(self, key: str, expires: int, filename: str = "") -> str:
        """Return the query string of a link to `key` that works until the Unix second `expires`.

        The file name is left out of it where there is none.
        """
        signature = self._signature(key, expires, self.key_id, filename)
        name = {"name": filename} if filename else {}
        return urlencode({"expires": expires, "key": self.key_id} | name | {"signature": signature})

    def check(self, key: str, *, expires: str, key_id: str, signature: str, filename: str = "") -> None:
        """Raise LinkExpired unless the link, as it came, was signed with one of these secrets and is still good."""
        if not re.fullmatch(r"[0-9]{1,12}", expires):
            msg = "this is not a signed link; ask the job for one"
            raise LinkExpired(msg)
        known = key_id if key_id in self._secrets else self.key_id
        expected = self._signature(key, int(expires), known, filename)
        genuine = hmac.compare_digest(expected.encode(), signature.encode()) and key_id == known
        if not genuine:
            msg = "this link was not signed by this service; ask the job for a fresh one"
            raise LinkExpired(msg)
        if int(expires) < time.time():
            msg = "this link has expired; ask the job for a fresh one"
            raise LinkExpired(msg)

    def _signature(self, key: str, expires: int, key_id: str, filename: str) -> str:
        message = "\n".join((key, str(expires), key_id, filename)).encode()
        return hmac.new(self._secrets[key_id], message, hashlib.sha256).hexdigest()


def signer_of(settings: Settings) -> LinkSigner:
    """Return what signs with the operator's secret and takes links of the one beside it, while there is one."""
    beside = settings.link_secret_previous
    others = (beside.get_secret_value(),) if beside else ()
    return LinkSigner(settings.link_secret.get_secret_value(), *others)


def _key_id(secret: str) -> str:
    return hashlib.sha256(b"key-id:" + secret.encode()).hexdigest()[:8]
